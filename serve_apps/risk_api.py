"""The HTTP side of the risk service: routes, errors, documents."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

import alpharay
from alpharay.signals.refusal import RefusedError, refuse
from serve_apps.edges.edges import Edges
from serve_apps.risk_forecasts import LONGEST_HORIZON
from serve_apps.risk_metrics import RiskMetrics
from serve_apps.risk_requests import EXAMPLES, AssessRequest, SwitchRequest, VarRequest
from serve_apps.risk_service import RiskService
from serve_apps.web.docs_page import PAGE_POLICY, docs_page
from serve_apps.web.error_routes import add_error_routes
from serve_apps.web.errors import error_response
from serve_apps.web.json_body import read_json_body

BODY_LIMIT_BYTES = 128 * 1024
PATHS = (
    "/volatility/{symbol}", "/regime/{symbol}", "/hedge", "/var", "/assess", "/halt", "/resume", "/halts",
    "/health", "/ready", "/health/live", "/health/ready", "/status", "/metrics", "/docs",
)  # fmt: skip
JSON = "application/json"
MEANINGS = {
    400: "the body is no JSON object",
    401: "an API key or access token is needed, or the one sent is not valid",
    403: "the key or token lacks the scope: `read`, and `admin` for the switch",
    404: "the symbol, pair or account is unknown; known ones are named",
    413: f"the body has more than {BODY_LIMIT_BYTES} bytes",
    415: "Content-Type is not application/json",
    422: "a field is missing, unknown or wrong; the answer names it and its value",
    429: "the client has sent too many requests; Retry-After tells when to go on",
    503: "busy, nothing is loaded yet, or the database is away or was last read too long ago; mostly with Retry-After",
    504: "no answer in time",
}
"""What each status says, for the document."""


Timeframe = Annotated[str | None, Query(description="1m, 1h, 1d …; needed where several are calibrated")]
Exchange = Annotated[str | None, Query(description="needed where several are calibrated")]

log = logging.getLogger("ray.serve")
"""Serve's own logger: its JSON lines carry route, replica and request id."""


class _Answers:
    """Runs what a route asks for and answers, counts and logs it, whether it is refused or not."""

    def __init__(self, metrics: RiskMetrics) -> None:
        self._metrics = metrics
        # What computes for milliseconds, and what waits for the database: neither may hold up the other, nor /assess.
        self.models = ThreadPoolExecutor(2, thread_name_prefix="risk-models")
        self.writes = ThreadPoolExecutor(4, thread_name_prefix="risk-writes")

    async def answer(
        self, request: Request, route: str, ask: Callable[[], Any], executor: Executor | None = None
    ) -> Response:
        return await self._told(request, route, lambda _: ask(), executor, with_body=False)

    async def answer_body(
        self, request: Request, route: str, ask: Callable[[bytes], Any], executor: Executor | None = None
    ) -> Response:
        return await self._told(request, route, ask, executor, with_body=True)

    async def _told(
        self,
        request: Request,
        route: str,
        ask: Callable[[bytes], Any],
        executor: Executor | None,
        *,
        with_body: bool,
    ) -> Response:
        started = time.perf_counter()
        request_id = (request.headers.get("x-request-id") or uuid.uuid4().hex)[:128]
        told: dict[str, Any] = {}
        try:
            body = await read_json_body(request, BODY_LIMIT_BYTES) if with_body else b""
            if executor is None:
                found = ask(body)
            else:
                found = await asyncio.get_running_loop().run_in_executor(executor, ask, body)
            outcome = found.get("decision", "ok")
            told = {name: found[name] for name in ("symbol", "account", "notional", "halted") if name in found}
            response = _json(found)
        except RefusedError as error:
            refusal = error.refusal
            outcome = refusal.code
            told = {"field": refusal.field, "value": refusal.value}
            response = error_response(refusal)
        elapsed = time.perf_counter() - started
        self._metrics.requests.labels(route, outcome).inc()
        self._metrics.seconds.labels(route).observe(elapsed)
        log.info(
            "risk",
            extra={
                "asked": route,
                "outcome": outcome,
                "latency_ms": round(elapsed * 1000.0, 3),
                "request_id": request_id,
                **told,
            },
        )
        return response


def risk_api(service: RiskService, *, versions: dict[str, str], edges: Edges | None = None) -> FastAPI:
    """Return the service's ASGI application; it tells of the `edges` that it stands behind."""
    api = FastAPI(
        title="AlphaRay risk",
        version=alpharay.__version__,
        description="Volatility, regimes, hedges, value at risk, limits and the kill switch.",
        # FastAPI's own pages load their scripts from elsewhere; /docs below works offline.
        docs_url=None,
        redoc_url=None,
    )
    metrics = RiskMetrics()
    if edges is not None:
        edges.metrics.register(metrics.registry)
    answers = _Answers(metrics)
    _add_models(api, service, answers)
    _add_trading(api, service, answers)
    add_error_routes(api, PATHS)
    _add_health(api, service, metrics)
    _add_status(api, service, edges, versions)
    _add_documents(api)
    return api


