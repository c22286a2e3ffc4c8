"""Exponential smoothing, the recursion under EMA, Wilder's averages, RSI, ATR and ADX.

A recursion waits for its own last result, so one chain leaves the processor idle; many chains advance
together, one lane each, at little more than the price of one. A lane starts with the mean of its first
`length` values. A NaN ends it, and it starts again after `length` values in a row.
"""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.market.candles import FloatArray, IntArray

TILE = 256


@kernel
def smooth_lanes(values: FloatArray, lengths: IntArray, factors: FloatArray) -> FloatArray:
    """Return `y += factor * (value - y)` for each (length, factor): shape (lanes, values).

    `y` starts as the mean of the first `length` values in a row.
    """
    bars = values.shape[0]
    lanes = lengths.shape[0]
    out = np.empty((lanes, bars))
    rows = np.empty((TILE, lanes))
    state = np.full(lanes, np.nan)
    longest = np.max(lengths) if lanes else 0
    valid = 0
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        for i in range(size):
            value = values[start + i]
            valid = valid + 1 if value == value else 0
            # A lane not yet started and a missing value are both NaN: no branch needed.
            for lane in range(lanes):
                state[lane] += factors[lane] * (value - state[lane])
            if valid <= longest:
                for lane in range(lanes):
                    if lengths[lane] == valid:
                        state[lane] = mean_of_last(values, start + i, valid)
            rows[i] = state
        for lane in range(lanes):
            for i in range(size):
                out[lane, start + i] = rows[i, lane]
    return out


@kernel
def mean_of_last(values: FloatArray, bar: int, length: int) -> float:
    """Return the mean of the `length` values up to `bar`; exactly the value when they are all the same."""
    origin = values[bar]
    total = 0.0
    for i in range(bar - length + 1, bar):
        total += values[i] - origin
    return origin + total / length


def exponential(values: FloatArray, length: int) -> FloatArray:
    """Smooth with the factor 2 / (length + 1)."""
    return exponentials(values, np.array([length]))[0]


def exponentials(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Smooth with the factor 2 / (length + 1) for each length: shape (lengths, values)."""
    return smooth_lanes(values, lengths, 2.0 / (lengths + 1.0))


def wilder_average(values: FloatArray, length: int) -> FloatArray:
    """Smooth with the factor 1 / length."""
    return wilder_averages(values, np.array([length]))[0]


def wilder_averages(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Smooth with the factor 1 / length for each length: shape (lengths, values)."""
    return smooth_lanes(values, lengths, 1.0 / lengths)
