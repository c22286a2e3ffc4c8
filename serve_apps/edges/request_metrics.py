"""How many requests, how they were answered, and how long each took: of every route, whoever answered it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNMATCHED = "unmatched"
"""The route of a path that no route answers; a path itself would make a series of whatever strangers ask for."""

DISCONNECTED = "disconnected"
"""The code of a request whose client left before it was answered."""

REMEMBERED, LONGEST_REMEMBERED = 1_000, 200
"""So many paths of at most so many characters are remembered with their patterns."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

# From what an answer out of memory costs to what the time limit allows.
_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class RoutePatterns:
    """Tells the pattern of the route that answers a request, such as `/orders/{order_id}`."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._found: dict[tuple[str, str], str] = {}

    def of(self, scope: Scope) -> str:
        """Return the pattern, or `unmatched`."""
        routed = scope.get("route")
        if routed is not None:
            return str(getattr(routed, "path", UNMATCHED))
        # Refused before it was routed, or answered by none. Many of these may come: to look is dearer than to refuse.
        asked = (scope["method"], scope["path"])
        pattern = self._found.get(asked)
        if pattern is None:
            match = next((one for one in self._routes if one.matches(scope)[0] is not Match.NONE), None)
            pattern = str(getattr(match, "path", UNMATCHED))
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            if len(asked[1]) <= LONGEST_REMEMBERED:
                self._found[asked] = pattern
        return pattern


class _Series(NamedTuple):
    requests: Counter
    seconds: Histogram


class RequestMetrics:
    """The requests of one application, by route, method and code."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._requests = Counter(
            "alpharay_http_requests",
            "Requests by route, method and the code of their answer, refused ones included.",
            ["application", "route", "method", "code"],
            registry=None,
        )
        self._seconds = Histogram(
            "alpharay_http_request_seconds",
            "Time from a request's arrival in the replica to the beginning of its answer.",
            ["application", "route"],
            buckets=_BUCKETS,
            registry=None,
        )
        in_flight = Gauge(
            "alpharay_http_requests_in_flight", "Requests that are being answered.", ["application"], registry=None
        )
        self._collectors = (self._requests, self._seconds, in_flight)
        self.in_flight = 0
        in_flight.labels(application).set_function(lambda: float(self.in_flight))
        self._known: dict[tuple[str, str, str], _Series] = {}

    def register(self, registry: CollectorRegistry) -> None:
        """Add the metrics to an application's."""
        for collector in self._collectors:
            registry.register(collector)

    def count(self, route: str, method: str, code: str, seconds: float) -> None:
        """Count one answer."""
        key = (route, method, code)
        series = self._known.get(key)
        if series is None:
            # To look up a series by its labels costs more than to count.
            series = self._known[key] = _Series(
                self._requests.labels(self._application, route, method, code),
                self._seconds.labels(self._application, route),
            )
        series.requests.inc()
        series.seconds.observe(seconds)


class MeasuredRequests:
    """Counts and times the requests of what stands behind it."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, routes: RoutePatterns) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = answered = time.perf_counter()
        code = DISCONNECTED

        async def watch(message: Message) -> None:
            nonlocal code, answered
            if message["type"] == "http.response.start":
                code, answered = str(message["status"]), time.perf_counter()
            await send(message)

        self._metrics.in_flight += 1
        try:
            await self._app(scope, receive, watch)
        finally:
            self._metrics.in_flight -= 1
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.count(self._routes.of(scope), method, code, answered - started)
