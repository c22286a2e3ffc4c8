"""Requests at a rate that does not wait for the answers: constant, or a ramp from one rate to another.

A client that sends its next request after an answer slows down with the server and hides what users would see. Here
each request has its time; its latency counts from that time, also when it left later. Bounded by `most_in_flight`:
a request whose time comes while so many wait is not sent, and counts as that.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

NOT_SENT = -1
NO_ANSWER = 0
MOST_REQUESTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Ramp:
    """A rate of requests a second that goes evenly from `begin` to `end`; constant where they are equal."""

    begin: float
    end: float
    seconds: float

    def __post_init__(self) -> None:
        for name, value in (("begin", self.begin), ("end", self.end)):
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name} must be a rate of zero or more requests a second, was {value}")
        if not (math.isfinite(self.seconds) and self.seconds > 0.0):
            raise ValueError(f"seconds must be above zero, was {self.seconds}")
        if self.requests > MOST_REQUESTS:
            raise ValueError(f"a load has at most {MOST_REQUESTS:,} requests, was {self.requests:,}")

    @property
    def requests(self) -> int:
        """How many requests it has."""
        return math.floor((self.begin + self.end) / 2.0 * self.seconds)

    def times(self) -> Iterator[float]:
        """Yield when each request is due, in seconds: where the integral of the rate is a whole number."""
        slope = (self.end - self.begin) / self.seconds
        for number in range(self.requests):
            # 2n / (b + sqrt(b^2 + 2sn)): the quadratic's root in the form that is exact for no slope too.
            root = math.sqrt(max(0.0, self.begin * self.begin + 2.0 * slope * number))
            yield 2.0 * number / (self.begin + root) if number else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes
    ----------
    due_s : when it was due, from the beginning.
    latency_s : from then to the end of the answer.
    status : the HTTP status, NO_ANSWER when none came in time, NOT_SENT when too many were waiting.
    retry_after : whether the answer said when to come again.
    """

    due_s: float
    latency_s: float
    status: int
    retry_after: bool = False


async def run_load(
    client: httpx.AsyncClient,
    request: httpx.Request,
    ramp: Ramp,
    *,
    most_in_flight: int = 1000,
    timeout_s: float = 30.0,
) -> list[Outcome]:
    """Send the request again and again and return the outcomes in the order in which they were due."""
    outcomes: list[Outcome] = []
    waiting: set[asyncio.Task[None]] = set()
    began = time.perf_counter()

    async def send(due_s: float) -> None:
        status, retry_after = NO_ANSWER, False
        try:
            async with asyncio.timeout(timeout_s):
                answer = await client.send(_again(request))
            status, retry_after = answer.status_code, "retry-after" in answer.headers
        except (httpx.HTTPError, TimeoutError):
            pass
        outcomes.append(Outcome(due_s, time.perf_counter() - began - due_s, status, retry_after))

    for due_s in ramp.times():
        wait_s = due_s - (time.perf_counter() - began)
        # Also without a wait the loop must turn now and then, or nothing would be sent.
        await asyncio.sleep(max(0.0, wait_s))
        if len(waiting) >= most_in_flight:
            outcomes.append(Outcome(due_s, 0.0, NOT_SENT))
            continue
        task = asyncio.create_task(send(due_s))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)
    return sorted(outcomes, key=lambda outcome: outcome.due_s)


def _again(request: httpx.Request) -> httpx.Request:
    """Return the request as a new one: a sent request's stream is used up."""
    return httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
