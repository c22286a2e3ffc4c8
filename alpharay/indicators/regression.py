"""The least-squares line through the last closes."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator
from alpharay.indicators.windows import TILE, window_weighted_mean
from alpharay.market.candles import FloatArray


@indicator(inputs=("close",), warm_up=lambda length: length - 1)
def linear_regression(close: FloatArray, length: int) -> FloatArray:
    """Return the newest point of the least-squares line through the last `length` closes."""
    return window_weighted_mean(close, _end_point_weights(length))


@indicator(inputs=("close",), warm_up=lambda length: length - 1)
def linear_regression_deviation(close: FloatArray, length: int) -> FloatArray:
    """Return the root of the mean squared distance of `length` closes from their least-squares line."""
    return _residual_deviation(close, _end_point_weights(length), _slope_weights(length))


@indicator(inputs=("close",), warm_up=lambda length: length - 1)
def linear_regression_reach(close: FloatArray, length: int) -> FloatArray:
    """Return the largest distance of `length` closes from their least-squares line (Raff 1991)."""
    return _largest_residual(close, _end_point_weights(length), _slope_weights(length))


def _slope_weights(length: int) -> FloatArray:
    if length == 1:
        return np.zeros(1)
    lags = np.arange(length, dtype=np.float64)
    return ((length - 1) / 2.0 - lags) / (length * (length * length - 1.0) / 12.0)


def _end_point_weights(length: int) -> FloatArray:
    # The line's newest point is the mean plus (length - 1) / 2 slopes; both are linear in the values.
    if length == 1:
        return np.ones(1)
    lags = np.arange(length, dtype=np.float64)
    return (4.0 * length - 2.0 - 6.0 * lags) / (length * (length + 1.0))


@kernel
def _residual_deviation(close: FloatArray, end_weights: FloatArray, slope_weights: FloatArray) -> FloatArray:
    bars = close.shape[0]
    length = end_weights.shape[0]
    out = np.full(bars, np.nan)
    end = np.empty(TILE)
    slope = np.empty(TILE)
    for start in range(length - 1, bars, TILE):
        size = min(TILE, bars - start)
        newest = close[start : start + size]
        squares = out[start : start + size]
        end[:size] = 0.0
        slope[:size] = 0.0
        for lag in range(1, length):
            older = close[start - lag : start - lag + size]
            for i in range(size):
                difference = older[i] - newest[i]
                end[i] += end_weights[lag] * difference
                slope[i] += slope_weights[lag] * difference
        # The residuals themselves are squared: a difference of sums of squares loses a close fit.
        squares[:] = end[:size] * end[:size] + 0.0 * newest
        for lag in range(1, length):
            older = close[start - lag : start - lag + size]
            for i in range(size):
                residual = (older[i] - newest[i]) - (end[i] - lag * slope[i])
                squares[i] += residual * residual
        for i in range(size):
            squares[i] = np.sqrt(squares[i] / length)
    return out


@kernel
def _largest_residual(close: FloatArray, end_weights: FloatArray, slope_weights: FloatArray) -> FloatArray:
    bars = close.shape[0]
    length = end_weights.shape[0]
    out = np.full(bars, np.nan)
    end = np.empty(TILE)
    slope = np.empty(TILE)
    for start in range(length - 1, bars, TILE):
        size = min(TILE, bars - start)
        newest = close[start : start + size]
        largest = out[start : start + size]
        end[:size] = 0.0
        slope[:size] = 0.0
        for lag in range(1, length):
            older = close[start - lag : start - lag + size]
            for i in range(size):
                difference = older[i] - newest[i]
                end[i] += end_weights[lag] * difference
                slope[i] += slope_weights[lag] * difference
        # A missing close makes the line's end NaN; no comparison replaces that.
        largest[:] = np.abs(end[:size]) + 0.0 * newest
        for lag in range(1, length):
            older = close[start - lag : start - lag + size]
            for i in range(size):
                residual = abs((older[i] - newest[i]) - (end[i] - lag * slope[i]))
                if residual > largest[i]:
                    largest[i] = residual
    return out
