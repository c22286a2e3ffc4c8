"""Charts without time: bricks and bars that end when the price has gone far enough."""

from __future__ import annotations

import math

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator
from alpharay.market.candles import FloatArray


@indicator(inputs=("close",), warm_up=lambda size: 0, memory="recursive")  # noqa: ARG005
def renko_run(close: FloatArray, size: float) -> FloatArray:
    """Return the Renko bricks in a row at each close: positive upwards, negative downwards, 0 before the first.

    A brick is `size` percent of the price where its move begins. Bricks go on in their direction from the end of the
    last one, and the other way from its beginning, so a reversal takes two sizes (Nison 1994).

    Raises ValueError for a size that is not positive.
    """
    _check_size("renko_run", size)
    return _count_bricks(close, size / 100.0)


@kernel
def _count_bricks(close: FloatArray, share: float) -> FloatArray:
    out = np.full(close.shape[0], np.nan)
    level = np.nan
    run = 0.0
    for t in range(close.shape[0]):
        if close[t] != close[t]:
            level = np.nan
            run = 0.0
            continue
        if level != level:
            level = close[t]
        brick = share * abs(level)
        moved = close[t] - level
        # Whole bricks in one step, so that a jump costs no more than a quiet bar.
        if moved > 0.0 and brick > 0.0:
            count = np.floor(moved / brick)
            ahead = count if run >= 0.0 else count - 1.0
            if ahead >= 1.0:
                level += count * brick
                run = max(run, 0.0) + ahead
        elif moved < 0.0 and brick > 0.0:
            count = np.floor(-moved / brick)
            ahead = count if run <= 0.0 else count - 1.0
            if ahead >= 1.0:
                level -= count * brick
                run = min(run, 0.0) - ahead
        out[t] = run
    return out


@indicator(inputs=("close",), warm_up=lambda size: 0, memory="recursive")  # noqa: ARG005
def range_bar_run(close: FloatArray, size: float) -> FloatArray:
    """Return the range bars in a row at each close: positive upwards, negative downwards, 0 before the first.

    A range bar ends when the closes since its open span `size` percent of that open, at the extreme just reached; the
    next opens there, and a close that goes further ends several of one size. Unlike a Renko brick, a range bar may
    end on either side after any way between (Nicolellis 1995).

    Raises ValueError for a size that is not positive.
    """
    _check_size("range_bar_run", size)
    return _count_range_bars(close, size / 100.0)


@kernel
def _count_range_bars(close: FloatArray, share: float) -> FloatArray:
    out = np.full(close.shape[0], np.nan)
    opening = np.nan
    top = 0.0
    bottom = 0.0
    run = 0.0
    for t in range(close.shape[0]):
        price = close[t]
        if price != price:
            opening = np.nan
            run = 0.0
            continue
        if opening != opening:
            opening = top = bottom = price
        reach = share * abs(opening)
        if price > top:
            top = price
            count = np.floor((top - bottom) / reach) if reach > 0.0 else 0.0
            if count >= 1.0:
                opening = bottom = bottom + count * reach
                top = max(price, bottom)
                run = max(run, 0.0) + count
        elif price < bottom:
            bottom = price
            count = np.floor((top - bottom) / reach) if reach > 0.0 else 0.0
            if count >= 1.0:
                opening = top = top - count * reach
                bottom = min(price, top)
                run = min(run, 0.0) - count
        out[t] = run
    return out


def _check_size(name: str, size: float) -> None:
    if not (math.isfinite(size) and size > 0.0):
        raise ValueError(f"{name}: size must be more than 0 percent, was {size}")
