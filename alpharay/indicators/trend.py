"""Trend: whether there is one, and which way."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.lane_blocks import LANES
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.smoothing import LANE_TILE, TILE, advance_tile, transpose, write_wilder_averages
from alpharay.indicators.volatility import true_range
from alpharay.indicators.windows import window_levels
from alpharay.market.candles import FloatArray, IntArray


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length: length,
    memory="recursive",
    batch=lambda high, low, close, parameters, out: _write_share_of_range(
        _directional_movement(high, low), true_range(high, low, close), whole(parameters[:, 0]), out
    ),
)
def plus_di(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Wilder's +DI: upward movement in percent of the average true range, or 0 (Wilder 1978).

    Both averages begin with their first `length` values; TA-Lib's begin one bar earlier.
    """
    out = np.empty((1, len(close)))
    _write_share_of_range(_directional_movement(high, low), true_range(high, low, close), whole([length]), out)
    return out[0]


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length: length,
    memory="recursive",
    batch=lambda high, low, close, parameters, out: _write_share_of_range(
        _directional_movement(-low, -high), true_range(high, low, close), whole(parameters[:, 0]), out
    ),
)
def minus_di(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Wilder's -DI: downward movement in percent of the average true range, or 0 (Wilder 1978)."""
    out = np.empty((1, len(close)))
    _write_share_of_range(_directional_movement(-low, -high), true_range(high, low, close), whole([length]), out)
    return out[0]


def _write_share_of_range(movement: FloatArray, ranges: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    _write_shares(np.vstack((movement, ranges)), lengths, 1.0 / lengths, False, out)


@kernel
def _write_shares(
    columns: FloatArray, lengths: IntArray, factors: FloatArray, directional: bool, out: FloatArray
) -> None:
    """Write Wilder's average of the first column in percent of that of the second, 0 where that is 0.

    If `directional`, write the distance of both averages in percent of their sum instead.
    """
    bars = columns.shape[1]
    count = lengths.shape[0]
    tiles = np.empty((2, LANES, TILE))
    state = np.full((2, count), np.nan)
    valid = np.zeros((2, count), dtype=np.int64)
    targets = np.arange(LANES)
    for first in range(0, count, LANES):
        last = min(first + LANES, count)
        for start in range(0, bars, TILE):
            size = min(TILE, bars - start)
            for column in range(2):
                advance_tile(
                    columns,
                    np.full(last - first, column),
                    start,
                    lengths[first:last],
                    factors[first:last],
                    state[column, first:last],
                    valid[column, first:last],
                    tiles[column],
                    targets[: last - first],
                    0,
                    size,
                )
            for lane in range(last - first):
                part, other, row = tiles[0, lane, :size], tiles[1, lane], out[first + lane, start : start + size]
                if directional:
                    for i in range(size):
                        together = part[i] + other[i]
                        part[i] = abs(part[i] - other[i])
                        other[i] = together
                for i in range(size):
                    row[i] = 100.0 * (part[i] / other[i] if other[i] != 0.0 else 0.0 * part[i])


@indicator(
    inputs=("high", "low"),
    warm_up=lambda length: 2 * length - 1,
    memory="recursive",
    batch=lambda high, low, parameters, out: _write_directional_indices(high, low, whole(parameters[:, 0]), out),
)
def adx(high: FloatArray, low: FloatArray, length: int) -> FloatArray:
    """Return Wilder's average directional index, 0 to 100; no movement at all counts as 0 (Wilder 1978).

    The closes are not needed: both directional indicators divide by the same average true range.
    """
    out = np.empty((1, len(high)))
    _write_directional_indices(high, low, whole([length]), out)
    return out[0]


def _write_directional_indices(high: FloatArray, low: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    movements = np.vstack((_directional_movement(high, low), _directional_movement(-low, -high)))
    shares = np.empty((min(LANES, len(lengths)), len(high)))
    # A few at a time, so that they are averaged before they have left the cache.
    for first in range(0, len(lengths), LANES):
        some = lengths[first : first + LANES]
        _write_shares(movements, some, 1.0 / some, True, shares[: len(some)])
        write_wilder_averages(shares[: len(some)], some, out[first : first + len(some)])


@kernel
def _directional_movement(ahead: FloatArray, behind: FloatArray) -> FloatArray:
    # With (high, low): the upward movement. With (-low, -high): the downward one, the chart turned over.
    out = np.full(ahead.shape[0], np.nan)
    for t in range(1, ahead.shape[0]):
        gained = ahead[t] - ahead[t - 1]
        lost = behind[t - 1] - behind[t]
        out[t] = gained if gained > 0.0 and gained > lost else 0.0 * (gained + lost)
    return out


@indicator(
    inputs=("high",),
    warm_up=lambda length: length,
    batch=lambda high, parameters, out: _write_freshness(high, whole(parameters[:, 0]), out),
)
def aroon_up(high: FloatArray, length: int) -> FloatArray:
    """Return 100 at a high of `length` bars, 0 when that is `length` old; of equals the newest (Chande)."""
    out = np.empty((1, len(high)))
    _write_freshness(high, whole([length]), out)
    return out[0]


@indicator(
    inputs=("low",),
    warm_up=lambda length: length,
    batch=lambda low, parameters, out: _write_freshness(-low, whole(parameters[:, 0]), out),
)
def aroon_down(low: FloatArray, length: int) -> FloatArray:
    """Return 100 at a low of `length` bars, 0 when that is `length` old; of equals the newest (Chande)."""
    out = np.empty((1, len(low)))
    _write_freshness(-low, whole([length]), out)
    return out[0]


@kernel
def _write_freshness(values: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    # Highest values and where they are, for windows of powers of two as in `windows.grow_extremes`.
    bars = values.shape[0]
    longest = 1
    for length in lengths:
        longest = max(longest, min(length + 1, bars))
    tops = np.empty((window_levels(longest), TILE + longest - 1))
    places = np.empty_like(tops)
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        first = max(start - longest + 1, 0)
        for i in range(stop - first):
            tops[0, i] = values[first + i]
            places[0, i] = i
        for level in range(1, tops.shape[0]):
            half = 1 << (level - 1)
            _newest_of_highest(
                tops[level - 1, 2 * half - 1 : stop - first],
                tops[level - 1, half - 1 :],
                places[level - 1, 2 * half - 1 :],
                places[level - 1, half - 1 :],
                tops[level, 2 * half - 1 :],
                places[level, 2 * half - 1 :],
            )
        for row in range(lengths.shape[0]):
            length = lengths[row]
            begin = min(max(length, start), stop)
            out[row, start:begin] = np.nan
            if begin == stop:
                continue
            level = window_levels(length + 1) - 1
            newer, older = begin - first, begin - first - length - 1 + (1 << level)
            _write_ages(
                tops[level, newer : stop - first],
                tops[level, older:],
                places[level, newer:],
                places[level, older:],
                newer,
                length,
                out[row, begin:stop],
            )


@kernel
def _newest_of_highest(
    newer: FloatArray,
    older: FloatArray,
    newer_place: FloatArray,
    older_place: FloatArray,
    top: FloatArray,
    place: FloatArray,
) -> None:
    for i in range(newer.shape[0]):
        a = newer[i]
        b = older[i]
        of_newer = a >= b or a != a
        top[i] = a if of_newer else b
        place[i] = newer_place[i] if of_newer else older_place[i]


@kernel
def _write_ages(
    newer: FloatArray,
    older: FloatArray,
    newer_place: FloatArray,
    older_place: FloatArray,
    first: int,
    length: int,
    out: FloatArray,
) -> None:
    for i in range(out.shape[0]):
        a = newer[i]
        b = older[i]
        place = newer_place[i] if a >= b else older_place[i]
        age = first + i - place
        known = a == a and b == b
        out[i] = 100.0 * (length - age) / length if known else np.nan


@indicator(
    inputs=("high", "low"),
    warm_up=lambda start, increment, maximum: 1,  # noqa: ARG005
    memory="recursive",
    batch=lambda high, low, parameters, out: _stop_and_reverse(high, low, parameters, out),
)
def parabolic_sar(high: FloatArray, low: FloatArray, start: float, increment: float, maximum: float) -> FloatArray:
    """Return Wilder's parabolic stop and reverse (Wilder 1978; usual 0.02, 0.02, 0.2).

    The first two bars give the direction: long unless the low fell by more than the high rose, as in TA-Lib.
    On the bar of a reversal the value is the new side's stop.
    """
    out = np.empty((1, len(high)))
    _stop_and_reverse(high, low, np.array([[start, increment, maximum]]), out)
    return out[0]


@kernel
def _stop_and_reverse(high: FloatArray, low: FloatArray, parameters: FloatArray, out: FloatArray) -> None:
    # Many stops advance together, one lane each, with choices instead of branches: see `smoothing`.
    bars, lanes = high.shape[0], parameters.shape[0]
    increments, maxima = parameters[:, 1].copy(), parameters[:, 2].copy()
    starts = np.minimum(parameters[:, 0], maxima)
    side, stop = np.empty(lanes), np.empty(lanes)
    extreme, factor = np.empty(lanes), np.empty(lanes)
    rows = np.empty((LANE_TILE, lanes))
    begun = False
    for begin in range(0, bars, LANE_TILE):
        size = min(LANE_TILE, bars - begin)
        for i in range(size):
            t = begin + i
            row = rows[i]
            if t == 0 or np.isnan(high[t - 1] + low[t - 1] + high[t] + low[t]):
                begun = False
                row[:] = np.nan
                continue
            # The first bar with a stop only moves on from itself.
            low_limit, high_limit = (low[t - 1], high[t - 1]) if begun else (low[t], high[t])
            if not begun:
                fall = low[t - 1] - low[t]
                way = -1.0 if fall > 0.0 and fall > high[t] - high[t - 1] else 1.0
                side[:] = way
                stop[:] = low[t - 1] if way > 0.0 else -high[t - 1]
                extreme[:] = high[t] if way > 0.0 else -low[t]
                factor[:] = starts
                begun = True
            _step_stops(
                high[t - 1], low[t - 1], high[t], low[t], high_limit, low_limit,
                starts, increments, maxima, side, stop, extreme, factor, row,
            )  # fmt: skip
        transpose(rows, size, out[:, begin:])


@kernel
def _step_stops(
    last_high: float,
    last_low: float,
    high: float,
    low: float,
    high_limit: float,
    low_limit: float,
    starts: FloatArray,
    increments: FloatArray,
    maxima: FloatArray,
    sides: FloatArray,
    stops: FloatArray,
    extremes: FloatArray,
    factors: FloatArray,
    out: FloatArray,
) -> None:
    for lane in range(sides.shape[0]):
        side, stop, extreme, factor = sides[lane], stops[lane], extremes[lane], factors[lane]
        # A short position is a long one on the chart turned over: one set of rules for both.
        rising = side > 0.0
        floor, top = low if rising else -high, high if rising else -low
        limit, last_top = low_limit if rising else -high_limit, last_high if rising else -last_low
        reversed_now = floor <= stop
        best = max(extreme, last_top)
        best = max(best, top)
        faster = factor + increments[lane]
        faster = min(faster, maxima[lane])
        factor = starts[lane] if reversed_now else (faster if top > extreme else factor)
        extreme = -floor if reversed_now else max(extreme, top)
        out[lane] = side * (best if reversed_now else stop)
        stop = -best if reversed_now else stop
        moved = stop + factor * (extreme - stop)
        first, second = -last_top if reversed_now else limit, -top if reversed_now else floor
        moved = min(moved, first)
        sides[lane] = -side if reversed_now else side
        stops[lane] = min(moved, second)
        extremes[lane] = extreme
        factors[lane] = factor
