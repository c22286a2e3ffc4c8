"""At most so many requests a client and window, over all replicas while Redis answers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from redis.exceptions import RedisError

from alpharay.signals.refusal import RefusedError, refuse
from serve_apps.edges.request_windows import TIMEOUT_S, LocalWindows, Window
from serve_apps.service_log import log

RETRY_S = 1.0
WithoutRedis = Literal["local", "refuse", "open"]


class Windows(Protocol):
    """What counts for all replicas."""

    def held(self, client: str) -> Window | None:
        """Count one request of a client without a question to anyone; None where that cannot be."""

    async def count(self, client: str) -> Window:
        """Count one request of a client."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a client has left in its window; `remaining` is below 0 when this request is too many."""

    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the RateLimit headers that clients pace themselves by."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % max(self.remaining, 0)),
            (b"ratelimit-reset", b"%d" % self.reset_s),
        ]


class RateLimit:
    """The limit of an application; while the shared count fails it acts as `without_redis` says, and tells so."""

    def __init__(
        self,
        limit: int,
        window_s: float,
        shared: Windows | None,
        *,
        without_redis: WithoutRedis = "local",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.window_s = window_s
        self.without_redis = without_redis
        self.degraded = False
        """Whether the shared count fails at the moment."""
        self.failures = 0
        self._shared = shared
        self._local = LocalWindows(window_s, clock)
        self._clock = clock
        self._retry_at = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether all replicas count together."""
        return self._shared is not None and not self.degraded

    async def take(self, client: str) -> Allowance | None:
        """Count a request and return what is left; None when nothing is counted.

        Raises RefusedError when Redis is away and `without_redis` is "refuse".
        """
        window = await self._window(client)
        if window is None:
            return None
        return Allowance(self.limit, self.limit - window.requests, max(1, math.ceil(window.left_s)))

    async def _window(self, client: str) -> Window | None:
        if self._shared is None:
            return self._local.count(client)
        if not self.degraded and (held := self._shared.held(client)) is not None:
            return held
        if not self.degraded or self._clock() >= self._retry_at:
            # While it is away one request a second tries again; the others do not wait for it.
            self._retry_at = self._clock() + RETRY_S
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    window = await self._shared.count(client)
            except (RedisError, OSError) as error:
                self._failed(error)
            else:
                self._recovered()
                return window
        if self.without_redis == "refuse":
            raise refuse(
                "rate_limit_unavailable",
                "the count of requests does not answer",
                hint="try again; Redis or Valkey at the service must run",
                retry_after_s=math.ceil(RETRY_S),
            )
        return self._local.count(client) if self.without_redis == "local" else None

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._retry_at = self._clock() + RETRY_S
        if not self.degraded:
            self.degraded = True
            log.warning("rate limit is degraded", extra={"acts": self.without_redis, "error": type(error).__name__})

    def _recovered(self) -> None:
        if self.degraded:
            self.degraded = False
            log.info("rate limit is shared again")


def too_many(allowance: Allowance, window_s: float) -> RefusedError:
    """Return the refusal of a request that is over the limit."""
    return refuse(
        "rate_limited",
        f"a client may send {allowance.limit} requests in {window_s:g} s",
        hint=f"wait {allowance.reset_s} s; RateLimit-Remaining tells what is left",
        retry_after_s=allowance.reset_s,
    )
