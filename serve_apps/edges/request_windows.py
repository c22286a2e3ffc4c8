"""Count each client's requests in windows of fixed length, in this process or in Redis for all replicas."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

LOCAL_CLIENTS = 100_000
TIMEOUT_S = 0.25

# A window begins with its first request and ends by Redis' own clock: the replicas' clocks need not agree.
_COUNT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {count, left}
"""


class Window(NamedTuple):
    """A client's requests in its running window, this one included, and the seconds until the next window."""

    requests: int
    left_s: float


class LocalWindows:
    """Windows of this process; of more than `LOCAL_CLIENTS` clients the longest known are forgotten."""

    def __init__(self, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_s
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, client: str) -> Window:
        """Count one request."""
        now = self._clock()
        ends_at, count = self._windows.get(client, (0.0, 0))
        if now >= ends_at:
            ends_at, count = now + self._window_s, 0
            # All windows are equally long: in order of their beginning they also end.
            self._windows[client] = (ends_at, count)
            self._windows.move_to_end(client)
            if len(self._windows) > LOCAL_CLIENTS:
                self._windows.popitem(last=False)
        self._windows[client] = (ends_at, count + 1)
        return Window(count + 1, ends_at - now)


class SharedWindows:
    """Windows in Redis: all replicas of an application count together."""

    def __init__(self, redis_url: str, application: str, window_s: float) -> None:
        self._window_ms = round(window_s * 1000.0)
        self._prefix = f"alpharay:requests:{application}:"
        # Whoever waits here keeps a client waiting: no second try, the next request is one.
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            max_connections=128,
        )
        self._script = self._redis.register_script(_COUNT)

    async def take(self, client: str, requests: int) -> Window:
        """Count requests; raises RedisError or OSError when Redis does not answer."""
        count, left_ms = await self._script(keys=[self._prefix + client], args=[self._window_ms, requests])
        return Window(int(count), int(left_ms) / 1000.0)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
