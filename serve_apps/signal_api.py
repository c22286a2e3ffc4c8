"""The HTTP side of the signal service: routes, errors, documents."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

import alpharay
from alpharay.signals.refusal import Refusal, RefusedError
from alpharay.signals.request import MOST_REQUESTS
from alpharay.telemetry.spans import span
from serve_apps.edges.edges import Edges
from serve_apps.request_log import tell_request
from serve_apps.signal_analytics import SignalAnalytics
from serve_apps.signal_analytics_api import ANALYTICS_PATHS, add_analytics
from serve_apps.signal_components import SignalComponents
from serve_apps.signal_components_api import COMPONENT_PATHS, add_components, add_service_health
from serve_apps.signal_documents import batch_operation, signal_operation, signal_schemas
from serve_apps.signal_metrics import SignalMetrics
from serve_apps.signal_service import Answered, SignalService
from serve_apps.signal_stream import StreamPlaces
from serve_apps.signal_stream_api import add_stream
from serve_apps.web.answers import JSON, json_response, request_id
from serve_apps.web.documents import add_documents
from serve_apps.web.error_routes import add_error_routes
from serve_apps.web.errors import STATUS, error_response, shown_error
from serve_apps.web.health_routes import HealthTexts, add_health_routes, add_metrics_route, add_status_route
from serve_apps.web.json_body import read_json_body
from serve_apps.web.shortcut import take_shortcut

BODY_LIMIT_BYTES = 4096
BATCH_LIMIT_BYTES = 64 * 1024
PATHS = (
    "/generate_signal", "/generate_signals", "/signals/stream", "/health", "/ready", "/health/live", "/health/ready",
    "/status", "/metrics", "/docs",
)  # fmt: skip


def signal_api(
    service: SignalService,
    *,
    versions: dict[str, str],
    edges: Edges | None = None,
    analytics: SignalAnalytics | None = None,
    places: StreamPlaces | None = None,
) -> FastAPI:
    """Return the service's ASGI application.

    It tells of the `edges` that it stands behind, has `analytics` and bounds its streams by `places`.
    """
    places = places or StreamPlaces()
    api = FastAPI(
        title="AlphaRay signals",
        version=alpharay.__version__,
        description="Asks strategies, a model, the market's context, sizing and risk: BUY, SELL or HOLD, and why.",
        # FastAPI's own pages load their scripts from elsewhere; /docs below works offline.
        docs_url=None,
        redoc_url=None,
    )
    metrics = SignalMetrics()
    if edges is not None:
        edges.metrics.register(metrics.registry)

    _add_signals(api, service, metrics)
    add_stream(api, service, places, metrics)

    def metrics_text() -> bytes:
        _read_gauges(metrics, service)
        metrics.streams.set(places.open)
        return metrics.text()

    # Before the routes that take any path below their prefix.
    add_service_health(api, service.refresher.is_alive, metrics_text)
    add_components(api, SignalComponents(service), metrics)
    if analytics is not None:
        add_analytics(api, analytics, metrics.registry)
    paths = (*PATHS, *COMPONENT_PATHS) if analytics is None else (*PATHS, *COMPONENT_PATHS, *ANALYTICS_PATHS)

    def status() -> dict[str, Any]:
        return service.status() if analytics is None else {**service.status(), "analytics": analytics.status()}

    add_status_route(api, "Snapshot, markets, strategies, versions", status, edges=edges, versions=versions)
    add_metrics_route(api, metrics_text)
    # After the route that must be found first.
    add_error_routes(api, paths)
    _add_health(api, service)
    add_documents(api, signal_schemas(), paths)
    return api


def _add_signals(api: FastAPI, service: SignalService, metrics: SignalMetrics) -> None:
    async def generate_signal(request: Request) -> Response:
        started = time.perf_counter()
        try:
            body = await read_json_body(request, BODY_LIMIT_BYTES)
            with span("generate signal"):
                answered = await service.generate(body, request_id(request))
        except RefusedError as error:
            _note(metrics, request, error.refusal, time.perf_counter() - started)
            return error_response(error.refusal)
        _note(metrics, request, answered, time.perf_counter() - started)
        headers = {"Idempotent-Replayed": "true"} if answered.replayed else None
        return Response(answered.body, media_type=JSON, headers=headers)

    async def generate_signals(request: Request) -> Response:
        started = time.perf_counter()
        try:
            body = await read_json_body(request, BATCH_LIMIT_BYTES)
            made = await service.generate_many(body, request_id(request))
        except RefusedError as error:
            _note(metrics, request, error.refusal, time.perf_counter() - started)
            return error_response(error.refusal)
        # What a request of the batch took is its part of the whole.
        for one in made:
            _note(metrics, request, one, (time.perf_counter() - started) / len(made))
        return json_response({"answers": [_batch_answer(one) for one in made]})

    for prefix in ("", "orchestrator/"):
        api.post(
            f"/{prefix}generate_signal",
            summary="Ask for a signal",
            operation_id=f"{prefix}generate_signal",
            openapi_extra=signal_operation(BODY_LIMIT_BYTES),
        )(generate_signal)
        take_shortcut(api, f"/{prefix}generate_signal", generate_signal)
        api.post(
            f"/{prefix}generate_signals",
            summary=f"Ask for up to {MOST_REQUESTS} signals",
            operation_id=f"{prefix}generate_signals",
            openapi_extra=batch_operation(BATCH_LIMIT_BYTES),
        )(generate_signals)


def _note(metrics: SignalMetrics, request: Request, made: Answered | Refusal, elapsed: float) -> None:
    """Count and log one answer, or why there is none."""
    told = {"latency_ms": round(elapsed * 1000.0, 3), "request_id": request_id(request)}
    if isinstance(made, Refusal):
        metrics.count(made.code, elapsed)
        tell_request("signal refused", {"code": made.code, "field": made.field, "value": made.value, **told})
    else:
        metrics.count(made.action, elapsed)
        tell_request("signal", {"symbol": made.symbol, "action": made.action, "replayed": made.replayed, **told})


def _batch_answer(made: Answered | Refusal) -> dict[str, Any]:
    if isinstance(made, Refusal):
        return {"status": STATUS[made.code], "error": shown_error(made), "retry_after_seconds": made.retry_after_s}
    return {"status": 200, "signal": msgspec.Raw(made.body), "replayed": made.replayed}


def _read_gauges(metrics: SignalMetrics, service: SignalService) -> None:
    refresher, publisher = service.refresher, service.publisher
    metrics.snapshot_age.set(refresher.age_s() or 0.0)
    metrics.refresh_failures.set(refresher.failures)
    views = list(refresher.snapshot.views())
    metrics.markets.set(len(views))
    metrics.strategies.set(sum(len(view.strategies) for view in views))
    if publisher is not None:
        metrics.published.set(publisher.published)
        metrics.dropped.set(publisher.dropped)
        metrics.waiting.set(publisher.waiting)


def _add_health(api: FastAPI, service: SignalService) -> None:
    refresher = service.refresher
    add_health_routes(
        api,
        is_alive=lambda: refresher.is_alive(),
        problem=lambda: None if refresher.ready else "loading the first snapshot",
        readiness=lambda: {
            "snapshot_age_seconds": refresher.age_s(),
            "symbols": len(refresher.snapshot.markets),
            "last_error": refresher.last_error,
        },
        texts=HealthTexts(
            stopped="the refresher has stopped",
            dead="it hangs",
            not_ready="the first snapshot is not loaded",
            question="Can it answer?",
        ),
    )
