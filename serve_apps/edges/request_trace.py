"""The span of a request, where traces are exported: a part of its client's trace, or the first of a new one."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alpharay.telemetry.spans import root_span
from serve_apps.edges.request_metrics import RoutePatterns


class TracedRequests:
    """Makes a span of each request; spans of what is done for it are below."""

    def __init__(self, app: ASGIApp, routes: RoutePatterns) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with root_span(scope["method"], "server", {"http.request.method": scope["method"]}) as made:
            assert made is not None, "without a tracer nothing stands here"

            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    made.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await self._app(scope, receive, watch)
            finally:
                route = self._routes.of(scope)
                made.update_name(f"{scope['method']} {route}")
                made.set_attribute("http.route", route)
