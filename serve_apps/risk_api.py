"""The HTTP side of the risk service: routes, errors, documents."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

import alpharay
from alpharay.signals.refusal import refuse
from serve_apps.edges.edges import Edges
from serve_apps.risk_forecasts import LONGEST_HORIZON
from serve_apps.risk_metrics import RiskMetrics
from serve_apps.risk_requests import EXAMPLES, AssessRequest, HaltRequest, LimitsRequest, SwitchRequest, VarRequest
from serve_apps.risk_service import RiskService
from serve_apps.web.answers import Answers
from serve_apps.web.documents import add_documents, body_schemas, described, described_body
from serve_apps.web.error_routes import add_error_routes
from serve_apps.web.health_routes import HealthTexts, add_health_routes, add_metrics_route, add_status_route
from serve_apps.web.query_numbers import any_number, whole_number

BODY_LIMIT_BYTES = 128 * 1024
PATHS = (
    "/volatility/{symbol}", "/regime/{symbol}", "/hedge", "/var", "/assess", "/halt", "/resume", "/halts",
    "/limits/{account}",
    "/health", "/ready", "/health/live", "/health/ready", "/status", "/metrics", "/docs",
)  # fmt: skip
MEANINGS = {
    400: "the body is no JSON object",
    401: "an API key or access token is needed, or the one sent is not valid",
    403: "the key or token lacks the scope: `read`, and `admin` for the switch and the limits",
    404: "the symbol, pair or account is unknown; known ones are named",
    413: f"the body has more than {BODY_LIMIT_BYTES} bytes",
    415: "Content-Type is not application/json",
    422: "a field is missing, unknown or wrong; the answer names it and its value",
    429: "the client has sent too many requests; Retry-After tells when to go on",
    503: "busy, nothing is loaded yet, or the database is away or was last read too long ago; mostly with Retry-After",
    504: "no answer in time",
}
"""What each status says, for the document."""
TOLD = ("symbol", "account", "notional", "halted")
"""What a line of the log repeats of an answer."""


Timeframe = Annotated[str | None, Query(description="1m, 1h, 1d …; the shortest that is calibrated when left out")]
Exchange = Annotated[str | None, Query(description="needed where several are calibrated")]


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
    answers = Answers("risk", metrics.requests, metrics.seconds, told=TOLD, body_limit_bytes=BODY_LIMIT_BYTES)
    # What computes for milliseconds, and what waits for the database: neither may hold up the other, nor /assess.
    _add_models(api, service, answers, ThreadPoolExecutor(2, thread_name_prefix="risk-models"))
    _add_trading(api, service, answers, ThreadPoolExecutor(4, thread_name_prefix="risk-writes"))
    add_error_routes(api, PATHS)
    _add_health(api, service)
    add_metrics_route(api, partial(metrics.text, service))
    add_status_route(api, "Models, switches, edges, versions", service.status, edges=edges, versions=versions)
    add_documents(api, body_schemas(*EXAMPLES), PATHS)
    return api


def _add_models(api: FastAPI, service: RiskService, answers: Answers, models: Executor) -> None:
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
            steps = whole_number("horizon", horizon, 1, LONGEST_HORIZON)
            return service.forecasts.volatility(
                symbol, timeframe, exchange, steps, any_number("level", level, 0.5, 0.999)
            )

        return await answers.answer(request, "volatility", ask, models)

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
            return service.forecasts.regime(symbol, timeframe, exchange, whole_number("recent", recent, 1, 1_000))

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

        return await answers.answer(request, "hedge", ask, models)

    @api.post("/var", summary="Value at risk and expected shortfall of a portfolio", openapi_extra=_body(VarRequest))
    async def value_at_risk(request: Request) -> Response:
        return await answers.answer_body(request, "var", service.forecasts.value_at_risk, models)


def _add_trading(api: FastAPI, service: RiskService, answers: Answers, writes: Executor) -> None:
    @api.post("/assess", summary="How much of a trade do all limits allow?", openapi_extra=_body(AssessRequest))
    async def assess(request: Request) -> Response:
        return await answers.answer_body(request, "assess", service.assess)

    @api.post("/halt", summary="Kill switch: stop an account, or all", openapi_extra=_body(HaltRequest))
    async def halt(request: Request) -> Response:
        return await answers.answer_body(request, "halt", service.halt, writes)

    @api.post("/resume", summary="Let an account, or all, trade again", openapi_extra=_body(SwitchRequest))
    async def resume(request: Request) -> Response:
        return await answers.answer_body(request, "resume", service.resume, writes)

    @api.put("/limits/{account}", summary="Set all limits of an account", openapi_extra=_body(LimitsRequest))
    async def limits(request: Request, account: str) -> Response:
        return await answers.answer_body(request, "limits", partial(service.set_limits, account), writes)

    @api.get("/halts", summary="All switches, breakers and limits, and who changed them last", responses=_told(503))
    async def halts(request: Request) -> Response:
        return await answers.answer(request, "halts", service.halts)


def _add_health(api: FastAPI, service: RiskService) -> None:
    models, switches = service.models, service.switches
    add_health_routes(
        api,
        is_alive=lambda: models.is_alive() and switches.is_alive(),
        problem=lambda: service.problem,
        readiness=lambda: {
            "switches_age_seconds": switches.age_s(),
            "models_age_seconds": models.age_s(),
            "last_error": switches.last_error or models.last_error,
        },
        texts=HealthTexts(stopped="a refresher has stopped", dead=MEANINGS[503], not_ready=MEANINGS[503]),
    )


def _body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return described_body(kind, EXAMPLES, MEANINGS)


def _told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return described(MEANINGS, *statuses)
