"""The route of the stream of signals."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import Response

from alpharay.signals.event import StreamPosition
from alpharay.signals.refusal import RefusedError, refuse
from alpharay.signals.request import MarketRequest
from serve_apps.service_log import log
from serve_apps.signal_metrics import SignalMetrics
from serve_apps.signal_service import SignalService
from serve_apps.signal_stream import EVENT_STREAM, MOST_SYMBOLS, SignalStream, StreamPlaces, signal_events
from serve_apps.web.answers import request_id
from serve_apps.web.documents import described
from serve_apps.web.errors import error_response

MEANINGS = {
    401: "an API key or access token is needed, or the one sent is not valid",
    403: "the key or token lacks the scope `read`",
    404: "no candles of a symbol, time frame or exchange are stored; near symbols are named",
    422: "symbols are missing, too many or wrong; the answer names the field and its value",
    429: "the client has sent too many requests; Retry-After tells when to go on",
    503: "busy, too many streams, or the first snapshot is not loaded yet; Retry-After tells when to ask again",
    504: "no answer in time",
}


def add_stream(api: FastAPI, service: SignalService, places: StreamPlaces, metrics: SignalMetrics) -> None:
    """Add `GET /signals/stream`."""

    async def stream(
        request: Request,
        symbols: Annotated[str, Query(description=f"SOL,BTC/USD,…: 1 to {MOST_SYMBOLS}")] = "",
        timeframe: Annotated[str | None, Query(description="1m, 1h, 1d …; the best known one if absent")] = None,
        exchange: Annotated[str | None, Query(description="the one with the most evidence if absent")] = None,
        last_event_id: Annotated[
            str | None, Header(description="the id of the last event that was seen: what it tells is not told again")
        ] = None,
    ) -> Response:
        try:
            markets = _markets(service, symbols, timeframe, exchange)
        except RefusedError as error:
            refusal = error.refusal
            metrics.component_requests.labels("signals/stream", refusal.code).inc()
            told = {"code": refusal.code, "field": refusal.field, "value": refusal.value}
            log.info("stream refused", extra={**told, "request_id": request_id(request)})
            return error_response(refusal)
        metrics.component_requests.labels("signals/stream", "ok").inc()
        log.info("stream", extra={"symbols": [one.symbol for one in markets], "request_id": request_id(request)})
        names = [(one.exchange or "", one.symbol, one.timeframe or "") for one in markets]
        position = StreamPosition(names, last_event_id)
        return SignalStream(places, signal_events(markets, position, service.newest_candle, service.event, places))

    for prefix in ("", "orchestrator/"):
        api.get(
            f"/{prefix}signals/stream",
            summary="A signal of each symbol at each newly closed candle, as server-sent events",
            operation_id=f"{prefix}signals/stream",
            response_class=Response,
            responses={
                200: {"description": "events: signal, refused, end", "content": {EVENT_STREAM: {}}},
                **described(MEANINGS, *MEANINGS),
            },
        )(stream)


def _markets(service: SignalService, symbols: str, timeframe: str | None, exchange: str | None) -> list[MarketRequest]:
    """Return the markets that answer now, each named in full, so that the stream stays with them."""
    asked = list(dict.fromkeys(one.strip() for one in symbols.split(",") if one.strip()))
    if not asked:
        raise refuse("missing_field", "symbols is required", field="symbols", hint="/signals/stream?symbols=SOL,BTC")
    if len(asked) > MOST_SYMBOLS:
        raise refuse(
            "invalid_field",
            f"symbols must be at most {MOST_SYMBOLS}, were {len(asked)}",
            field="symbols",
            value=symbols,
            hint="open another stream for the others",
        )
    markets: dict[tuple[str, str, str], MarketRequest] = {}
    for symbol in asked:
        view = service.view(service.market(symbol, timeframe, exchange))
        markets[(view.exchange, view.symbol, view.timeframe)] = MarketRequest(
            symbol=view.symbol, timeframe=view.timeframe, exchange=view.exchange
        )
    return list(markets.values())
