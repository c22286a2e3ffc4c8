"""The features: what each is, and the version and hash that tie a model to them.

All are free of scale: a market whose prices or volumes are a thousand times as high has the same. Each window is a
number of candles that exist, whatever time passed between them. They rest on additions, multiplications, divisions and
square roots of windows alone, no running state and no logarithm: the same candles give the same bits on any machine and
from any earlier start, so a replica that holds the last `HISTORY` candles sees what the training saw.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alpharay.indicators.momentum import cmo
from alpharay.indicators.windows import (
    change,
    lagged,
    ratio,
    window_deviation,
    window_highest,
    window_lowest,
    window_mean,
)
from alpharay.market.candles import Candles, FloatArray
from alpharay.market.timeframe import DAY_MS, timeframe_ms

VERSION = 1
"""Raised when a formula below changes: every model trained before is refused from then on."""

FRAMES = (1, 4, 12, 24)
"""Lengths of the time frames that features are taken from, in candles; of the coarser ones only closed bars."""

WINDOW = 20
"""Bars of each frame over which what is usual is measured."""

SHORT_WINDOW = 5
STRENGTH_WINDOW = 14
RETURN_BARS = (1, 3, 12)

_LONGEST = WINDOW + 1

HISTORY = max(FRAMES) * (_LONGEST + 2)
"""Newest candles on which a row depends at most: the longest window, and a part of a coarse bar at either end."""

Formula = Callable[[Candles], FloatArray]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: its name, what it says, the time frame it is taken from (in candles) and its formula."""

    name: str
    description: str
    frame: int
    formula: Formula


def volatility(candles: Candles) -> FloatArray:
    """Return the root mean square of the last returns; exactly 0 where the close has not moved."""
    return _typical_return(candles, WINDOW)


def scaled_return(candles: Candles, bars: int) -> FloatArray:
    """Return the return over `bars` in units of what is typical for so many bars; 0 where nothing moves."""
    return ratio(_returns(candles, bars), _typical_return(candles, WINDOW) * math.sqrt(bars), 0.0)


def range_position(candles: Candles) -> FloatArray:
    """Return where the close lies between the lowest low (0) and the highest high (1); 0.5 without a range."""
    lowest = window_lowest(candles.low, WINDOW)
    return ratio(candles.close - lowest, window_highest(candles.high, WINDOW) - lowest, 0.5)


def stretch(candles: Candles) -> FloatArray:
    """Return how many standard deviations the close is from its mean (Bollinger); 0 where it has not moved."""
    distance = candles.close - window_mean(candles.close, WINDOW)
    return ratio(distance, window_deviation(candles.close, WINDOW), 0.0)


def strength(candles: Candles) -> FloatArray:
    """Return the sum of moves over the sum of their sizes, -1 to 1; 0 where nothing moves (Chande & Kroll 1994)."""
    return cmo(candles.close, STRENGTH_WINDOW) / 100.0


def body(candles: Candles) -> FloatArray:
    """Return the candle's move from open to close as a part of its range, -1 to 1; 0 without a range."""
    return ratio(candles.close - candles.open, candles.high - candles.low, 0.0)


def volume_share(candles: Candles) -> FloatArray:
    """Return volume / (volume + its mean), 0 to 1: 0.5 is usual, and stands where nothing was traded at all."""
    return ratio(candles.volume, candles.volume + window_mean(candles.volume, WINDOW), 0.5)


def volatility_share(candles: Candles) -> FloatArray:
    """Return recent / (recent + usual size of returns), 0 to 1: 0.5 is usual, and stands where nothing moves."""
    recent, usual = _typical_return(candles, SHORT_WINDOW), _typical_return(candles, WINDOW)
    return ratio(recent, recent + usual, 0.5)


def missing_bars(candles: Candles) -> FloatArray:
    """Return how many candles are missing before this one; NaN for the first."""
    return change(candles.open_time.astype(np.float64)) / timeframe_ms(candles.timeframe) - 1.0


def day_part(candles: Candles) -> FloatArray:
    """Return how much of the UTC day had passed at the open, in [0, 1)."""
    return (candles.open_time % DAY_MS) / DAY_MS


def week_part(candles: Candles) -> FloatArray:
    """Return how much of the week from Thursday, 0:00 UTC (the epoch's), had passed at the open, in [0, 1)."""
    return (candles.open_time % (7 * DAY_MS)) / (7 * DAY_MS)


def _typical_return(candles: Candles, bars: int) -> FloatArray:
    returns = _returns(candles, 1)
    return np.sqrt(window_mean(returns * returns, bars))


def _returns(candles: Candles, bars: int) -> FloatArray:
    return ratio(candles.close, lagged(candles.close, bars), np.nan) - 1.0


def _told(formula: Formula) -> str:
    return (formula.__doc__ or "").partition("\n")[0].removeprefix("Return ").rstrip(".")


def _return_over(bars: int) -> Formula:
    def formula(candles: Candles) -> FloatArray:
        return scaled_return(candles, bars)

    formula.__doc__ = f"Return the return over {bars} bars over what is typical for so many; 0 where nothing moves."
    return formula


_OF_EACH_FRAME: dict[str, Formula] = {
    **{f"return_{bars}": _return_over(bars) for bars in RETURN_BARS},
    "range_position": range_position,
    "stretch": stretch,
    "strength": strength,
    "body": body,
    "volume_share": volume_share,
    "volatility_share": volatility_share,
}

_OF_CANDLES: dict[str, Formula] = {
    "volatility": volatility,
    "missing_bars": missing_bars,
    "day_part": day_part,
    "week_part": week_part,
}

FEATURES: tuple[Feature, ...] = (
    *(
        Feature(f"x{frame}_{name}", _told(formula), frame, formula)
        for frame in FRAMES
        for name, formula in _OF_EACH_FRAME.items()
    ),
    *(Feature(name, _told(formula), 1, formula) for name, formula in _OF_CANDLES.items()),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)

FEATURE_SET: str = hashlib.sha256(json.dumps([VERSION, FEATURE_NAMES]).encode()).hexdigest()
"""The hash of version and names: it is stored in a model, and a model takes no other features."""
