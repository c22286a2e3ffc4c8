"""How many requests may wait at one of Serve's proxies: who comes when it is full is told at once when to come again.

Serve bounds what waits for a replica, but a proxy that is itself out of breath never gets to count: it takes everything
in, and all of it is late. Ray loads this into every proxy where the environment of its nodes says

    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve_apps.edges.waiting_room.middlewares

Each service, the first part of the path, has room of its own: a slow one does not shut out the others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import islice

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_WAITING = 128
"""For one service: at 400 answers a second a third of a second's work."""
MOST_WAITING_TOGETHER = 512
FEW_WAITING = 32
LONGEST_WAIT_S = 2.5
"""Where the first of more than a few has waited so long, the next would wait longer than an answer may take."""
RETRY_AFTER_S = 1

ALWAYS_OPEN = ("/-/", "/health", "/ready")
"""A probe that is turned away would have a proxy that is only busy be taken for a broken one."""

_BODY = json.dumps(
    {
        "error": {
            "code": "busy",
            "field": None,
            "value": None,
            "message": "too many requests are waiting here",
            "hint": f"try again after {RETRY_AFTER_S} s",
        }
    }
).encode()
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"retry-after", str(RETRY_AFTER_S).encode()),
]


class WaitingRoom:
    """The outermost part of a proxy. A request waits until its answer begins: a stream is no longer waiting."""

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        # Since when each request waits, by service; dictionaries keep the order in which they came.
        self._waiting: dict[str, dict[object, float]] = {}
        self._together = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it with 503 and Retry-After."""
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        service = scope["path"].split("/", 2)[1]
        if self._is_full(service):
            await send({"type": "http.response.start", "status": 503, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": _BODY})
            return
        place = object()
        self._waiting.setdefault(service, {})[place] = self._clock()
        self._together += 1

        async def leaving(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._leave(service, place)
            await send(message)

        try:
            await self._app(scope, receive, leaving)
        finally:
            self._leave(service, place)

    def _is_full(self, service: str) -> bool:
        waiting = self._waiting.get(service, {})
        if len(waiting) >= MOST_WAITING or self._together >= MOST_WAITING_TOGETHER:
            return True
        if len(waiting) < FEW_WAITING:
            return False
        (first,) = islice(waiting.values(), 1)
        return self._clock() - first > LONGEST_WAIT_S

    def _leave(self, service: str, place: object) -> None:
        waiting = self._waiting.get(service, {})
        if waiting.pop(place, None) is None:
            return
        self._together -= 1
        if not waiting:
            # Whoever asks for paths that do not exist must not fill the memory.
            del self._waiting[service]


def middlewares() -> list[Middleware]:
    """Return what Serve's proxies shall put in front."""
    return [Middleware(WaitingRoom)]


def _is_open(path: str) -> bool:
    return path.startswith(ALWAYS_OPEN) or path.endswith(("/health", "/ready", "/health/live", "/health/ready"))
