"""Oscillators of the price's place in its recent range."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.windows import (
    ratio,
    window_absolute_deviation,
    window_highest,
    window_lowest,
    window_mean,
    window_weighted_mean,
    write_ratios_of_means,
)
from alpharay.market.candles import FloatArray, IntArray


@indicator(inputs=("high", "low", "close"), warm_up=lambda length: length - 1)
def stochastic_k(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Lane's fast %K: 0 at the lowest low, 100 at the highest high of `length` bars; 50 if equal."""
    floor = window_lowest(low, length)
    return 100.0 * ratio(close - floor, window_highest(high, length) - floor, 0.5)


@indicator(inputs=("high", "low", "close"), warm_up=lambda length, smoothing: length + smoothing - 2)
def stochastic_d(high: FloatArray, low: FloatArray, close: FloatArray, length: int, smoothing: int) -> FloatArray:
    """Return %D, the simple average of %K over `smoothing` bars (usual 14, 3)."""
    return window_mean(stochastic_k(high, low, close, length), smoothing)


@indicator(inputs=("high", "low", "close"), warm_up=lambda length: length - 1)
def williams_r(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Williams' %R: -100 at the lowest low, 0 at the highest high of `length` bars; -50 if equal."""
    ceiling = window_highest(high, length)
    return -100.0 * ratio(ceiling - close, ceiling - window_lowest(low, length), 0.5)


@indicator(inputs=("high", "low", "close"), warm_up=lambda length: length - 1)
def cci(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return the commodity channel index (Lambert 1980; usual 20); 0 in a flat window."""
    typical = (high + low + close) / 3.0
    mean = window_mean(typical, length)
    return ratio(typical - mean, 0.015 * window_absolute_deviation(typical, mean, length), 0.0)


# Weights 1, 2, 2, 1 over four bars.
_SYMMETRIC = np.array([1.0, 2.0, 2.0, 1.0]) / 6.0


@indicator(
    inputs=("open", "high", "low", "close"),
    warm_up=lambda length: length + 2,
    batch=lambda opening, high, low, close, parameters, out: _write_vigor(
        opening, high, low, close, whole(parameters[:, 0]), out
    ),
)
def rvi(opening: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return the relative vigor index, mean body by mean range (Ehlers 2002; usual 10); 0 if no range."""
    out = np.empty((1, len(close)))
    _write_vigor(opening, high, low, close, whole([length]), out)
    return out[0]


@indicator(
    inputs=("open", "high", "low", "close"),
    warm_up=lambda length: length + 5,
    batch=lambda opening, high, low, close, parameters, out: _write_vigor_signals(
        opening, high, low, close, whole(parameters[:, 0]), out
    ),
)
def rvi_signal(
    opening: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    length: int,
) -> FloatArray:
    """Return the relative vigor index's signal line: its average over four bars weighted 1, 2, 2, 1."""
    return window_weighted_mean(rvi(opening, high, low, close, length), _SYMMETRIC)


def _write_vigor(
    opening: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, lengths: IntArray, out: FloatArray
) -> None:
    bodies = window_weighted_mean(close - opening, _SYMMETRIC)
    write_ratios_of_means(bodies, window_weighted_mean(high - low, _SYMMETRIC), lengths, 1.0, 0.0, False, out)


def _write_vigor_signals(
    opening: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, lengths: IntArray, out: FloatArray
) -> None:
    _write_vigor(opening, high, low, close, lengths, out)
    for row in out:
        row[:] = window_weighted_mean(row, _SYMMETRIC)
