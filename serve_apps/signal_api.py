"""The HTTP side of the signal service: routes, errors, documents."""

from __future__ import annotations

import logging
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

import alpharay
from alpharay.signals.answer import SignalAnswer
from alpharay.signals.refusal import RefusedError
from alpharay.signals.request import EXAMPLE, SignalRequest
from alpharay.signals.snapshot import StrategyVote
from serve_apps.edges.edges import Edges
from serve_apps.signal_analytics import SignalAnalytics
from serve_apps.signal_analytics_api import ANALYTICS_PATHS, add_analytics
from serve_apps.signal_metrics import SignalMetrics
from serve_apps.signal_service import SignalService
from serve_apps.web.answers import JSON, request_id
from serve_apps.web.documents import add_documents, body_schemas, request_body, schema_of
from serve_apps.web.error_routes import add_error_routes
from serve_apps.web.errors import STATUS, error_response
from serve_apps.web.health_routes import HealthTexts, add_health_routes, add_metrics_route, add_status_route
from serve_apps.web.json_body import read_json_body

BODY_LIMIT_BYTES = 4096
PATHS = ("/generate_signal", "/health", "/ready", "/health/live", "/health/ready", "/status", "/metrics", "/docs")

log = logging.getLogger("ray.serve")
"""Serve's own logger: its JSON lines carry route, replica and request id."""


def signal_api(
    service: SignalService,
    *,
    versions: dict[str, str],
    edges: Edges | None = None,
    analytics: SignalAnalytics | None = None,
) -> FastAPI:
    """Return the service's ASGI application; it tells of the `edges` that it stands behind, and has `analytics`."""
    api = FastAPI(
        title="AlphaRay signals",
        version=alpharay.__version__,
        description="Asks the stored strategies about a market and answers BUY, SELL or HOLD.",
        # FastAPI's own pages load their scripts from elsewhere; /docs below works offline.
        docs_url=None,
        redoc_url=None,
    )
    metrics = SignalMetrics()
    if edges is not None:
        edges.metrics.register(metrics.registry)

    @api.post("/generate_signal", summary="Ask for a signal", openapi_extra=_signal_operation())
    async def generate_signal(request: Request) -> Response:
        started = time.perf_counter()
        try:
            body = await read_json_body(request, BODY_LIMIT_BYTES)
            answered = await service.generate(body, request_id(request))
        except RefusedError as error:
            refusal = error.refusal
            elapsed = time.perf_counter() - started
            metrics.requests.labels(refusal.code).inc()
            metrics.seconds.observe(elapsed)
            log.info(
                "signal refused",
                extra={
                    "code": refusal.code,
                    "field": refusal.field,
                    "value": refusal.value,
                    "latency_ms": round(elapsed * 1000.0, 3),
                    "request_id": request_id(request),
                },
            )
            return error_response(refusal)
        elapsed = time.perf_counter() - started
        metrics.requests.labels(answered.action).inc()
        metrics.seconds.observe(elapsed)
        log.info(
            "signal",
            extra={
                "symbol": answered.symbol,
                "action": answered.action,
                "replayed": answered.replayed,
                "latency_ms": round(elapsed * 1000.0, 3),
                "request_id": request_id(request),
            },
        )
        headers = {"Idempotent-Replayed": "true"} if answered.replayed else None
        return Response(answered.body, media_type=JSON, headers=headers)

    def metrics_text() -> bytes:
        _read_gauges(metrics, service)
        return metrics.text()

    if analytics is not None:
        add_analytics(api, analytics, metrics.registry)
    paths = PATHS if analytics is None else (*PATHS, *ANALYTICS_PATHS)
    add_status_route(api, "Snapshot, markets, strategies, versions", service.status, edges=edges, versions=versions)
    add_metrics_route(api, metrics_text)
    # After the route that must be found first.
    add_error_routes(api, paths)
    _add_health(api, service)
    add_documents(api, _schemas(), paths)
    return api


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


def _schemas() -> dict[str, Any]:
    schemas = body_schemas(SignalRequest, SignalAnswer, StrategyVote)
    schemas["SignalAnswer"]["properties"]["strategies"] = {
        "type": "array",
        "items": schema_of("StrategyVote"),
        "description": "the strategies behind it, those of most weight first",
    }
    text = {"type": ["string", "null"]}
    schemas["Error"] = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"enum": list(STATUS)},
                    "field": text,
                    "value": text,
                    "message": {"type": "string"},
                    "hint": text,
                },
            }
        },
    }
    return schemas


def _signal_operation() -> dict[str, Any]:
    """Return the OpenAPI parts that FastAPI cannot see: bodies are read and written by msgspec."""

    def answer(meaning: str, schema: str) -> dict[str, Any]:
        return {"description": meaning, "content": {JSON: {"schema": schema_of(schema)}}}

    meanings = {
        "400": "the body is no JSON object",
        "401": "an API key or access token is needed, or the one sent is not valid",
        "403": "the key or token lacks the scope `read`",
        "404": "no candles of this symbol, time frame or exchange are stored; near symbols are named",
        "409": "the newest candle is too old by the exchange's clock; Retry-After tells when to ask again",
        "413": f"the body has more than {BODY_LIMIT_BYTES} bytes",
        "415": "Content-Type is not application/json",
        "422": "a field is missing, unknown or wrong; the answer names it and its value",
        "429": "the client has sent too many requests; Retry-After tells when to go on",
        "503": "busy, or the first snapshot is not loaded yet; Retry-After tells when to ask again",
        "504": "no answer in time; the work was cancelled",
    }
    return {
        "requestBody": request_body(SignalRequest, EXAMPLE),
        "responses": {
            "200": answer("the signal", "SignalAnswer"),
            **{status: answer(meaning, "Error") for status, meaning in meanings.items()},
        },
    }
