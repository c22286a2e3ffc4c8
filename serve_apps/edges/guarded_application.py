"""An application behind its edges."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from alpharay.telemetry.spans import is_tracing
from serve_apps.edges.admission import Admission
from serve_apps.edges.answer_headers import AnswerHeaders
from serve_apps.edges.body_limit import BodyLimit
from serve_apps.edges.edges import Edges
from serve_apps.edges.refusals import Refusals
from serve_apps.edges.request_metrics import MeasuredRequests, RoutePatterns
from serve_apps.edges.request_trace import TracedRequests
from serve_apps.edges.time_limit import TimeLimit

_ASKED_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID", "traceparent")
_TOLD_HEADERS = (
    "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-ID", "X-Correlation-ID",
    "Idempotent-Replayed",
)  # fmt: skip


class GuardedApplication:
    """The ASGI application that Serve gets: a request goes from the outermost edge to the application inside."""

    def __init__(self, api: FastAPI, edges: Edges, inside: ASGIApp | None = None) -> None:
        """Stand before `inside`, which is the API with what is in front of it, or before the API itself."""
        self._api = api
        inner = Admission(BodyLimit(inside or api, edges.max_bytes), edges.rules, edges.identity, edges.rate_limit)
        refusals = Refusals(TimeLimit(inner, edges.time_limit_s), edges.metrics)
        allowed = list(edges.allowed_origins)
        # Preflight requests carry no key: they are answered before anyone asks for one.
        shared = (
            CORSMiddleware(
                refusals,
                allow_origins=allowed,
                allow_methods=["GET", "POST", "PUT", "DELETE"],
                allow_headers=_ASKED_HEADERS,
                expose_headers=_TOLD_HEADERS,
            )
            if allowed
            else refusals
        )
        patterns = RoutePatterns(api.routes)
        measured: ASGIApp = MeasuredRequests(shared, edges.metrics.requests, patterns)
        # Nothing stands in the way of requests that are not traced.
        self._outermost = AnswerHeaders(TracedRequests(measured, patterns) if is_tracing() else measured)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """The application's routes: Serve names its metrics after them."""
        return self._api.routes

    @property
    def root_path(self) -> str:
        """The application's own prefix, which Serve asks for too."""
        return self._api.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a WebSocket is closed, since no edge guards one."""
        if scope["type"] == "http":
            await self._outermost(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._api(scope, receive, send)
