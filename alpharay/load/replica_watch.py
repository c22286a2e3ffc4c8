"""How many replicas a Serve deployment has, asked of Ray's dashboard once a second while a load runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

APPLICATIONS = "/api/serve/applications/"


@dataclass(frozen=True, slots=True)
class WatchedDeployment:
    """A deployment of a Serve application, as the dashboard at an address knows it."""

    dashboard: str
    application: str
    deployment: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the dashboard asks for, such as the cluster's token."""


@dataclass(frozen=True, slots=True)
class ReplicaCount:
    """The replicas at one time, in seconds from the beginning."""

    at_s: float
    target: int
    running: int


def replica_count(details: Mapping[str, Any], application: str, deployment: str, at_s: float) -> ReplicaCount:
    """Return the count out of the dashboard's answer; raises LookupError when there is no such deployment."""
    try:
        found = details["applications"][application]["deployments"][deployment]
    except KeyError as error:
        raise LookupError(f"the dashboard must know {application}/{deployment}, there was no {error}") from error
    running = sum(replica.get("state") == "RUNNING" for replica in found.get("replicas", []))
    return ReplicaCount(at_s, int(found.get("target_num_replicas") or 0), running)


async def ask_replicas(client: httpx.AsyncClient, watched: WatchedDeployment, at_s: float = 0.0) -> ReplicaCount:
    """Return the count now; raises httpx.HTTPError or LookupError."""
    answer = await client.get(watched.dashboard.rstrip("/") + APPLICATIONS, headers=watched.headers, timeout=5.0)
    answer.raise_for_status()
    return replica_count(answer.json(), watched.application, watched.deployment, at_s)


async def watch_replicas(client: httpx.AsyncClient, watched: WatchedDeployment, counts: list[ReplicaCount]) -> None:
    """Append a count each second until cancelled; a second without an answer is left out."""
    began = time.perf_counter()
    while True:
        at_s = time.perf_counter() - began
        with contextlib.suppress(httpx.HTTPError, LookupError):
            counts.append(await ask_replicas(client, watched, at_s))
        await asyncio.sleep(1.0)
