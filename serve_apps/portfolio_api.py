"""The HTTP side of the portfolio service: routes, errors, documents."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

import alpharay
from alpharay.store.trading_halts import PAPER
from serve_apps.edges.edges import Edges
from serve_apps.portfolio_metrics import PortfolioMetrics
from serve_apps.portfolio_requests import (
    EXAMPLES,
    LARGEST_TIME_MS,
    MOST_OBSERVATIONS,
    MarginalRiskRequest,
    OrderRequest,
    SizeRequest,
)
from serve_apps.portfolio_service import STATUSES, PortfolioService
from serve_apps.portfolio_signal_orders import SignalOrders
from serve_apps.signal_order_requests import SIGNAL_ORDER_EXAMPLE, SignalOrderRequest
from serve_apps.web.answers import Answers, request_id
from serve_apps.web.documents import add_documents, body_schemas, described, described_body
from serve_apps.web.error_routes import add_error_routes
from serve_apps.web.health_routes import HealthTexts, add_health_routes, add_metrics_route, add_status_route
from serve_apps.web.query_numbers import any_number, whole_number

BODY_LIMIT_BYTES = 64 * 1024
MOST_ROWS = 1_000
MOST_POINTS = 5_000
SIGNAL_THREADS = 8
DATABASE_THREADS = 4
"""As many as connections: more would only wait for one."""

PATHS = (
    "/accounts/{account}/positions", "/accounts/{account}/equity", "/accounts/{account}/risk", "/risk/marginal",
    "/strategies/selected",
    "/orders", "/orders/{order_id}", "/orders/from-signal", "/fills", "/performance", "/size",
    "/health", "/ready", "/health/live", "/health/ready", "/status", "/metrics", "/docs",
)  # fmt: skip
MEANINGS = {
    400: "the body is no JSON object",
    401: "an API key or access token is needed, or the one sent is not valid",
    403: "the key or token lacks the scope: `read`, and `trade` to place or cancel an order",
    404: "the account, order or signal is unknown",
    409: "trading is halted, a price is missing or too old, or the risk cannot be told",
    413: f"the body has more than {BODY_LIMIT_BYTES} bytes",
    415: "Content-Type is not application/json",
    422: "a field is missing, unknown or wrong, or the order_id is another order's; the answer names it and its value",
    429: "the client has sent too many requests; Retry-After tells when to go on",
    503: "busy, or the database is away; with Retry-After",
    504: "no answer in time",
}
"""What each status says, for the document."""
TOLD = ("account", "order_id", "symbol", "side", "dry_run", "stored")
"""What a line of the log repeats of an answer."""

AccountId = Annotated[str, Query(description="whose")]
Rows = Annotated[str, Query(description=f"the newest so many, 1 to {MOST_ROWS}")]


def portfolio_api(
    service: PortfolioService, signals: SignalOrders, *, versions: dict[str, str], edges: Edges | None = None
) -> FastAPI:
    """Return the service's ASGI application; it tells of the `edges` that it stands behind."""
    api = FastAPI(
        title="AlphaRay portfolio",
        version=alpharay.__version__,
        description="Positions, performance, sizes and orders.",
        # FastAPI's own pages load their scripts from elsewhere; /docs below works offline.
        docs_url=None,
        redoc_url=None,
    )
    metrics = PortfolioMetrics()
    if edges is not None:
        edges.metrics.register(metrics.registry)
    answers = Answers("portfolio", metrics.requests, metrics.seconds, told=TOLD, body_limit_bytes=BODY_LIMIT_BYTES)
    database = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="portfolio-database")
    _add_reading(api, service, answers, database)
    _add_risk(api, service, answers, database)
    _add_trading(api, service, answers, database)
    _add_signals(api, signals, answers)
    add_error_routes(api, PATHS)
    _add_health(api, service)
    add_metrics_route(api, partial(metrics.text, service))
    add_status_route(api, "Accounts, prices, edges, versions", service.status, edges=edges, versions=versions)
    add_documents(api, body_schemas(*EXAMPLES, SignalOrderRequest), PATHS)
    return api


def _add_reading(api: FastAPI, service: PortfolioService, answers: Answers, database: Executor) -> None:
    @api.get(
        "/accounts/{account}/positions",
        summary="Positions, cash and equity at the newest closes",
        responses=_told(404, 409, 503),
    )
    async def positions(request: Request, account: str) -> Response:
        return await answers.answer(request, "positions", partial(service.positions, account), database)

    @api.get(
        "/performance",
        summary="An account's return, drawdown from its best and today's loss",
        responses=_told(404, 409, 503),
    )
    async def performance(request: Request, account: AccountId = PAPER) -> Response:
        return await answers.answer(request, "performance", partial(service.performance, account), database)

    @api.get("/orders", summary="An account's newest orders", responses=_told(404, 422, 503))
    async def orders(
        request: Request,
        account: AccountId = PAPER,
        status: Annotated[str | None, Query(description=f"one of {', '.join(STATUSES)}; all if absent")] = None,
        limit: Rows = "100",
    ) -> Response:
        def ask() -> Any:
            return service.orders(account, status, whole_number("limit", limit, 1, MOST_ROWS))

        return await answers.answer(request, "orders", ask, database)

    @api.get("/orders/{order_id}", summary="An order as it stands", responses=_told(404, 422, 503))
    async def order(request: Request, order_id: str) -> Response:
        return await answers.answer(request, "order", partial(service.order, order_id), database)

    @api.get("/fills", summary="An account's newest fills", responses=_told(404, 422, 503))
    async def fills(request: Request, account: AccountId = PAPER, limit: Rows = "100") -> Response:
        def ask() -> Any:
            return service.fills(account, whole_number("limit", limit, 1, MOST_ROWS))

        return await answers.answer(request, "fills", ask, database)


