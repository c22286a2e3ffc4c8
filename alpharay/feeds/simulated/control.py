"""`/simulated/...`: look at the replay, turn its clock, order faults. No exchange has this; tests do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alpharay.feeds.simulated.exchange import exchange_of
from alpharay.feeds.simulated.faults import Fault

Handler = Callable[[Request], Awaitable[Response]]


class ClockOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Set the replay's time, UTC ms."""

    now_ms: int


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let the next `count` matching requests meet a fault."""

    fault: Fault
    count: int = 1


async def state(request: Request) -> Response:
    """Answer the replay's time, speed and markets."""
    exchange = exchange_of(request)
    markets = {
        market.candles.symbol: {
            "timeframe": market.candles.timeframe,
            "candles": len(market.candles),
            "first_open_time": int(market.candles.open_time[0]),
            "last_open_time": int(market.candles.open_time[-1]),
        }
        for market in exchange.replay.markets.values()
    }
    return JSONResponse(
        {
            "now_ms": exchange.clock.now_ms(),
            "end_ms": exchange.clock.end_ms,
            "speed": exchange.clock.speed,
            "waiting_faults": len(exchange.faults),
            "markets": markets,
        }
    )


async def set_clock(request: Request) -> Response:
    """Set the replay's time as a ClockOrder says."""
    order = msgspec.json.decode(await request.body(), type=ClockOrder)
    exchange_of(request).clock.set(order.now_ms)
    return await state(request)


async def add_faults(request: Request) -> Response:
    """Order the faults of a FaultOrder."""
    order = msgspec.json.decode(await request.body(), type=FaultOrder)
    exchange_of(request).faults.add(order.fault, order.count)
    return await state(request)


async def clear_faults(request: Request) -> Response:
    """Forget all waiting faults."""
    exchange_of(request).faults.clear()
    return await state(request)


def _explained(handler: Handler) -> Handler:
    """Return the handler, answering 422 with the reason where an order is wrong."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (ValueError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": str(error)}, status_code=422)

    return answer


CONTROL_ROUTES = (
    Route("/simulated/state", state),
    Route("/simulated/clock", _explained(set_clock), methods=["POST"]),
    Route("/simulated/faults", _explained(add_faults), methods=["POST"]),
    Route("/simulated/faults", clear_faults, methods=["DELETE"]),
)
