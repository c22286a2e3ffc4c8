"""Where a request's call begins: what causes it is known from here on, and every answer has the edges' headers."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alpharay.telemetry.origin import reset_origin, set_origin
from serve_apps.edges.call import begin_call

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),
    # An answer in JSON loads nothing; a page tells its own policy.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
"""Over TLS only: browsers then come back over TLS."""


class AnswerHeaders:
    """Begins the call of a request and adds its headers to the answer; those that the application set stay."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope, call = begin_call(scope)
        secure = scope.get("scheme") == "https"

        async def add_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                known = {name.lower() for name, _ in headers}
                headers += [one for one in SECURITY_HEADERS if one[0] not in known]
                if secure:
                    headers.append(STRICT_TRANSPORT)
                message = {**message, "headers": headers + call.headers}
            await send(message)

        token = set_origin(call.origin)
        try:
            await self._app(scope, receive, add_headers)
        finally:
            reset_origin(token)
