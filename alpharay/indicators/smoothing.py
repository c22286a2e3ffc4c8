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
def smooth_rows(values: FloatArray, lengths: IntArray, factors: FloatArray) -> FloatArray:
    """Do what `smooth_lanes` does where each lane has its own row of `values`: shape (lanes, bars)."""
    lanes, bars = values.shape
    out = np.empty((lanes, bars))
    inputs = np.empty((TILE, lanes))
    outputs = np.empty((TILE, lanes))
    state = np.full(lanes, np.nan)
    valid = np.zeros(lanes, dtype=np.int64)
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        settled = True
        for lane in range(lanes):
            total = 0.0
            for i in range(size):
                inputs[i, lane] = values[lane, start + i]
                total += values[lane, start + i]
            settled = settled and valid[lane] >= lengths[lane] and total == total
        for i in range(size):
            for lane in range(lanes):
                state[lane] += factors[lane] * (inputs[i, lane] - state[lane])
            # Starts are only looked for in tiles that a lane enters without a value or that have one missing.
            if not settled:
                for lane in range(lanes):
                    valid[lane] = valid[lane] + 1 if inputs[i, lane] == inputs[i, lane] else 0
                    if valid[lane] == lengths[lane]:
                        state[lane] = mean_of_last(values[lane], start + i, lengths[lane])
            outputs[i] = state
        for lane in range(lanes):
            for i in range(size):
                out[lane, start + i] = outputs[i, lane]
    return out


@kernel
def mean_of_last(values: FloatArray, bar: int, length: int) -> float:
    """Return the mean of the `length` values up to `bar`; exactly the value when they are all the same."""
    origin = values[bar]
    total = 0.0
    for i in range(bar - length + 1, bar):
        total += values[i] - origin
    return origin + total / length


def exponential_averages(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Smooth one series with the factor 2 / (length + 1) for each length: shape (lengths, bars)."""
    return smooth_lanes(values, lengths, _exponential_factors(lengths))


def exponential_averages_of_rows(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Smooth each row with the factor 2 / (length + 1) of its own length: shape (rows, bars)."""
    return smooth_rows(values, lengths, _exponential_factors(lengths))


def wilder_averages(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Smooth one series with the factor 1 / length for each length: shape (lengths, bars)."""
    return smooth_lanes(values, lengths, 1.0 / lengths.astype(np.float64))


def _exponential_factors(lengths: IntArray) -> FloatArray:
    return 2.0 / (lengths.astype(np.float64) + 1.0)


def exponential_average(values: FloatArray, length: int) -> FloatArray:
    """Smooth one series with the factor 2 / (length + 1)."""
    return exponential_averages(values, np.array([length]))[0]


def wilder_average(values: FloatArray, length: int) -> FloatArray:
    """Smooth one series with the factor 1 / length."""
    return wilder_averages(values, np.array([length]))[0]


def exponential_differences(values: FloatArray, fast: IntArray, slow: IntArray) -> FloatArray:
    """Return fast less slow exponential average for each pair, every average computed once: (pairs, bars)."""
    lengths, places = np.unique(np.concatenate((fast, slow)), return_inverse=True)
    averages = exponential_averages(values, lengths)
    out = np.empty((len(fast), len(values)))
    for row, quick, calm in zip(out, places[: len(fast)], places[len(fast) :], strict=True):
        np.subtract(averages[quick], averages[calm], out=row)
    return out