def _add_risk(api: FastAPI, service: PortfolioService, answers: Answers, database: Executor) -> None:
    @api.get(
        "/accounts/{account}/equity",
        summary="An account's equity over time, and its drawdowns",
        responses=_told(404, 422, 503),
    )
    async def equity(
        request: Request,
        account: str,
        start: Annotated[str | None, Query(alias="from", description="UTC ms; a day before `to` if absent")] = None,
        end: Annotated[str | None, Query(alias="to", description="UTC ms, not included; now if absent")] = None,
        points: Annotated[str, Query(description=f"at most so many, 1 to {MOST_POINTS}")] = "1000",
    ) -> Response:
        def ask() -> Any:
            first, last = (
                None if text is None else whole_number(name, text, 0, LARGEST_TIME_MS)
                for name, text in (("from", start), ("to", end))
            )
            return service.equity(account, first, last, whole_number("points", points, 1, MOST_POINTS))

        return await answers.answer(request, "equity", ask, database)

    @api.get(
        "/accounts/{account}/risk",
        summary="An account's exposure, heat and value at risk, and whose they are",
        responses=_told(404, 409, 422, 503),
    )
    async def risk(
        request: Request,
        account: str,
        level: Annotated[str, Query(description="of the values at risk, 0.5 to 0.9999")] = "0.99",
        observations: Annotated[str, Query(description=f"returns they rest on, 2 to {MOST_OBSERVATIONS}")] = "500",
        stop_deviations: Annotated[str, Query(description="how far a stop is, in deviations of a candle")] = "2",
    ) -> Response:
        def ask() -> Any:
            return service.risk(
                account,
                any_number("level", level, 0.5, 0.9999),
                whole_number("observations", observations, 2, MOST_OBSERVATIONS),
                any_number("stop_deviations", stop_deviations, 0.001, 100.0),
            )

        return await answers.answer(request, "risk", ask, database)

    @api.get(
        "/strategies/selected",
        summary="Which strategies speak for each market, with what weight, and why",
        responses=_told(422, 503),
    )
    async def selected(
        request: Request,
        exchange: Annotated[str | None, Query(description="all if absent")] = None,
        symbol: Annotated[str | None, Query(description="all if absent")] = None,
        timeframe: Annotated[str | None, Query(description="all if absent")] = None,
        limit: Annotated[str, Query(description=f"at most so many markets, 1 to {MOST_ROWS}")] = "100",
    ) -> Response:
        def ask() -> Any:
            return service.selected(exchange, symbol, timeframe, whole_number("limit", limit, 1, MOST_ROWS))

        return await answers.answer(request, "selected", ask, database)

    @api.post(
        "/risk/marginal",
        summary="What one more trade does to an account's risk",
        openapi_extra=_body(MarginalRiskRequest),
    )
    async def marginal_risk(request: Request) -> Response:
        return await answers.answer_body(request, "marginal_risk", service.marginal_risk, database)


def _add_trading(api: FastAPI, service: PortfolioService, answers: Answers, database: Executor) -> None:
    # What computes, apart from what waits for the database.
    sizes = ThreadPoolExecutor(2, thread_name_prefix="portfolio-sizes")

    @api.post(
        "/size",
        summary="How much of the equity a trade gets, by each method, and why",
        openapi_extra=_body(SizeRequest),
    )
    async def size(request: Request) -> Response:
        return await answers.answer_body(request, "size", service.size, sizes)

    @api.post(
        "/orders",
        summary="Size, assess and place an order; `dry_run` unless it is set to false",
        openapi_extra=_body(OrderRequest),
    )
    async def place(request: Request) -> Response:
        ask = partial(service.place, correlation_id=request_id(request))
        return await answers.answer_body(request, "place", ask, database)

    @api.delete("/orders/{order_id}", summary="Ask for an order to be cancelled", responses=_told(404, 422, 503))
    async def cancel(request: Request, order_id: str) -> Response:
        return await answers.answer(request, "cancel", partial(service.cancel, order_id), database)


def _add_signals(api: FastAPI, signals: SignalOrders, answers: Answers) -> None:
    # Those that wait for fills hold no connection meanwhile, and no thread that others need.
    walks = ThreadPoolExecutor(SIGNAL_THREADS, thread_name_prefix="portfolio-signals")

    @api.post(
        "/orders/from-signal",
        summary="Walk a signal to a booked order; `dry_run` unless it is set to false",
        openapi_extra=described_body(SignalOrderRequest, {SignalOrderRequest: SIGNAL_ORDER_EXAMPLE}, MEANINGS),
    )
    async def from_signal(request: Request) -> Response:
        ask = partial(signals.place, correlation_id=request_id(request))
        return await answers.answer_body(request, "from_signal", ask, walks)


def _add_health(api: FastAPI, service: PortfolioService) -> None:
    accounts = service.accounts
    add_health_routes(
        api,
        is_alive=lambda: accounts.is_alive(),
        problem=lambda: service.problem,
        readiness=lambda: {"accounts_age_seconds": accounts.age_s(), "last_error": accounts.last_error},
        texts=HealthTexts(stopped="the refresher has stopped", dead=MEANINGS[503], not_ready=MEANINGS[503]),
    )


def _body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return described_body(kind, EXAMPLES, MEANINGS)


def _told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return described(MEANINGS, *statuses)
