"""Exponential averages whose period the market sets."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.lane_blocks import follow
from alpharay.indicators.registry import INDICATORS, indicator
from alpharay.indicators.smoothing import LANE_TILE, transpose
from alpharay.indicators.windows import lagged, window_highest, window_lowest
from alpharay.market.candles import FloatArray, IntArray


@indicator(
    inputs=("close",),
    warm_up=lambda length, momentum: momentum,  # noqa: ARG005
    memory="recursive",
    batch=lambda close, parameters, out: _write_variable_averages(close, parameters, out),
)
def vidya(close: FloatArray, length: int, momentum: int) -> FloatArray:
    """Return Chande's variable index dynamic average: an exponential average of `length` in a pure trend.

    The factor is 2 / (length + 1) times the absolute momentum oscillator over `momentum` bars, so the average stands
    still in a market that goes nowhere (Chande, Stocks & Commodities, March 1992, in the form of Chande & Kroll 1994;
    usual 12, 9). It begins from the close before its first bar.
    """
    out = np.empty((1, len(close)))
    _write_variable_averages(close, np.array([[length, momentum]], dtype=np.float64), out)
    return out[0]


def _write_variable_averages(close: FloatArray, parameters: FloatArray, out: FloatArray) -> None:
    momenta, places = np.unique(parameters[:, 1], return_inverse=True)
    batch = INDICATORS["cmo"].batch
    assert batch is not None
    _adapt(close, batch(close, momenta[:, None]), places, 2.0 / (parameters[:, 0] + 1.0) / 100.0, out)


@kernel
def _adapt(close: FloatArray, oscillators: FloatArray, places: IntArray, factors: FloatArray, out: FloatArray) -> None:
    bars, lanes = close.shape[0], places.shape[0]
    strengths = np.empty((LANE_TILE, lanes))
    rows = np.empty((LANE_TILE, lanes))
    average = np.full(lanes, np.nan)
    for start in range(0, bars, LANE_TILE):
        size = min(LANE_TILE, bars - start)
        for lane in range(lanes):
            oscillator = oscillators[places[lane], start : start + size]
            for i in range(size):
                strength = abs(oscillator[i])
                strengths[i, lane] = factors[lane] * (strength if not strength > 100.0 else 100.0)
        for i in range(size):
            price, before = close[start + i], close[max(start + i - 1, 0)]
            strength, row = strengths[i], rows[i]
            for lane in range(lanes):
                held = average[lane]
                held = before if held != held and strength[lane] == strength[lane] else held
                held += strength[lane] * (price - held)
                average[lane] = held
                row[lane] = held
        transpose(rows, size, out[:, start:])


@indicator(inputs=("high", "low"), warm_up=lambda half: 2 * half - 1, memory="recursive")
def frama(high: FloatArray, low: FloatArray, half: int) -> FloatArray:
    """Return the fractal adaptive average of (high + low) / 2 over twice `half` bars (Ehlers 2005; usual 8).

    The ranges of both halves and of the whole give the fractal dimension D, 1 on a straight line and 2 where the
    price fills its range; the factor is exp(-4.6 (D - 1)), from 0.01 to 1. While a half has no range, D stays as it
    was, and 1 before there was one. It begins with its first price.
    """
    newer = window_highest(high, half) - window_lowest(low, half)
    both = window_highest(high, 2 * half) - window_lowest(low, 2 * half)
    return _follow((high + low) / 2.0, _fractal_factors(newer, lagged(newer, half), both))


@kernel
def _fractal_factors(newer: FloatArray, older: FloatArray, both: FloatArray) -> FloatArray:
    """Return exp(-4.6 (D - 1)); NaN where a range is missing, -1 where one of the halves has none.

    Logarithm and exponential are power series: the last bit of a library's depends on the processor, and so would
    what a search finds.
    """
    out = np.empty(newer.shape[0])
    for t in range(newer.shape[0]):
        # 2^(D - 1), from 1/2 to 2.
        filled = (newer[t] + older[t]) / both[t] if newer[t] > 0.0 and older[t] > 0.0 else 1.0
        share = (filled - 1.0) / (filled + 1.0)
        square = share * share
        logarithm = 0.0
        for power in range(35, 0, -2):
            logarithm = logarithm * square + 1.0 / power
        eighth = -4.6 / 0.6931471805599453 / 4.0 * share * logarithm
        factor = 1.0
        for term in range(16, 0, -1):
            factor = 1.0 + factor * eighth * (1.0 / term)
        factor *= factor
        factor *= factor
        factor = min(factor * factor, 1.0)
        flat = newer[t] == 0.0 or older[t] == 0.0
        out[t] = (-1.0 if flat else factor) + 0.0 * (older[t] + both[t])
    return out


@kernel
def _follow(price: FloatArray, factors: FloatArray) -> FloatArray:
    out = np.full(price.shape[0], np.nan)
    average = np.nan
    factor = 1.0
    for t in range(price.shape[0]):
        if factors[t] != factors[t]:
            average = np.nan
            factor = 1.0
            continue
        if factors[t] >= 0.0:
            factor = factors[t]
        if average != average:
            average = price[t]
        average = follow(average, factor, price[t])
        out[t] = average
    return out
