"""Exponential smoothing, the recursion under EMA, Wilder's averages, RSI, ATR and ADX.

A recursion waits for its own last result, so one chain leaves the processor idle; many chains advance
together, one lane each, at little more than the price of one. A lane starts with the mean of its first
`length` values. A NaN ends it, and it starts again after `length` values in a row.
"""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.market.candles import FloatArray, IntArray

TILE = 1024
LANES = 8
"""Chains that advance together."""


@kernel
def smooth(values: FloatArray, sources: IntArray, lengths: IntArray, factors: FloatArray, out: FloatArray) -> None:
    """Write `y += factor * (value - y)` of row `sources[lane]` of `values` to row `lane` of `out`.

    `y` starts as the mean of the first `length` values in a row.
    """
    bars = values.shape[1]
    count = lengths.shape[0]
    state = np.full(count, np.nan)
    valid = np.zeros(count, dtype=np.int64)
    lanes = np.empty(LANES, dtype=np.int64)
    for first in range(0, count, LANES):
        for place in range(LANES):
            # A group that is not full does its last lane several times over: the same values to the same place.
            lanes[place] = min(first + place, count - 1)
        members = lanes[: min(LANES, count - first)]
        for start in range(0, bars, TILE):
            stop = min(start + TILE, bars)
            settled = len(members) > 1
            for lane in members:
                missing = 0
                row = values[sources[lane], start:stop]
                for i in range(row.shape[0]):
                    missing += row[i] != row[i]
                settled = settled and missing == 0 and valid[lane] >= lengths[lane]
            if settled:
                _advance(values, sources, lanes, start, stop, factors, state, out)
            else:
                for lane in members:
                    row = values[sources[lane]]
                    for t in range(start, stop):
                        valid[lane] = valid[lane] + 1 if row[t] == row[t] else 0
                        # A lane not yet started and a missing value are both NaN: no branch needed.
                        state[lane] += factors[lane] * (row[t] - state[lane])
                        if valid[lane] == lengths[lane]:
                            state[lane] = mean_of_last(row, t, lengths[lane])
                        out[lane, t] = state[lane]


@kernel
def _advance(
    values: FloatArray,
    sources: IntArray,
    lanes: IntArray,
    start: int,
    stop: int,
    factors: FloatArray,
    state: FloatArray,
    out: FloatArray,
) -> None:
    # Eight running values with names of their own stay in registers; an array of them would not.
    v0, o0 = values[sources[lanes[0]]], out[lanes[0]]
    v1, o1 = values[sources[lanes[1]]], out[lanes[1]]
    v2, o2 = values[sources[lanes[2]]], out[lanes[2]]
    v3, o3 = values[sources[lanes[3]]], out[lanes[3]]
    v4, o4 = values[sources[lanes[4]]], out[lanes[4]]
    v5, o5 = values[sources[lanes[5]]], out[lanes[5]]
    v6, o6 = values[sources[lanes[6]]], out[lanes[6]]
    v7, o7 = values[sources[lanes[7]]], out[lanes[7]]
    f0, y0 = factors[lanes[0]], state[lanes[0]]
    f1, y1 = factors[lanes[1]], state[lanes[1]]
    f2, y2 = factors[lanes[2]], state[lanes[2]]
    f3, y3 = factors[lanes[3]], state[lanes[3]]
    f4, y4 = factors[lanes[4]], state[lanes[4]]
    f5, y5 = factors[lanes[5]], state[lanes[5]]
    f6, y6 = factors[lanes[6]], state[lanes[6]]
    f7, y7 = factors[lanes[7]], state[lanes[7]]
    for t in range(start, stop):
        y0 += f0 * (v0[t] - y0)
        y1 += f1 * (v1[t] - y1)
        y2 += f2 * (v2[t] - y2)
        y3 += f3 * (v3[t] - y3)
        y4 += f4 * (v4[t] - y4)
        y5 += f5 * (v5[t] - y5)
        y6 += f6 * (v6[t] - y6)
        y7 += f7 * (v7[t] - y7)
        o0[t] = y0
        o1[t] = y1
        o2[t] = y2
        o3[t] = y3
        o4[t] = y4
        o5[t] = y5
        o6[t] = y6
        o7[t] = y7
    state[lanes[0]] = y0
    state[lanes[1]] = y1
    state[lanes[2]] = y2
    state[lanes[3]] = y3
    state[lanes[4]] = y4
    state[lanes[5]] = y5
    state[lanes[6]] = y6
    state[lanes[7]] = y7


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
        smooth(values[None], np.zeros(len(lengths), dtype=np.int64), lengths, factors, out)
    else:
        smooth(values, np.arange(len(lengths)), lengths, factors, out)


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
