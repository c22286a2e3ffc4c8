"""Stops that follow the price at a distance of some average true ranges and change sides when it is hit."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator
from alpharay.indicators.volatility import atr
from alpharay.market.candles import FloatArray


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length, multiple: length,  # noqa: ARG005
    memory="recursive",
)
def atr_trailing_stop(high: FloatArray, low: FloatArray, close: FloatArray, length: int, multiple: float) -> FloatArray:
    """Return the stop `multiple` average true ranges from the close, which only ever moves towards the price.

    Below the price it never falls, above it never rises; a close beyond it begins the other side (Vervoort, Stocks &
    Commodities, June 2009; usual 5, 3.5). It begins below the price.
    """
    return _ratchet(close, multiple * atr(high, low, close, length))


@kernel
def _ratchet(close: FloatArray, distance: FloatArray) -> FloatArray:
    out = np.full(close.shape[0], np.nan)
    stop = np.nan
    for t in range(close.shape[0]):
        price = close[t]
        if stop != stop:
            stop = price - distance[t]
        elif price > stop:
            below = price - distance[t]
            stop = max(stop, below) if close[t - 1] > stop else below
        else:
            above = price + distance[t]
            stop = min(stop, above) if close[t - 1] < stop and price < stop else above
        out[t] = stop
    return out


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length, multiple: length,  # noqa: ARG005
    memory="recursive",
)
def volatility_stop(high: FloatArray, low: FloatArray, close: FloatArray, length: int, multiple: float) -> FloatArray:
    """Return Wilder's volatility stop: `multiple` average true ranges from the best close of the position.

    The range is today's, so the stop gives way when the market grows wilder. A close beyond it reverses the position,
    whose best close is then this one (Wilder 1978, volatility system; usual 7, 3). It begins long.
    """
    return _follow_best_close(close, multiple * atr(high, low, close, length))


@kernel
def _follow_best_close(close: FloatArray, distance: FloatArray) -> FloatArray:
    out = np.full(close.shape[0], np.nan)
    side = 1.0
    best = np.nan
    for t in range(close.shape[0]):
        price = side * close[t]
        if distance[t] != distance[t]:
            side, best = 1.0, np.nan
            continue
        if best != best or price > best:
            best = price
        if price < best - distance[t]:
            side = -side
            best = -price
        out[t] = side * (best - distance[t])
    return out
