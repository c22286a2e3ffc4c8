"""Channels and levels: where the price has been."""

from __future__ import annotations

from alpharay.indicators.registry import indicator
from alpharay.indicators.windows import lagged, window_highest, window_lowest
from alpharay.market.candles import FloatArray


@indicator(inputs=("high",), warm_up=lambda length: length - 1)
def highest(high: FloatArray, length: int) -> FloatArray:
    """Return the highest of the last `length` highs, this bar included: no close is above it here."""
    return window_highest(high, length)


@indicator(inputs=("low",), warm_up=lambda length: length - 1)
def lowest(low: FloatArray, length: int) -> FloatArray:
    """Return the lowest of the last `length` lows, this bar included: no close is below it here."""
    return window_lowest(low, length)


@indicator(inputs=("high", "low", "close"), warm_up=lambda length: length)
def pivot_point(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return the floor pivot of the `length` bars before this one: (highest + lowest + last close) / 3."""
    return lagged((window_highest(high, length) + window_lowest(low, length) + close) / 3.0, 1)
