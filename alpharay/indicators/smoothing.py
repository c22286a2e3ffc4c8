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
def smooth_lanes(values: FloatArray, lengths: IntArray, factors: FloatArray, out: FloatArray) -> None:
    """Write `y += factor * (value - y)` for each (length, factor) to (lanes, values) `out`.

    `y` starts as the mean of the first `length` values in a row.
    """
    bars = values.shape[0]
    lanes = lengths.shape[0]
    rows = np.empty((TILE, lanes))
    state = np.full(lanes, np.nan)
    longest = np.max(lengths) if lanes else 0
    valid = 0
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        for i in range(size):
            value = values[start + i]
            valid = valid + 1 if value == value else 0
            row = rows[i]
            # A lane not yet started and a missing value are both NaN: no branch needed.
            for lane in range(lanes):
                state[lane] += factors[lane] * (value - state[lane])
            if valid <= longest:
                for lane in range(lanes):
                    if lengths[lane] == valid:
                        state[lane] = mean_of_last(values, start + i, valid)
            row[:] = state
        transpose(rows, size, out[:, start:])


@kernel
def smooth_rows(values: FloatArray, lengths: IntArray, factors: FloatArray, out: FloatArray) -> None:
    """Do what `smooth_lanes` does where each lane has its own row of `values`."""
    lanes, bars = values.shape
    tile = np.empty((TILE, lanes))
    state = np.full(lanes, np.nan)
    valid = np.zeros(lanes, dtype=np.int64)
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        settled = True
        for lane in range(lanes):
            total = 0.0
            row = values[lane, start : start + size]
            for i in range(size):
                tile[i, lane] = row[i]
                total += row[i]
            settled = settled and valid[lane] >= lengths[lane] and total == total
        for i in range(size):
            inputs = tile[i]
            for lane in range(lanes):
                state[lane] += factors[lane] * (inputs[lane] - state[lane])
            # Starts are only looked for in tiles that a lane enters without a value or that have one missing.
            if not settled:
                for lane in range(lanes):
                    valid[lane] = valid[lane] + 1 if inputs[lane] == inputs[lane] else 0
                    if valid[lane] == lengths[lane]:
                        state[lane] = mean_of_last(values[lane], start + i, lengths[lane])
            inputs[:] = state
        transpose(tile, size, out[:, start:])


@kernel
def transpose(tile: FloatArray, size: int, out: FloatArray) -> None:
    """Write the first `size` rows of `tile` to the first columns of `out`, in squares of eight."""
    lanes = tile.shape[1]
    for first in range(0, size, 8):
        last = min(first + 8, size)
        for lane in range(lanes):
            row = out[lane]
            for i in range(first, last):
                row[i] = tile[i, lane]


@kernel
def mean_of_last(values: FloatArray, bar: int, length: int) -> float:
    """Return the mean of the `length` values up to `bar`; exactly the value when they are all the same."""
    origin = values[bar]
    total = 0.0
    for i in range(bar - length + 1, bar):
        total += values[i] - origin
    return origin + total / length


def write_averages(values: FloatArray, lengths: IntArray, factors: FloatArray, out: FloatArray) -> None:
    """Smooth one series, or each row of (lanes, bars) values, with each (length, factor) to (lanes, bars) `out`."""
    if values.ndim == 1:
        smooth_lanes(values, lengths, factors, out)
    else:
        smooth_rows(values, lengths, factors, out)


def write_exponential_averages(values: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    """Smooth one series, or each row, with the factor 2 / (length + 1) of each length."""
    write_averages(values, lengths, 2.0 / (lengths.astype(np.float64) + 1.0), out)


def write_wilder_averages(values: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    """Smooth one series, or each row, with the factor 1 / length of each length."""
    write_averages(values, lengths, 1.0 / lengths.astype(np.float64), out)


def exponential_averages(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Smooth one series, or each row, with the factor 2 / (length + 1) of each length: shape (lengths, bars)."""
    out = np.empty((len(lengths), values.shape[-1]))
    write_exponential_averages(values, lengths, out)
    return out


def wilder_averages(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Smooth one series, or each row, with the factor 1 / length of each length: shape (lengths, bars)."""
    out = np.empty((len(lengths), values.shape[-1]))
    write_wilder_averages(values, lengths, out)
    return out


def exponential_average(values: FloatArray, length: int) -> FloatArray:
    """Smooth one series with the factor 2 / (length + 1)."""
    return exponential_averages(values, np.array([length]))[0]


def wilder_average(values: FloatArray, length: int) -> FloatArray:
    """Smooth one series with the factor 1 / length."""
    return wilder_averages(values, np.array([length]))[0]


def exponential_differences(values: FloatArray, fast: IntArray, slow: IntArray) -> FloatArray:
    """Return fast less slow exponential average for each pair, every average computed once: (pairs, bars)."""
    out = np.empty((len(fast), len(values)))
    write_exponential_differences(values, fast, slow, out)
    return out


def write_exponential_differences(values: FloatArray, fast: IntArray, slow: IntArray, out: FloatArray) -> None:
    """Do what `exponential_differences` does, to (pairs, bars) `out`."""
    lengths, places = np.unique(np.concatenate((fast, slow)), return_inverse=True)
    averages = exponential_averages(values, lengths)
    for row, quick, calm in zip(out, places[: len(fast)], places[len(fast) :], strict=True):
        np.subtract(averages[quick], averages[calm], out=row)
