"""One load on one address, with the replicas of the deployment behind it watched meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from alpharay.load.open_load import Outcome, run_load
from alpharay.load.ramp import Ramp
from alpharay.load.replica_watch import ReplicaCount, WatchedDeployment, ask_replicas, watch_replicas

MOST_IN_FLIGHT = 2000
LONGEST_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class LoadTest:
    """What is asked, how often and for how long.

    Attributes
    ----------
    url : what is asked: by GET, or by POST of `body`, which is JSON.
    most_in_flight : so many requests wait for an answer at most; one whose time comes then is not sent.
    timeout_s : a request without its whole answer after so long is given up.
    watched : the deployment whose replicas are counted once a second; None counts none.
    """

    url: str
    ramp: Ramp
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    most_in_flight: int = 500
    timeout_s: float = 30.0
    watched: WatchedDeployment | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.most_in_flight <= MOST_IN_FLIGHT:
            raise ValueError(f"most_in_flight must be 1 to {MOST_IN_FLIGHT}, was {self.most_in_flight}")
        if not 0.0 < self.timeout_s <= LONGEST_TIMEOUT_S:
            raise ValueError(f"timeout_s must be above 0 and at most {LONGEST_TIMEOUT_S:.0f}, was {self.timeout_s}")


async def run_load_test(test: LoadTest) -> tuple[list[Outcome], list[ReplicaCount]]:
    """Run it and return what became of each request, and the replicas second by second.

    Raises LookupError or httpx.HTTPError before the first request when the deployment cannot be watched.
    """
    limits = httpx.Limits(max_connections=test.most_in_flight, max_keepalive_connections=test.most_in_flight)
    counts: list[ReplicaCount] = []
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=test.timeout_s) as client:
        watching = None
        if test.watched is not None:
            await ask_replicas(client, test.watched)
            watching = asyncio.create_task(watch_replicas(client, test.watched, counts))
        try:
            return await run_load(
                client,
                _request(client, test),
                test.ramp,
                most_in_flight=test.most_in_flight,
                timeout_s=test.timeout_s,
            ), counts
        finally:
            if watching is not None:
                watching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watching


def _request(client: httpx.AsyncClient, test: LoadTest) -> httpx.Request:
    if test.body is None:
        return client.build_request("GET", test.url, headers=test.headers)
    headers = {"content-type": "application/json", **test.headers}
    return client.build_request("POST", test.url, headers=headers, content=test.body)
