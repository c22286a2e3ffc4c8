"""Exponential smoothing, the recursion under EMA, Wilder's averages, RSI, ATR and ADX.

A recursion waits for its own last result, so one chain leaves the processor idle; many chains advance
together, one lane each, at little more than the price of one. A lane starts with the mean of its first
`length` values. A NaN ends it, and it starts again after `length` values in a row.
"""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.lane_blocks import LANES, advance_block, follow
from alpharay.market.candles import FloatArray, IntArray

TILE = 1024
LANE_TILE = 256
"""Bars of any number of lanes that are turned into rows at a time."""


@kernel
def smooth(values: FloatArray, sources: IntArray, lengths: IntArray, factors: FloatArray, out: FloatArray) -> None:
    """Write `y = follow(y, factor, value)` of row `sources[lane]` of `values` to row `lane` of `out`.

    `y` starts as the mean of the first `length` values in a row.
    """
    bars = values.shape[1]
    count = lengths.shape[0]
    targets = np.arange(count)
    state = np.full(count, np.nan)
    valid = np.zeros(count, dtype=np.int64)
    for first in range(0, count, LANES):
        last = min(first + LANES, count)
        for start in range(0, bars, TILE):
            advance_tile(
                values,
                sources[first:last],
                start,
                lengths[first:last],
                factors[first:last],
                state[first:last],
                valid[first:last],
                out,
                targets[first:last],
                start,
                min(TILE, bars - start),
            )


@kernel
def advance_tile(
    values: FloatArray,
    sources: IntArray,
    begin: int,
    lengths: IntArray,
    factors: FloatArray,
    state: FloatArray,
    valid: IntArray,
    out: FloatArray,
    targets: IntArray,
    out_begin: int,
    size: int,
) -> None:
    """Smooth `size` values of up to eight rows of `values` from `begin` on to rows of `out` from `out_begin` on.

    `state` and `valid`, how many values are in a row, are those before, and become those after.
    """
    count = lengths.shape[0]
    settled = count > 1
    for lane in range(count):
        settled = settled and valid[lane] >= lengths[lane]
    running, rates = np.empty(LANES), np.empty(LANES)
    places, out_places = np.empty(LANES, dtype=np.int64), np.empty(LANES, dtype=np.int64)
    for lane in range(LANES):
        # A group that is not full does its last lane several times over: the same values to the same place.
        own = min(lane, count - 1)
        running[lane], rates[lane] = state[own], factors[own]
        places[lane] = sources[own] * values.shape[1] + begin
        out_places[lane] = targets[own] * out.shape[1] + out_begin
    whole = size // LANES * LANES if settled else 0
    for bar in range(0, whole, LANES):
        advance_block(values, places, rates, running, out, out_places, bar)
    for lane in range(count):
        # A missing value leaves nothing but NaN behind it, so the last value tells.
        done = whole if running[lane] == running[lane] else 0
        if done > 0:
            state[lane] = running[lane]
            valid[lane] += done
        if done < size:
            state[lane], valid[lane] = advance_one(
                values[sources[lane]],
                begin + done,
                lengths[lane],
                factors[lane],
                state[lane],
                valid[lane],
                out[targets[lane], out_begin + done : out_begin + size],
            )


@kernel
def advance_one(
    row: FloatArray, begin: int, length: int, factor: float, average: float, valid: int, out: FloatArray
) -> tuple[float, int]:
    """Smooth the values of `row` from `begin` on to `out`, and return the average and how many values are in a row.

    The `length` values up to each must lie in the row, too: an average begins with their mean.
    """
    for i in range(out.shape[0]):
        value = row[begin + i]
        valid = valid + 1 if value == value else 0
        # A lane not yet started and a missing value are both NaN: no branch needed.
        average = follow(average, factor, value)
        if valid == length:
            average = mean_of_last(row, begin + i, length)
        out[i] = average
    return average, valid


@kernel
def transpose(tile: FloatArray, size: int, out: FloatArray) -> None:
    """Write the first `size` rows of `tile` to the first columns of `out`, eight at a time: a line of the cache."""
    lanes = tile.shape[1]
    whole = size // 8 * 8
    for first in range(0, whole, 8):
        t0, t1, t2, t3 = tile[first], tile[first + 1], tile[first + 2], tile[first + 3]
        t4, t5, t6, t7 = tile[first + 4], tile[first + 5], tile[first + 6], tile[first + 7]
        for lane in range(lanes):
            row = out[lane, first : first + 8]
            row[0], row[1], row[2], row[3] = t0[lane], t1[lane], t2[lane], t3[lane]
            row[4], row[5], row[6], row[7] = t4[lane], t5[lane], t6[lane], t7[lane]
    for i in range(whole, size):
        for lane in range(lanes):
            out[lane, i] = tile[i, lane]


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
    values = np.ascontiguousarray(values)
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
