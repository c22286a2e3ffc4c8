"""Volume at price: how much was traded at which price over the last bars (Steidlmayer & Koy 1986, Dalton 1990).

Each bar's volume counts at its typical price. The price rows are multiples of the power of two that cuts the window's
range into 8 to 16 of them, so a window has one profile, wherever the candles begin. A profile is built from the newest
bar back, and each shorter window is a stage of the longer ones: many lengths cost little more than the longest. Without
any volume all bars count the same, which makes it the profile of time.
"""

from __future__ import annotations

import math

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.windows import TILE
from alpharay.market.candles import FloatArray, IntArray

FEWEST_ROWS = 8
VALUE_AREA = 0.7
"""The share of the volume in the value area: about one standard deviation."""

# A range of up to 16 rows touches 17 of them; the next power of two makes a ring of rows.
_RING = 32


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda high, low, close, volume, parameters, out: _write_profiles(
        (high + low + close) / 3.0, volume, whole(parameters[:, 0]), np.argsort(parameters[:, 0]), False, out
    ),
)
def point_of_control(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the middle of the price row with the most volume over `length` bars; of equal rows the lowest."""
    return _profile((high + low + close) / 3.0, volume, length, value_area=False)


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda high, low, close, volume, parameters, out: _write_profiles(
        (high + low + close) / 3.0, volume, whole(parameters[:, 0]), np.argsort(parameters[:, 0]), True, out
    ),
)
def value_area_high(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the upper edge of the value area: 70 % of the volume of `length` bars round the point of control.

    The area grows by the busier of the rows at its two edges, the upper one if they are equal.
    """
    return _profile((high + low + close) / 3.0, volume, length, value_area=True)


def _profile(price: FloatArray, volume: FloatArray, length: int, *, value_area: bool) -> FloatArray:
    out = np.empty((1, len(price)))
    _write_profiles(price, volume, whole([length]), whole([0]), value_area, out)
    return out[0]


@kernel
def _write_profiles(
    price: FloatArray, volume: FloatArray, lengths: IntArray, order: IntArray, value_area: bool, out: FloatArray
) -> None:
    """Write a row for each length; `order` sorts the lengths."""
    rows = np.zeros(_RING)
    shortest, longest = lengths[order[0]], lengths[order[-1]]
    for t in range(price.shape[0]):
        lowest = highest = price[t]
        size = per_row = traded = 0.0
        control = 0
        rows[:] = 0.0
        place = 0
        for lag in range(min(longest, t + 1)):
            value, weight = price[t - lag], volume[t - lag]
            if np.isnan(value + weight):
                break
            lowest, highest = min(lowest, value), max(highest, value)
            traded += weight
            if lag + 1 < shortest:
                continue
            first_volume = traded > 0.0 and traded == weight
            if lag + 1 == shortest or highest - lowest >= 2 * FEWEST_ROWS * size or first_volume:
                # The rows change, or what counts: until there is some volume, each bar is one.
                reach = highest - lowest
                size = math.ldexp(1.0, math.frexp(reach / FEWEST_ROWS)[1] - 1) if reach > 0.0 else 0.0
                per_row = 1.0 / size if size > 0.0 else 0.0
                rows[:] = 0.0
                for bar in range(t, t - lag - 1, -1):
                    index = int(np.floor(price[bar] * per_row))
                    rows[index & (_RING - 1)] += volume[bar] if traded > 0.0 else 1.0
                control = _busiest(rows, int(np.floor(lowest * per_row)), int(np.floor(highest * per_row)))
            else:
                # The power of two makes the product the quotient, exactly.
                index = int(np.floor(value * per_row))
                rows[index & (_RING - 1)] += weight if traded > 0.0 else 1.0
                lead = rows[index & (_RING - 1)] - rows[control & (_RING - 1)]
                if lead > 0.0 or (lead == 0.0 and index < control):
                    control = index
            while place < order.shape[0] and lengths[order[place]] == lag + 1:
                if size == 0.0:
                    level = lowest
                elif value_area:
                    first, last = int(np.floor(lowest * per_row)), int(np.floor(highest * per_row))
                    wanted = VALUE_AREA * (traded if traded > 0.0 else lag + 1.0)
                    level = min(_upper_edge(rows, first, control, last, wanted) * size, highest)
                else:
                    level = min(max((control + 0.5) * size, lowest), highest)
                out[order[place], t] = level
                place += 1
        for missing in range(place, order.shape[0]):
            out[order[missing], t] = np.nan


@kernel
def _busiest(rows: FloatArray, first: int, last: int) -> int:
    control = first
    for index in range(first + 1, last + 1):
        if rows[index & (_RING - 1)] > rows[control & (_RING - 1)]:
            control = index
    return control


@kernel
def _upper_edge(rows: FloatArray, first: int, control: int, last: int, wanted: float) -> int:
    # Which edge is busier is a coin's toss to the processor: chosen without a branch while there are rows on both.
    below, above = control - 1, control + 1
    area = rows[control & (_RING - 1)]
    while area < wanted and below >= first and above <= last:
        upper, lower = rows[above & (_RING - 1)], rows[below & (_RING - 1)]
        upwards = int(upper >= lower)
        area += max(upper, lower)
        above += upwards
        below -= 1 - upwards
    while area < wanted and above <= last:
        area += rows[above & (_RING - 1)]
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
