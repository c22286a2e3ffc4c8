"""Requests of bounded size, also where no Content-Length announces it."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.edges.client import header
from serve_apps.web.json_body import body_too_large


class BodyLimit:
    """Refuses larger bodies before the application sees them.

    A server holds a client to the length that it announced. A body without one is read here, up to the limit, and then
    handed on in one piece.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises RefusedError."""
        announced = header(scope, b"content-length")
        if announced is not None and (not announced.isdigit() or int(announced[:20]) > self._limit_bytes):
            raise body_too_large(announced, self._limit_bytes)
        if header(scope, b"transfer-encoding") is not None:
            receive = await self._read(receive)
        await self._app(scope, receive, send)

    async def _read(self, receive: Receive) -> Receive:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit_bytes:
                raise body_too_large(f"more than {self._limit_bytes}", self._limit_bytes)
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        return replay
