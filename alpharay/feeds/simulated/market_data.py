"""The part of Binance's spot REST API v3 that serves candles.

Source: Binance's "Rest API for Binance", sections General endpoints and Market data endpoints, and "Error
codes". What a candle file does not know (trade counts, quote volumes) is answered as 0, and a period without
a trade has no row, where Binance would put a flat one.
"""

from __future__ import annotations

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alpharay.feeds.simulated.exchange import SimulatedExchange, exchange_of
from alpharay.feeds.simulated.faults import Fault, spoil
from alpharay.feeds.simulated.parameters import RefusedRequestError, integer, only, required
from alpharay.feeds.simulated.replay import Market
from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms

DEFAULT_LIMIT = 500
MAX_LIMIT = 1000
_KLINES_PARAMETERS = frozenset({"symbol", "interval", "startTime", "endTime", "limit"})


async def ping(_request: Request) -> Response:
    """Answer that the exchange is there."""
    return JSONResponse({})


async def server_time(request: Request) -> Response:
    """Answer the replay's time."""
    return JSONResponse({"serverTime": exchange_of(request).clock.now_ms()})


async def exchange_info(request: Request) -> Response:
    """Answer the markets and the request limit."""
    exchange = exchange_of(request)
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return JSONResponse(
        {
            "timezone": "UTC",
            "serverTime": exchange.clock.now_ms(),
            "rateLimits": [{**weight, "limit": exchange.weight.limit}],
            "exchangeFilters": [],
            "symbols": [_market_info(market) for market in exchange.replay.markets.values()],
        }
    )


async def klines(request: Request) -> Response:
    """Answer candles; the newest may still be open."""
    exchange, query = exchange_of(request), request.query_params
    market = _market(exchange, request)
    interval = required(query, "interval")
    if interval not in exchange.replay.intervals(market):
        raise RefusedRequestError(-1120, "Invalid interval.")
    only(query, _KLINES_PARAMETERS)
    start_ms, end_ms, limit = (integer(query, name) for name in ("startTime", "endTime", "limit"))
    if limit == 0:
        raise RefusedRequestError(-1130, "Data sent for parameter 'limit' is not valid.")
    candles = exchange.replay.candles(
        market,
        interval,
        exchange.clock.now_ms(),
        start_ms=start_ms,
        end_ms=end_ms,
        limit=min(limit or DEFAULT_LIMIT, MAX_LIMIT),
    )
    rows = _with_fault(_kline_rows(candles), request.scope.get("fault"))
    return Response(msgspec.json.encode(rows), media_type="application/json")


async def ticker_price(request: Request) -> Response:
    """Answer the newest price of one market or of all."""
    exchange = exchange_of(request)
    if "symbol" in request.query_params:
        return JSONResponse(_price(exchange, _market(exchange, request)))
    return JSONResponse([_price(exchange, market) for market in exchange.replay.markets.values()])


async def refused(_request: Request, error: Exception) -> Response:
    """Answer a request that Binance would refuse."""
    assert isinstance(error, RefusedRequestError)
    return JSONResponse({"code": error.code, "msg": error.message}, status_code=400)


MARKET_DATA_ROUTES = (
    Route("/api/v3/ping", ping),
    Route("/api/v3/time", server_time),
    Route("/api/v3/exchangeInfo", exchange_info),
    Route("/api/v3/klines", klines),
    Route("/api/v3/ticker/price", ticker_price),
)


def _market(exchange: SimulatedExchange, request: Request) -> Market:
    market = exchange.replay.markets.get(required(request.query_params, "symbol"))
    if market is None:
        raise RefusedRequestError(-1121, "Invalid symbol.")
    return market


def _market_info(market: Market) -> dict[str, object]:
    smallest = "0.00000001"
    return {
        "symbol": market.identifier,
        "status": "TRADING",
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": [],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": smallest,
                "maxPrice": "100000000",
                "tickSize": smallest,
            },
            {"filterType": "LOT_SIZE", "minQty": smallest, "maxQty": "100000000", "stepSize": smallest},
        ],
        "permissions": ["SPOT"],
    }


def _with_fault(rows: list[list[object]], fault: Fault | None) -> list[list[object]]:
    if fault is None:
        return rows
    return [] if fault.kind == "empty_page" else spoil(rows, fault.row)


def _kline_rows(candles: Candles) -> list[list[object]]:
    length = timeframe_ms(candles.timeframe)
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    texts = [[_decimal(value) for value in column.tolist()] for column in columns]
    return [
        [time, *values, time + length - 1, "0", 0, "0", "0", "0"]
        for time, *values in zip(candles.open_time.tolist(), *texts, strict=True)
    ]


def _price(exchange: SimulatedExchange, market: Market) -> dict[str, str]:
    newest = exchange.replay.candles(
        market, market.candles.timeframe, exchange.clock.now_ms(), start_ms=None, end_ms=None, limit=1
    )
    return {"symbol": market.identifier, "price": _decimal(float(newest.close[0])) if len(newest) else "0"}


def _decimal(value: float) -> str:
    """Return the shortest decimal text that reads back as the same number, never in scientific notation."""
    text = repr(value)
    return np.format_float_positional(value) if "e" in text else text
