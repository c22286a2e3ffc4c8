"""Volume at price: how much was traded at which price over the last bars (Steidlmayer & Koy 1986, Dalton 1990).

Each bar's volume counts at its typical price. The price rows are multiples of the power of two that cuts the window's
range into 8 to 16 of them, so a window has one profile, wherever the candles begin. A profile is built from the newest
bar back, and each shorter window is a stage of the longer ones: many lengths cost little more than the longest. Where
the range outgrows its rows, two by two become one; so a window's sums are the same in every population. Without
any volume all bars count the same, which makes it the profile of time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, pair_of, whole
from alpharay.indicators.windows import TILE
from alpharay.market.candles import FloatArray, IntArray

FEWEST_ROWS = 8
VALUE_AREA = 0.7
"""The share of the volume in the value area: about one standard deviation."""

_ROWS = 64
"""Rows of a profile in memory, a power of two: what is below it needs no check to be a place among them."""
_NEWEST, _REACH = 32, 18
"""Where the row of the newest price lies, and how far from it there may be others: a range has up to 17 rows."""
_LANES = 64

_SUMMED_ANEW = 8
"""Profiles of up to so many bars are summed bar by bar; from there on rows grow by two becoming one."""


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda high, low, close, volume, parameters, out: _profiles(
        high, low, close, volume, parameters, out, out[:0]
    ),
)
def point_of_control(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the middle of the price row with the most volume over `length` bars; of equal rows the lowest."""
    out = np.empty((1, len(close)))
    _profiles(high, low, close, volume, np.array([[length]]), out, out[:0])
    return out[0]


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda high, low, close, volume, parameters, out: _profiles(
        high, low, close, volume, parameters, out[:0], out
    ),
)
def value_area_high(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the upper edge of the value area: 70 % of the volume of `length` bars round the point of control.

    The area grows by the busier of the rows at its two edges, the upper one if they are equal.
    """
    out = np.empty((1, len(close)))
    _profiles(high, low, close, volume, np.array([[length]]), out[:0], out)
    return out[0]


def _profiles(
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    parameters: FloatArray,
    controls: FloatArray,
    edges: FloatArray,
) -> None:
    """Write points of control and upper edges, each a row for each length, or no rows."""
    lengths = parameters[:, 0]
    _write_profiles((high + low + close) / 3.0, volume, whole(lengths), np.argsort(lengths), controls, edges)


pair_of("point_of_control", "value_area_high", _profiles)


class _Profiles(NamedTuple):
    """The profiles of some bars side by side, as far back as they have grown: a lane each."""

    rows: FloatArray
    """(lanes, _ROWS)."""
    anchor: FloatArray
    """Which row of prices lies first in a lane."""
    size: FloatArray
    per_row: FloatArray
    lowest: FloatArray
    highest: FloatArray
    traded: FloatArray
    counts: FloatArray
    """1 where bars count by their volume, 0 until there is some: then each bar is one."""
    control: IntArray
    most: FloatArray
    places: IntArray
    filled: FloatArray


@kernel
def _write_profiles(
    price: FloatArray, volume: FloatArray, lengths: IntArray, order: IntArray, controls: FloatArray, edges: FloatArray
) -> None:
    """Write a row for each length to each of the two tables that has rows; `order` sorts the lengths."""
    bars = price.shape[0]
    longest = max(min(lengths[order[-1]], bars), _SUMMED_ANEW)
    # Before the first bar there is nothing: a window that reaches there is spoiled as by any missing value.
    prices, volumes = np.full(longest + bars, np.nan), np.full(longest + bars, np.nan)
    prices[longest:], volumes[longest:] = price, volume
    numbers = np.empty((9, _LANES))
    profiles = _Profiles(
        np.empty((_LANES, _ROWS)), numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6],
        np.empty(_LANES, dtype=np.int64), numbers[7], np.empty(_LANES, dtype=np.int64), numbers[8],
    )  # fmt: skip
    spare = np.empty(_ROWS)
    for start in range(0, bars, _LANES):
        lanes = min(_LANES, bars - start)
        end = longest + start + lanes
        newest = prices[end - lanes : end]
        numbers[:] = 0.0
        profiles.lowest[:lanes], profiles.highest[:lanes] = newest, newest
        place = 0
        for lag in range(longest):
            asked = place < order.shape[0] and lengths[order[place]] == lag + 1
            values, weights = prices[end - lanes - lag : end - lag], volumes[end - lanes - lag : end - lag]
            changes = _reach(
                values, weights, profiles.lowest, profiles.highest, profiles.traded, profiles.counts, profiles.size
            )
            if lag >= _SUMMED_ANEW:
                if changes:
                    _change_rows(profiles, newest, spare)
                _add(values, weights, profiles)
                _lead(profiles.places[:lanes], profiles.filled, profiles.control, profiles.most)
            elif asked or lag == _SUMMED_ANEW - 1:
                _sum_anew(profiles, prices, volumes, end - lanes, end, lag + 1)
            while place < order.shape[0] and lengths[order[place]] == lag + 1:
                if controls.shape[0]:
                    _write_controls(profiles, controls[order[place], start : start + lanes])
                if edges.shape[0]:
                    _write_edges(profiles, lag + 1, edges[order[place], start : start + lanes])
                place += 1
        for missing in order[place:]:
            if controls.shape[0]:
                controls[missing, start : start + lanes] = np.nan
            if edges.shape[0]:
                edges[missing, start : start + lanes] = np.nan


@kernel
def _reach(
    values: FloatArray,
    weights: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    traded: FloatArray,
    counts: FloatArray,
    size: FloatArray,
) -> bool:
    """Take one more bar in, and return whether the rows of any profile change or what they count."""
    changes = 0
    for lane in range(values.shape[0]):
        value = values[lane]
        low, high = min(lowest[lane], value), max(highest[lane], value)
        # A missing price or volume spoils this sum, and with it the windows from here on.
        total = traded[lane] + (weights[lane] + 0.0 * value)
        lowest[lane], highest[lane], traded[lane] = low, high, total
        reach = high - low
        changes |= int(reach > 0.0) & int(reach >= 2 * FEWEST_ROWS * size[lane])
        changes |= int(total > 0.0) & int(counts[lane] == 0.0)
    return changes != 0


@kernel
def _change_rows(profiles: _Profiles, newest: FloatArray, spare: FloatArray) -> None:
    """Widen the rows of profiles that have outgrown them, and begin those anew that have their first volume."""
    size, counts, rows = profiles.size, profiles.counts, profiles.rows
    for lane in range(newest.shape[0]):
        reach = profiles.highest[lane] - profiles.lowest[lane]
        if reach > 0.0 and reach >= 2 * FEWEST_ROWS * size[lane]:
            before = size[lane]
            _fit(profiles, lane, newest[lane])
            control, most = _widen(rows[lane], spare, newest[lane], before, size[lane])
            profiles.control[lane], profiles.most[lane] = control, most
        if counts[lane] == 0.0 and profiles.traded[lane] > 0.0:
            counts[lane], profiles.most[lane] = 1.0, 0.0
            rows[lane, :] = 0.0


@kernel
def _sum_anew(profiles: _Profiles, prices: FloatArray, volumes: FloatArray, begin: int, end: int, length: int) -> None:
    """Build the profiles of a few bars, those from `begin` to `end` the newest, bar by bar."""
    profiles.rows[:] = 0.0
    for lane in range(end - begin):
        _fit(profiles, lane, prices[begin + lane])
        profiles.counts[lane] = 1.0 if profiles.traded[lane] > 0.0 else 0.0
    for lag in range(length):
        _add(prices[begin - lag : end - lag], volumes[begin - lag : end - lag], profiles)
    for lane in range(end - begin):
        control, most = _busiest(profiles.rows[lane])
        profiles.control[lane], profiles.most[lane] = control, most


@kernel
def _fit(profiles: _Profiles, lane: int, newest: float) -> None:
    """Set the size of the rows of a lane by the range that they are to cut."""
    reach = profiles.highest[lane] - profiles.lowest[lane]
    if reach > 0.0:
        profiles.size[lane] = math.ldexp(1.0, math.frexp(reach / FEWEST_ROWS)[1] - 1)
        profiles.per_row[lane] = 1.0 / profiles.size[lane]
    else:
        profiles.size[lane], profiles.per_row[lane] = 0.0, 0.0
    profiles.anchor[lane] = np.floor(newest * profiles.per_row[lane]) - _NEWEST


@kernel
def _add(values: FloatArray, weights: FloatArray, profiles: _Profiles) -> None:
    """Add a bar to each profile, which its rows must be wide enough for."""
    rows, per_row, anchor, counts = profiles.rows, profiles.per_row, profiles.anchor, profiles.counts
    places, filled = profiles.places, profiles.filled
    for lane in range(values.shape[0]):
        # The power of two makes the product the quotient, exactly.
        places[lane] = int(np.floor(values[lane] * per_row[lane]) - anchor[lane]) & (_ROWS - 1)
    for lane in range(values.shape[0]):
        place = places[lane] & (_ROWS - 1)
        full = rows[lane, place] + (weights[lane] if counts[lane] > 0.0 else 1.0)
        rows[lane, place] = full
        filled[lane] = full


@kernel
def _lead(places: IntArray, filled: FloatArray, control: IntArray, most: FloatArray) -> None:
    """Make the row that was added to the point of control where it is the busiest now, of equal ones the lowest."""
    for lane in range(places.shape[0]):
        busier = (filled[lane] > most[lane]) | ((filled[lane] == most[lane]) & (places[lane] < control[lane]))
        control[lane] = places[lane] if busier else control[lane]
        most[lane] = filled[lane] if busier else most[lane]


@kernel
def _busiest(rows: FloatArray) -> tuple[int, float]:
    busiest, most = 0, -1.0
    for index in range(_NEWEST - _REACH, _NEWEST + _REACH):
        busier = rows[index] > most
        busiest = index if busier else busiest
        most = rows[index] if busier else most
    return busiest, most


@kernel
def _widen(rows: FloatArray, spare: FloatArray, newest: float, size: float, new_size: float) -> tuple[int, float]:
    """Add up the rows that become one where they grow from `size` to `new_size`; return the busiest, and its volume.

    The newest price stays in the same place. Without a range all is there.
    """
    while 0.0 < size < new_size:
        odd = int(np.floor(newest * (1.0 / size)) % 2.0)
        spare[:] = rows
        rows[:] = 0.0
        for pair in range(_REACH // 2):
            upper, lower = _NEWEST + 2 * pair - odd, _NEWEST - 2 * pair - 2 - odd
            rows[_NEWEST + pair] = spare[upper] + spare[upper + 1]
            rows[_NEWEST - pair - 1] = spare[lower] + spare[lower + 1]
        size *= 2.0
    return _busiest(rows)


@kernel
def _write_controls(profiles: _Profiles, out: FloatArray) -> None:
    control, anchor, size, traded = profiles.control, profiles.anchor, profiles.size, profiles.traded
    lowest, highest = profiles.lowest, profiles.highest
    for lane in range(out.shape[0]):
        level = min(max((control[lane] + anchor[lane] + 0.5) * size[lane], lowest[lane]), highest[lane])
        out[lane] = (level if size[lane] > 0.0 else lowest[lane]) + 0.0 * traded[lane]


@kernel
def _write_edges(profiles: _Profiles, length: int, out: FloatArray) -> None:
    rows, control, anchor, size = profiles.rows, profiles.control, profiles.anchor, profiles.size
    lowest, highest, per_row, traded = profiles.lowest, profiles.highest, profiles.per_row, profiles.traded
    for lane in range(out.shape[0]):
        wanted = VALUE_AREA * (traded[lane] if profiles.counts[lane] > 0.0 else float(length))
        first = int(np.floor(lowest[lane] * per_row[lane]) - anchor[lane])
        last = int(np.floor(highest[lane] * per_row[lane]) - anchor[lane])
        edge = _upper_edge(rows, lane, first, control[lane], last, wanted) + anchor[lane]
        level = min(edge * size[lane], highest[lane])
        out[lane] = (level if size[lane] > 0.0 else lowest[lane]) + 0.0 * traded[lane]


@kernel
def _upper_edge(rows: FloatArray, lane: int, first: int, control: int, last: int, wanted: float) -> int:
    # Which edge is busier is a coin's toss to the processor: chosen without a branch while there are rows on both.
    below, above = control - 1, control + 1
    area = rows[lane, control & (_ROWS - 1)]
    while area < wanted and below >= first and above <= last:
        upper, lower = rows[lane, above & (_ROWS - 1)], rows[lane, below & (_ROWS - 1)]
        upwards = int(upper >= lower)
        area += max(upper, lower)
        above += upwards
        below -= 1 - upwards
    while area < wanted and above <= last:
        area += rows[lane, above & (_ROWS - 1)]
        above += 1
    return above


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda high, low, close, volume, parameters, out: _write_deviations(
        (high + low + close) / 3.0, volume, whole(parameters[:, 0]), np.argsort(parameters[:, 0]), out
    ),
)
def volume_profile_deviation(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the standard deviation of the volume at price over `length` bars; exactly 0 in a flat window."""
    out = np.empty((1, len(close)))
    _write_deviations((high + low + close) / 3.0, volume, whole([length]), whole([0]), out)
    return out[0]


@kernel
def _write_deviations(
    prices: FloatArray, volumes: FloatArray, lengths: IntArray, order: IntArray, out: FloatArray
) -> None:
    # The longer length goes on from the sums of the shorter. Differences are taken from the newest price: sums of
    # squared prices lose everything to cancellation.
    bars = prices.shape[0]
    first = np.empty(TILE)
    second = np.empty(TILE)
    volume = np.empty(TILE)
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        first[: stop - start] = 0.0 * prices[start:stop]
        second[: stop - start] = 0.0
        volume[: stop - start] = volumes[start:stop]
        taken = 1
        for row in order:
            for lag in range(taken, min(lengths[row], stop)):
                skipped = max(lag - start, 0)
                older = prices[start + skipped - lag : stop - lag]
                weight = volumes[start + skipped - lag : stop - lag]
                newest = prices[start + skipped : stop]
                firsts, seconds, sums = first[skipped:], second[skipped:], volume[skipped:]
                for i in range(newest.shape[0]):
                    difference = older[i] - newest[i]
                    weighted = weight[i] * difference
                    firsts[i] += weighted
                    seconds[i] += weighted * difference
                    sums[i] += weight[i]
            taken = lengths[row]
            full = min(max(start, taken - 1), stop)
            out[row, start:full] = np.nan
            for t in range(full, stop):
                i = t - start
                if volume[i] == 0.0:
                    out[row, t] = np.std(prices[t - taken + 1 : t + 1] - prices[t])
                else:
                    variance = (second[i] - first[i] * first[i] / volume[i]) / volume[i]
                    out[row, t] = np.sqrt(variance) if not variance < 0.0 else 0.0
