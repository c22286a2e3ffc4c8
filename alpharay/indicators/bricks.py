"""Charts without time: bricks and bars that end when the price has gone far enough."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator
from alpharay.indicators.smoothing import LANE_TILE, transpose
from alpharay.market.candles import FloatArray


@indicator(
    inputs=("close",),
    warm_up=lambda size: 0,  # noqa: ARG005
    memory="recursive",
    batch=lambda close, parameters, out: _write_runs("renko_run", _count_bricks, close, parameters[:, 0], out),
)
def renko_run(close: FloatArray, size: float) -> FloatArray:
    """Return the Renko bricks in a row at each close: positive upwards, negative downwards, 0 before the first.

    A brick is `size` percent of the price where its move begins. Bricks go on in their direction from the end of the
    last one, and the other way from its beginning, so a reversal takes two sizes (Nison 1994).

    Raises ValueError for a size that is not positive.
    """
    return _run("renko_run", _count_bricks, close, size)


@kernel
def _count_bricks(close: FloatArray, shares: FloatArray, out: FloatArray) -> None:
    # Many charts advance together, one lane each, with choices instead of branches: see `smoothing`.
    bars, lanes = close.shape[0], shares.shape[0]
    levels, runs = np.full(lanes, np.nan), np.zeros(lanes)
    rows = np.empty((LANE_TILE, lanes))
    for start in range(0, bars, LANE_TILE):
        size = min(LANE_TILE, bars - start)
        for i in range(size):
            price = close[start + i]
            if price != price:
                levels[:] = np.nan
                runs[:] = 0.0
                rows[i] = np.nan
                continue
            row = rows[i]
            for lane in range(lanes):
                level, run = levels[lane], runs[lane]
                level = price if level != level else level
                brick = shares[lane] * abs(level)
                moved = price - level
                side = 1.0 if moved > 0.0 else -1.0
                # Whole bricks in one step, so that a jump costs no more than a quiet bar.
                count = np.floor(side * moved / brick)
                onwards = side * run
                ahead = count if onwards >= 0.0 else count - 1.0
                goes = ahead >= 1.0 and brick > 0.0
                levels[lane] = level + side * (count * brick) if goes else level
                run = side * (max(0.0, onwards) + ahead) if goes else run
                runs[lane] = run
                row[lane] = run
        transpose(rows, size, out[:, start:])


@indicator(
    inputs=("close",),
    warm_up=lambda size: 0,  # noqa: ARG005
    memory="recursive",
    batch=lambda close, parameters, out: _write_runs("range_bar_run", _count_range_bars, close, parameters[:, 0], out),
)
def range_bar_run(close: FloatArray, size: float) -> FloatArray:
    """Return the range bars in a row at each close: positive upwards, negative downwards, 0 before the first.

    A range bar ends when the closes since its open span `size` percent of that open, at the extreme just reached; the
    next opens there, and a close that goes further ends several of one size. Unlike a Renko brick, a range bar may
    end on either side after any way between (Nicolellis 1995).

    Raises ValueError for a size that is not positive.
    """
    return _run("range_bar_run", _count_range_bars, close, size)


@kernel
def _count_range_bars(close: FloatArray, shares: FloatArray, out: FloatArray) -> None:
    bars, lanes = close.shape[0], shares.shape[0]
    openings, runs = np.full(lanes, np.nan), np.zeros(lanes)
    tops, bottoms = np.zeros(lanes), np.zeros(lanes)
    rows = np.empty((LANE_TILE, lanes))
    for start in range(0, bars, LANE_TILE):
        size = min(LANE_TILE, bars - start)
        for i in range(size):
            price = close[start + i]
            if price != price:
                openings[:] = np.nan
                runs[:] = 0.0
                rows[i] = np.nan
                continue
            row = rows[i]
            for lane in range(lanes):
                opening, run = openings[lane], runs[lane]
                first = opening != opening
                opening = price if first else opening
                top, bottom = price if first else tops[lane], price if first else bottoms[lane]
                up, down = price > top, price < bottom
                top, bottom = price if up else top, price if down else bottom
                reach = shares[lane] * abs(opening)
                count = np.floor((top - bottom) / reach)
                ends = (up or down) and reach > 0.0 and count >= 1.0
                side = 1.0 if up else -1.0
                # The next bar opens where the last of those that end here does.
                edge = (bottom if up else top) + side * (count * reach)
                onwards = side * run
                run = side * (max(0.0, onwards) + count) if ends else run
                openings[lane] = edge if ends else opening
                upper, lower = max(price, edge), min(price, edge)
                tops[lane] = (upper if up else edge) if ends else top
                bottoms[lane] = (edge if up else lower) if ends else bottom
                runs[lane] = run
                row[lane] = run
        transpose(rows, size, out[:, start:])


def _run(name: str, count: Callable[..., None], close: FloatArray, size: float) -> FloatArray:
    out = np.empty((1, len(close)))
    _write_runs(name, count, close, np.array([size]), out)
    return out[0]


def _write_runs(name: str, count: Callable[..., None], close: FloatArray, sizes: FloatArray, out: FloatArray) -> None:
    for size in sizes.tolist():
        _check_size(name, size)
    count(close, sizes / 100.0, out)


def _check_size(name: str, size: float) -> None:
    if not (math.isfinite(size) and size > 0.0):
        raise ValueError(f"{name}: size must be more than 0 percent, was {size}")
