"""The routes of the services that make up a signal, each under its own prefix with its own health and metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import PlainTextResponse, Response

from alpharay.settings import SIGNAL_SERVICES
from alpharay.signals.request import MarketRequest
from serve_apps.signal_components import PREDICTION_EXAMPLE, SignalComponents
from serve_apps.signal_metrics import SignalMetrics
from serve_apps.web.answers import Answers, json_response
from serve_apps.web.documents import described, described_body

BODY_LIMIT_BYTES = 4096
COMPONENT_PATHS = (
    "/ml/predict", "/features/{symbol}", "/market-context/{symbol}", "/strategies/{symbol}", "/risk-check/{symbol}",
)  # fmt: skip
MEANINGS = {
    400: "the body is no JSON object",
    401: "an API key or access token is needed, or the one sent is not valid",
    403: "the key or token lacks the scope `read`",
    404: "no candles of this symbol, time frame or exchange are stored; near symbols are named",
    413: f"the body has more than {BODY_LIMIT_BYTES} bytes",
    415: "Content-Type is not application/json",
    422: "a field is missing, unknown or wrong; the answer names it and its value",
    429: "the client has sent too many requests; Retry-After tells when to go on",
    503: "busy, or the first snapshot is not loaded yet; Retry-After tells when to ask again",
    504: "no answer in time",
}
"""What each status says, for the document."""

Timeframe = Annotated[str | None, Query(description="1m, 1h, 1d …; the best known one if absent")]
Exchange = Annotated[str | None, Query(description="the one with the most evidence if absent")]
Component = Callable[[str, str | None, str | None], dict[str, Any]]


def add_components(api: FastAPI, components: SignalComponents, metrics: SignalMetrics) -> None:
    """Add the routes of the components; the answers carry what their name says."""
    answers = Answers(
        "signal component",
        metrics.component_requests,
        metrics.component_seconds,
        told=("symbol", "timeframe"),
        body_limit_bytes=BODY_LIMIT_BYTES,
    )

    @api.post(
        "/ml/predict",
        summary="The active model's probability of a rise",
        openapi_extra=described_body(MarketRequest, {MarketRequest: PREDICTION_EXAMPLE}, MEANINGS),
    )
    async def predict(request: Request) -> Response:
        return await answers.answer_body(request, "ml/predict", components.prediction)

    for prefix, summary, ask in (
        ("features", "The features that models see, from several time frames", components.features),
        ("market-context", "Momentum, volatility by its own history, regime, sentiment", components.market_context),
        ("strategies", "Every strategy's vote, and theirs together", components.strategies),
        ("risk-check", "The suggested size, and what halts and limits leave of it", components.risk_check),
    ):
        _add_component(api, prefix, summary, ask, answers)


def _add_component(api: FastAPI, prefix: str, summary: str, ask: Component, answers: Answers) -> None:
    @api.get(
        f"/{prefix}/{{symbol:path}}",
        summary=summary,
        operation_id=prefix,
        responses=described(MEANINGS, 401, 403, 404, 422, 429, 503, 504),
    )
    async def component(
        request: Request, symbol: str, timeframe: Timeframe = None, exchange: Exchange = None
    ) -> Response:
        return await answers.answer(request, prefix, partial(ask, symbol, timeframe, exchange))


def add_service_health(api: FastAPI, is_alive: Callable[[], bool], metrics_text: Callable[[], bytes]) -> None:
    """Add `/health` and `/metrics` under each prefix; before the routes that take any path below it."""

    async def health() -> Response:
        alive = is_alive()
        return json_response({"status": "alive" if alive else "the refresher has stopped"}, 200 if alive else 503)

    async def metrics() -> Response:
        return Response(metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for prefix in SIGNAL_SERVICES:
        api.get(
            f"/{prefix}/health", summary="Is the process alive?", operation_id=f"{prefix}-health",
            responses={503: {"description": "it hangs"}},
        )(health)  # fmt: skip
        api.get(
            f"/{prefix}/metrics", summary="The metrics of /metrics", operation_id=f"{prefix}-metrics",
            response_class=PlainTextResponse,
        )(metrics)  # fmt: skip
