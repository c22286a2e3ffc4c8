"""The routes under `/analytics`, which another application includes by one call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from alpharay.analytics.record import Chosen
from serve_apps.signal_analytics import SignalAnalytics
from serve_apps.web.answers import Answers
from serve_apps.web.documents import described
from serve_apps.web.query_numbers import whole_number

ANALYTICS_PATHS = (
    "/analytics/summary", "/analytics/by-strategy", "/analytics/by-symbol", "/analytics/calibration",
    "/analytics/signals/{signal_id}",
)  # fmt: skip
MOST_STRATEGIES = 1_000
MOST_BINS = 100
MEANINGS = {
    401: "an API key or access token is needed, or the one sent is not valid",
    403: "the key or token lacks the scope `read`",
    404: "no signal was about this market, or no signal with this id is stored",
    422: "a field of the query is wrong; the answer names it and its value",
    429: "the client has sent too many requests; Retry-After tells when to go on",
    503: "busy, the record is not loaded yet, or the database is away; with Retry-After",
    504: "no answer in time",
}
"""What each status says, for the document."""

Symbol = Annotated[str | None, Query(description="SOL/USD, or SOL for the default quote; all if absent")]
Exchange = Annotated[str | None, Query(description="all if absent")]
Timeframe = Annotated[str | None, Query(description="1m, 1h, 1d …; all if absent")]


async def chosen_signals(symbol: Symbol = None, exchange: Exchange = None, timeframe: Timeframe = None) -> Chosen:
    """Return which signals a query asks about."""
    return Chosen(symbol=symbol, exchange=exchange, timeframe=timeframe)


OfThese = Annotated[Chosen, Depends(chosen_signals)]


def add_analytics(api: FastAPI, analytics: SignalAnalytics, registry: CollectorRegistry) -> None:
    """Add the routes and their metrics."""
    answers = Answers(
        "analytics", *_metrics(analytics, registry), told=("ending", "record_age_seconds"), body_limit_bytes=0
    )
    # What computes, apart from what waits for the database.
    figures = ThreadPoolExecutor(1, thread_name_prefix="signal-analytics")
    database = ThreadPoolExecutor(2, thread_name_prefix="signal-analytics-database")

    @api.get("/analytics/summary", summary="Signals, endings, hit rate and profit, in all and by action",
             responses=_told())  # fmt: skip
    async def summary(request: Request, chosen: OfThese) -> Response:
        return await answers.answer(request, "summary", partial(analytics.summary, chosen), figures)

    @api.get("/analytics/by-symbol", summary="The same of each market", responses=_told())
    async def by_symbol(request: Request, chosen: OfThese) -> Response:
        return await answers.answer(request, "by-symbol", partial(analytics.by_symbol, chosen), figures)

    @api.get("/analytics/by-strategy", summary="The same of each strategy's own signals", responses=_told())
    async def by_strategy(
        request: Request,
        chosen: OfThese,
        limit: Annotated[str, Query(description=f"those with most to say, 1 to {MOST_STRATEGIES}")] = "100",
    ) -> Response:
        def ask() -> Any:
            most = whole_number("limit", limit, 1, MOST_STRATEGIES)
            return analytics.by_strategy(chosen, most)

        return await answers.answer(request, "by-strategy", ask, figures)

    @api.get("/analytics/calibration", summary="Confidence against the hit rate that came of it", responses=_told())
    async def calibration(
        request: Request,
        chosen: OfThese,
        bins: Annotated[str, Query(description=f"of confidence, 1 to {MOST_BINS}")] = "10",
    ) -> Response:
        def ask() -> Any:
            parts = whole_number("bins", bins, 1, MOST_BINS)
            return analytics.calibration(chosen, parts)

        return await answers.answer(request, "calibration", ask, figures)

    @api.get("/analytics/signals/{signal_id:path}", summary="One signal and what became of it", responses=_told())
    async def signal(request: Request, signal_id: str) -> Response:
        return await answers.answer(request, "signal", partial(analytics.signal, signal_id), database)


def _metrics(analytics: SignalAnalytics, registry: CollectorRegistry) -> tuple[Counter, Histogram]:
    age = Gauge(
        "alpharay_analytics_record_age_seconds", "Time since the record of signals was read.", registry=registry
    )
    age.set_function(lambda: analytics.record.age_s() or 0.0)
    decisions = Gauge("alpharay_analytics_decisions", "Decisions with an outcome in the record.", registry=registry)
    decisions.set_function(lambda: len(analytics.record.held.decisions))
    requests = Counter(
        "alpharay_analytics_requests", "Answers by route and outcome.", ["route", "outcome"], registry=registry
    )
    seconds = Histogram(
        "alpharay_analytics_request_seconds", "Time to an answer, by route.", ["route"], registry=registry
    )
    return requests, seconds


def _told() -> dict[int | str, dict[str, Any]]:
    return described(MEANINGS, *MEANINGS)
