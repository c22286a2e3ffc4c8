"""Channels and levels: where the price has been."""

from __future__ import annotations

from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.windows import lagged, window_highest, window_lowest, write_window_extremes
from alpharay.market.candles import FloatArray


@indicator(
    inputs=("high",),
    warm_up=lambda length: length - 1,
    batch=lambda high, parameters, out: write_window_extremes(high, whole(parameters[:, 0]), 1.0, out),
)
def highest(high: FloatArray, length: int) -> FloatArray:
    """Return the highest of the last `length` highs, this bar included: no close is above it here."""
    return window_highest(high, length)


@indicator(
    inputs=("low",),
    warm_up=lambda length: length - 1,
    batch=lambda low, parameters, out: write_window_extremes(low, whole(parameters[:, 0]), -1.0, out),
)
def lowest(low: FloatArray, length: int) -> FloatArray:
    """Return the lowest of the last `length` lows, this bar included: no close is below it here."""
    return window_lowest(low, length)


@indicator(inputs=("high", "low", "close"), warm_up=lambda length: length)
def pivot_point(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return the floor pivot of the `length` bars before this one: (highest + lowest + last close) / 3."""
    return lagged((window_highest(high, length) + window_lowest(low, length) + close) / 3.0, 1)
