"""Take requests from a shared count in blocks: far from the limit Redis need not be asked for each one."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from serve_apps.edges.request_windows import LOCAL_CLIENTS, Window

MOST_AT_ONCE = 64
SHARE_OF_REST = 256
"""A block is at most one in so many of what a client has left: so much a replica may keep from the others unused."""


class CountedWindows(Protocol):
    """What counts for all replicas."""

    async def take(self, client: str, requests: int) -> Window:
        """Count several requests of a client at once; the window's number is the last one's."""


@dataclass(slots=True)
class _Held:
    """Numbers of a client's window that are counted and not used yet."""

    ends_at: float
    newest: int
    ranges: deque[range] = field(default_factory=deque)


class RequestBlocks:
    """Windows of a shared count. No client gets more than its limit; up to 256 left, each request is counted alone."""

    def __init__(self, shared: CountedWindows, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._limit = limit
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def held(self, client: str) -> Window | None:
        """Count one request by a number that is held; None when there is none."""
        now = self._clock()
        held = self._held.get(client)
        if held is None or not held.ranges or now >= held.ends_at:
            return None
        numbers = held.ranges.popleft()
        if len(numbers) > 1:
            held.ranges.appendleft(numbers[1:])
        return Window(numbers[0], held.ends_at - now)

    async def count(self, client: str) -> Window:
        """Count one request; raises RedisError or OSError when it must be asked for and Redis does not answer."""
        known = self.held(client)
        if known is not None:
            return known
        held = self._held.get(client)
        if held is not None and self._clock() >= held.ends_at:
            del self._held[client]
            held = None
        size = 1 if held is None else min(max((self._limit - held.newest) // SHARE_OF_REST, 1), MOST_AT_ONCE)
        window = await self._shared.take(client, size)
        self._keep(client, window, size)
        return Window(window.requests - size + 1, window.left_s)

    def _keep(self, client: str, window: Window, size: int) -> None:
        now = self._clock()
        held = self._held.get(client)
        # While Redis was asked another request of the client may have asked too, or its window have begun anew.
        if held is None or now >= held.ends_at or window.requests < held.newest:
            held = self._held[client] = _Held(now + window.left_s, 0)
            self._held.move_to_end(client)
            if len(self._held) > LOCAL_CLIENTS:
                self._held.popitem(last=False)
        held.newest = window.requests
        if size > 1:
            held.ranges.append(range(window.requests - size + 2, window.requests + 1))
