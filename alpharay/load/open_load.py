"""Requests at a rate that does not wait for the answers: constant, or a ramp from one rate to another.

A client that sends its next request after an answer slows down with the server and hides what users would see. Here
each request has its time; its latency counts from that time, also when it left later. Bounded by `most_in_flight`:
a request whose time comes while so many wait is not sent, and counts as that.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx

from alpharay.load.ramp import Ramp

NOT_SENT = -1
NO_ANSWER = 0


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
