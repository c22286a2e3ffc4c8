"""Where a position entered on each bar would first touch its stop or its target: looked up, not searched for.

A population shares its stops, and its entries fall on the same bars over and over: one pass from the last bar to the
first answers all of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from alpharay.market.candles import FloatArray

BarArray = npt.NDArray[np.int32]


@njit(cache=True)
def first_touches(low: FloatArray, high: FloatArray, lower: FloatArray, upper: FloatArray) -> BarArray:
    """Return for each bar the first bar from it on with low <= its `lower` or high >= its `upper`.

    The number of bars where there is none.
    """
    bars = len(low)
    touches = np.empty(bars, dtype=np.int32)
    # The bars that go below (above) all bars between them and the one looked from: the last one is nearest.
    falls, rises = np.empty((2, bars), dtype=np.int64)
    fall_count, rise_count = 0, 0
    fall, rise = -1, -1
    for bar in range(bars - 1, -1, -1):
        while fall_count > 0 and low[falls[fall_count - 1]] >= low[bar]:
            fall_count -= 1
        falls[fall_count] = bar
        fall_count += 1
        while rise_count > 0 and high[rises[rise_count - 1]] <= high[bar]:
            rise_count -= 1
        rises[rise_count] = bar
        rise_count += 1
        fall = _nearest(low, falls, fall_count, lower[bar], 1.0, fall)
        rise = _nearest(high, rises, rise_count, upper[bar], -1.0, rise)
        first_fall = falls[fall] if fall >= 0 else bars
        first_rise = rises[rise] if rise >= 0 else bars
        touches[bar] = min(first_fall, first_rise)
    return touches


@njit(cache=True, inline="always")
def _nearest(prices: FloatArray, places: FloatArray, count: int, level: float, sign: float, guess: int) -> int:
    """Return the last of `count` places whose price is on the far side of `level`; -1 when none is.

    The prices run one way along the places. Levels of bars side by side differ little, so the answer is looked for
    outwards from `guess`, in steps that double.
    """
    inside, outside, step = min(guess, count - 1), count, 1
    if inside >= 0 and sign * prices[places[inside]] > sign * level:
        while inside >= 0 and sign * prices[places[inside]] > sign * level:
            outside = inside
            inside -= step
            step *= 2
        inside = max(inside, -1)
    else:
        while inside + step < count and sign * prices[places[inside + step]] <= sign * level:
            inside += step
            step *= 2
        outside = min(inside + step, count)
    while outside - inside > 1:
        middle = (inside + outside) >> 1
        if sign * prices[places[middle]] <= sign * level:
            inside = middle
        else:
            outside = middle
    return inside
