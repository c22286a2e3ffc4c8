"""Volume at price: how much was traded at which price over the last bars (Steidlmayer & Koy 1986, Dalton 1990).

Each bar's volume counts at its typical price. The rows are multiples of the power of two that cuts the window's range
into 8 to 16 of them, and volumes are whole shares of the power of two above the window's largest. So a window has one
profile, wherever the candles begin, and a bar that comes or goes changes it without rounding. Without any volume all
bars count the same: the profile of time.
"""

from __future__ import annotations

import math

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator
from alpharay.indicators.windows import TILE, window_highest, window_lowest
from alpharay.market.candles import FloatArray

FEWEST_ROWS = 8
VALUE_AREA = 0.7
"""The share of the volume in the value area: about one standard deviation."""

# A range of up to 16 rows touches 17 of them; the next power of two makes a ring of rows.
RING = 32


@indicator(inputs=("high", "low", "close", "volume"), warm_up=lambda length: length - 1)
def point_of_control(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the middle of the price row with the most volume over `length` bars; of equal rows the lowest."""
    return _profile(high, low, close, volume, length)[0]


@indicator(inputs=("high", "low", "close", "volume"), warm_up=lambda length: length - 1)
def value_area_high(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the upper edge of the value area: 70 % of the volume of `length` bars round the point of control.

    The area grows by the busier of the rows at its two edges, the upper one if they are equal.
    """
    return _profile(high, low, close, volume, length)[1]


def _profile(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int) -> FloatArray:
    price = (high + low + close) / 3.0
    # Sums of `length` volumes of at most this many units are exact.
    units = 2.0 ** (52 - length.bit_length())
    return _control_and_value(
        price, volume, window_lowest(price, length), window_highest(price, length), window_highest(volume, length),
        length, units,
    )  # fmt: skip


@kernel
def _control_and_value(
    price: FloatArray,
    volume: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    largest: FloatArray,
    length: int,
    units: float,
) -> FloatArray:
    bars = price.shape[0]
    out = np.full((2, bars), np.nan)
    totals = np.zeros(RING)
    row = 0.0
    top_volume = -1.0
    for t in range(length - 1, bars):
        reach = highest[t] - lowest[t]
        if np.isnan(reach + largest[t]):
            row = 0.0
            continue
        if reach == 0.0:
            out[:, t] = lowest[t]
            row = 0.0
            continue
        same_rows = FEWEST_ROWS * row <= reach < 2 * FEWEST_ROWS * row
        same_units = top_volume <= 2.0 * largest[t] < 2.0 * top_volume or largest[t] == top_volume == 0.0
        if same_rows and same_units:
            _count(totals, price[t - length], volume[t - length], row, top_volume, -units)
            _count(totals, price[t], volume[t], row, top_volume, units)
        else:
            row = math.ldexp(1.0, math.frexp(reach / FEWEST_ROWS)[1] - 1)
            top_volume = math.ldexp(1.0, math.frexp(largest[t])[1]) if largest[t] > 0.0 else 0.0
            totals[:] = 0.0
            for bar in range(t - length + 1, t + 1):
                _count(totals, price[bar], volume[bar], row, top_volume, units)
        first, last = int(np.floor(lowest[t] / row)), int(np.floor(highest[t] / row))
        control = first
        whole = 0.0
        for index in range(first, last + 1):
            whole += totals[index % RING]
            if totals[index % RING] > totals[control % RING]:
                control = index
        out[0, t] = min(max((control + 0.5) * row, lowest[t]), highest[t])
        below, above = control - 1, control + 1
        area = totals[control % RING]
        while area < VALUE_AREA * whole:
            upper = totals[above % RING] if above <= last else -1.0
            lower = totals[below % RING] if below >= first else -1.0
            if upper >= lower:
                area += upper
                above += 1
            else:
                area += lower
                below -= 1
        out[1, t] = min(above * row, highest[t])
    return out


@kernel
def _count(totals: FloatArray, price: float, volume: float, row: float, top_volume: float, units: float) -> None:
    share = np.rint(volume / top_volume * units) if top_volume > 0.0 else units
    totals[int(np.floor(price / row)) % RING] += share


@indicator(inputs=("high", "low", "close", "volume"), warm_up=lambda length: length - 1)
def volume_profile_deviation(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int
) -> FloatArray:
    """Return the standard deviation of the volume at price over `length` bars; exactly 0 in a flat window."""
    return _weighted_deviation((high + low + close) / 3.0, volume, length)


@kernel
def _weighted_deviation(prices: FloatArray, volumes: FloatArray, length: int) -> FloatArray:
    # Differences are taken from the newest price: sums of squared prices lose everything to cancellation.
    bars = prices.shape[0]
    out = np.full(bars, np.nan)
    first = np.empty(TILE)
    second = np.empty(TILE)
    weighted_first = np.empty(TILE)
    weighted_second = np.empty(TILE)
    volume = np.empty(TILE)
    for start in range(length - 1, bars, TILE):
        size = min(TILE, bars - start)
        newest = prices[start : start + size]
        first[:size] = 0.0 * newest
        second[:size] = 0.0
        weighted_first[:size] = 0.0 * newest
        weighted_second[:size] = 0.0
        volume[:size] = volumes[start : start + size]
        for lag in range(1, length):
            older = prices[start - lag : start - lag + size]
            weight = volumes[start - lag : start - lag + size]
            for i in range(size):
                difference = older[i] - newest[i]
                first[i] += difference
                second[i] += difference * difference
                weighted_first[i] += weight[i] * difference
                weighted_second[i] += weight[i] * difference * difference
                volume[i] += weight[i]
        for i in range(size):
            count, total, squares = volume[i], weighted_first[i], weighted_second[i]
            if count == 0.0:
                count, total, squares = float(length), first[i], second[i]
            variance = (squares - total * total / count) / count
            out[start + i] = np.sqrt(variance) if not variance < 0.0 else 0.0
    return out
