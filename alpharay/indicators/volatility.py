"""Volatility: how far the price moves, whichever way."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.smoothing import exponential_average, wilder_average, write_wilder_averages
from alpharay.indicators.windows import lagged, ratio, window_deviation, window_mean, write_window_deviations
from alpharay.market.candles import FloatArray


@indicator(
    inputs=("close",),
    warm_up=lambda length: length - 1,
    batch=lambda close, parameters, out: write_window_deviations(close, whole(parameters[:, 0]), out),
)
def standard_deviation(close: FloatArray, length: int) -> FloatArray:
    """Return the population standard deviation of the last `length` closes; exactly 0 in a flat window."""
    return window_deviation(close, length)


@indicator(inputs=("close",), warm_up=lambda length, width: length - 1)  # noqa: ARG005
def bollinger_upper(close: FloatArray, length: int, width: float) -> FloatArray:
    """Return the simple average plus `width` population standard deviations (Bollinger; usual 20, 2)."""
    return window_mean(close, length) + width * window_deviation(close, length)


@indicator(inputs=("close",), warm_up=lambda length, width: length - 1)  # noqa: ARG005
def bollinger_lower(close: FloatArray, length: int, width: float) -> FloatArray:
    """Return the simple average less `width` population standard deviations (Bollinger; usual 20, 2)."""
    return window_mean(close, length) - width * window_deviation(close, length)


@indicator(inputs=("high", "low", "close"), warm_up=lambda: 1)
def true_range(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Return the bar's range, widened to reach the previous close (Wilder 1978)."""
    previous = lagged(close, 1)
    return np.maximum(high, previous) - np.minimum(low, previous)


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length: length,
    memory="recursive",
    batch=lambda high, low, close, parameters, out: write_wilder_averages(
        true_range(high, low, close), whole(parameters[:, 0]), out
    ),
)
def atr(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Wilder's average of the true range, begun with the mean of its first `length` (Wilder 1978)."""
    return wilder_average(true_range(high, low, close), length)


@indicator(inputs=("high", "low", "close"), warm_up=lambda length: length, memory="recursive")
def natr(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return the average true range in percent of the close; NaN where the close is 0."""
    return 100.0 * ratio(atr(high, low, close, length), close, np.nan)


@indicator(
    inputs=("high", "low"),
    warm_up=lambda smoothing, length: 2 * (smoothing - 1) + length - 1,
    memory="recursive",
)
def mass_index(high: FloatArray, low: FloatArray, smoothing: int, length: int) -> FloatArray:
    """Return the sum of `length` ratios of smoothed to twice smoothed range (Dorsey 1992; usual 9, 25).

    A market that has had no range counts as unchanged: 1 a bar.
    """
    once = exponential_average(high - low, smoothing)
    return length * window_mean(ratio(once, exponential_average(once, smoothing), 1.0), length)
