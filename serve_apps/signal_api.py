"""The HTTP side of the signal service: routes, errors, documents."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

import alpharay
from alpharay.signals.answer import SignalAnswer
from alpharay.signals.refusal import RefusedError
from alpharay.signals.request import EXAMPLE, SignalRequest
from alpharay.signals.snapshot import StrategyVote
from serve_apps.edges.edges import Edges
from serve_apps.signal_metrics import SignalMetrics
from serve_apps.signal_service import SignalService
from serve_apps.web.docs_page import PAGE_POLICY, docs_page
from serve_apps.web.error_routes import add_error_routes
from serve_apps.web.errors import STATUS, error_response
from serve_apps.web.json_body import read_json_body

BODY_LIMIT_BYTES = 4096
PATHS = ("/generate_signal", "/health", "/ready", "/health/live", "/health/ready", "/status", "/metrics", "/docs")
JSON = "application/json"

log = logging.getLogger("ray.serve")
"""Serve's own logger: its JSON lines carry route, replica and request id."""


def signal_api(service: SignalService, *, versions: dict[str, str], edges: Edges | None = None) -> FastAPI:
    """Return the service's ASGI application; it tells of the `edges` that it stands behind."""
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
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        try:
            body = await read_json_body(request, BODY_LIMIT_BYTES)
            answered = await service.generate(body, request_id[:128])
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
                    "request_id": request_id[:128],
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
                "request_id": request_id[:128],
            },
        )
        headers = {"Idempotent-Replayed": "true"} if answered.replayed else None
        return Response(answered.body, media_type=JSON, headers=headers)

    @api.get("/status", summary="Snapshot, markets, strategies, versions")
    async def status() -> Response:
        return _json({**service.status(), "edges": None if edges is None else edges.status(), "versions": versions})

    @api.get("/metrics", summary="Metrics of this replica in Prometheus' text format", response_class=PlainTextResponse)
    async def read_metrics() -> Response:
        _read_gauges(metrics, service)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    # After the route that must be found first.
    add_error_routes(api, PATHS)
    _add_health(api, service)
    _add_documents(api)
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
    async def live() -> Response:
        alive = service.refresher.is_alive()
        return _json({"status": "alive" if alive else "the refresher has stopped"}, 200 if alive else 503)

    async def ready() -> Response:
        refresher = service.refresher
        state = {
            "status": "ready" if refresher.ready else "loading the first snapshot",
            "snapshot_age_seconds": refresher.age_s(),
            "symbols": len(refresher.snapshot.markets),
            "last_error": refresher.last_error,
        }
        return _json(state, 200 if refresher.ready else 503)

    for path in ("/health", "/health/live"):
        api.get(path, summary="Is the process alive?", responses={503: {"description": "it hangs"}})(live)
    not_ready: dict[int | str, dict[str, Any]] = {503: {"description": "the first snapshot is not loaded"}}
    for path in ("/ready", "/health/ready"):
        api.get(path, summary="Can it answer?", responses=not_ready)(ready)


def _add_documents(api: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
            made.setdefault("components", {})["schemas"] = _schemas()
            api.openapi_schema = made
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign] # FastAPI's way to extend the document

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(document()), headers={"Content-Security-Policy": PAGE_POLICY})

    @api.get("/", include_in_schema=False)
    async def index() -> Response:
        return _json({"service": api.title, "version": api.version, "paths": PATHS})


def _schemas() -> dict[str, Any]:
    types = (SignalRequest, SignalAnswer, StrategyVote)
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas["SignalAnswer"]["properties"]["strategies"] = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/StrategyVote"},
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
        content = {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        return {"description": meaning, "content": content}

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
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {"$ref": "#/components/schemas/SignalRequest"},
                    "example": msgspec.json.decode(EXAMPLE),
                }
            },
        },
        "responses": {
            "200": answer("the signal", "SignalAnswer"),
            **{status: answer(meaning, "Error") for status, meaning in meanings.items()},
        },
    }


def _json(value: object, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status_code, media_type=JSON)