def _add_models(api: FastAPI, service: RiskService, answers: _Answers) -> None:
    @api.get(
        "/volatility/{symbol:path}",
        summary="Forecast of a market's volatility, with intervals",
        responses=_told(404, 422, 503),
    )
    async def volatility(
        request: Request,
        symbol: str,
        timeframe: Timeframe = None,
        exchange: Exchange = None,
        horizon: Annotated[str, Query(description=f"candles ahead, 1 to {LONGEST_HORIZON}")] = "24",
        level: Annotated[str, Query(description="share of outcomes inside the intervals, 0.5 to 0.999")] = "0.95",
    ) -> Response:
        def ask() -> Any:
            steps = _whole("horizon", horizon, 1, LONGEST_HORIZON)
            return service.forecasts.volatility(symbol, timeframe, exchange, steps, _number("level", level, 0.5, 0.999))

        return await answers.answer(request, "volatility", ask, answers.models)

    @api.get(
        "/regime/{symbol:path}",
        summary="Has the market's regime changed? Its length, mean, volatility",
        responses=_told(404, 422, 503),
    )
    async def regime(
        request: Request,
        symbol: str,
        timeframe: Timeframe = None,
        exchange: Exchange = None,
        recent: Annotated[str, Query(description="a change within so many candles is recent, 1 to 1000")] = "10",
    ) -> Response:
        def ask() -> Any:
            return service.forecasts.regime(symbol, timeframe, exchange, _whole("recent", recent, 1, 1_000))

        return await answers.answer(request, "regime", ask)

    @api.get(
        "/hedge", summary="How much of x hedges y: ratio, spread and its half-life", responses=_told(404, 422, 503)
    )
    async def hedge(
        request: Request,
        y: Annotated[str, Query(description="the symbol that is hedged")] = "",
        x: Annotated[str, Query(description="the symbol that hedges it")] = "",
        timeframe: Timeframe = None,
        exchange: Exchange = None,
    ) -> Response:
        def ask() -> Any:
            for name, value in (("y", y), ("x", x)):
                if not value:
                    raise refuse("missing_field", f"{name} is required", field=name, hint="/hedge?y=BTC/USD&x=ETH/USD")
            return service.forecasts.hedge(y, x, timeframe, exchange)

        return await answers.answer(request, "hedge", ask, answers.models)

    @api.post("/var", summary="Value at risk and expected shortfall of a portfolio", openapi_extra=_body(VarRequest))
    async def value_at_risk(request: Request) -> Response:
        return await answers.answer_body(request, "var", service.forecasts.value_at_risk, answers.models)


def _add_trading(api: FastAPI, service: RiskService, answers: _Answers) -> None:
    @api.post("/assess", summary="How much of a trade do all limits allow?", openapi_extra=_body(AssessRequest))
    async def assess(request: Request) -> Response:
        return await answers.answer_body(request, "assess", service.assess)

    @api.post("/halt", summary="Kill switch: stop an account, or all", openapi_extra=_body(SwitchRequest))
    async def halt(request: Request) -> Response:
        turn = partial(service.switch, halted=True)
        return await answers.answer_body(request, "halt", turn, answers.writes)

    @api.post("/resume", summary="Let an account, or all, trade again", openapi_extra=_body(SwitchRequest))
    async def resume(request: Request) -> Response:
        turn = partial(service.switch, halted=False)
        return await answers.answer_body(request, "resume", turn, answers.writes)

    @api.get("/halts", summary="All switches, breakers and limits, and who changed them last", responses=_told(503))
    async def halts(request: Request) -> Response:
        return await answers.answer(request, "halts", service.halts)


def _add_health(api: FastAPI, service: RiskService, metrics: RiskMetrics) -> None:
    async def live() -> Response:
        alive = service.models.is_alive() and service.switches.is_alive()
        return _json({"status": "alive" if alive else "a refresher has stopped"}, 200 if alive else 503)

    async def ready() -> Response:
        problem = service.problem
        state = {
            "status": "ready" if problem is None else problem,
            "switches_age_seconds": service.switches.age_s(),
            "models_age_seconds": service.models.age_s(),
            "last_error": service.switches.last_error or service.models.last_error,
        }
        return _json(state, 200 if problem is None else 503)

    for path in ("/health", "/health/live"):
        api.get(path, summary="Is the process alive?", responses=_told(503))(live)
    for path in ("/ready", "/health/ready"):
        api.get(path, summary="Can it answer everything?", responses=_told(503))(ready)

    @api.get("/metrics", summary="Metrics of this replica in Prometheus' text format", response_class=PlainTextResponse)
    async def read_metrics() -> Response:
        return Response(metrics.text(service), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_status(api: FastAPI, service: RiskService, edges: Edges | None, versions: dict[str, str]) -> None:
    @api.get("/status", summary="Models, switches, edges, versions")
    async def status() -> Response:
        return _json({**service.status(), "edges": edges and edges.status(), "versions": versions})


def _add_documents(api: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
            _, schemas = msgspec.json.schema_components(tuple(EXAMPLES), ref_template="#/components/schemas/{name}")
            made.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
            api.openapi_schema = made
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign] # FastAPI's way to extend the document

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(document()), headers={"Content-Security-Policy": PAGE_POLICY})

    @api.get("/", include_in_schema=False)
    async def index() -> Response:
        return _json({"service": api.title, "version": api.version, "paths": PATHS})


def _body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the OpenAPI parts that FastAPI cannot see: bodies are read by msgspec."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": schema, "example": msgspec.json.decode(EXAMPLES[kind])}},
        },
        "responses": {str(status): answer for status, answer in _told(*MEANINGS).items()},
    }


def _told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": MEANINGS[status]} for status in statuses}


def _whole(name: str, text: str, low: int, high: int) -> int:
    return int(_number(name, text, low, high, kind=int))


def _number(name: str, text: str, low: float, high: float, kind: Callable[[str], float] = float) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        what = "a whole number" if kind is int else "a number"
        raise refuse(
            "invalid_field", f"{name} must be {what} from {low} to {high}, was {text[:50]!r}", field=name, value=text
        )
    return value


def _json(value: object, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status_code, media_type=JSON)
