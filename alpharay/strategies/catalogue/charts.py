"""Another chart of the same prices shows a turn."""

from __future__ import annotations

from alpharay.strategies.expression import P, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_trend = ta.gann_trend(P.bars)
_bricks = ta.renko_run(P.size)
_range_bars = ta.range_bar_run(P.size)
_body = ta.sma(P.length, of=ta.heikin_ashi_close() - ta.heikin_ashi_open())

GANN_SWING = Strategy(
    name="GANN_SWING",
    description="Hold while the trend of Gann's swing chart is up: from where the price passes the last upper turn "
    "until it passes the last lower one. The chart turns after `bars` higher highs or lower lows in a row (Gann 1941).",
    parameters=(Integer("bars", 1, 10, default=2),),
    enter=_trend.crosses_above(0.0),
    exit=_trend.crosses_below(0.0),
)

HEIKEN_ASHI = Strategy(
    name="HEIKEN_ASHI",
    description="Hold from where the Heikin-Ashi bodies, close less open averaged over `length` candles, turn positive "
    "until they turn negative; of length 1 it is the candle's colour (Valcu 2004).",
    parameters=(Integer("length", 1, 30, default=3),),
    enter=_body.crosses_above(0.0),
    exit=_body.crosses_below(0.0),
)

RANGE_BARS = Strategy(
    name="RANGE_BARS",
    description="Enter after `run` rising range bars in a row, leave after as many falling ones; a range bar ends when "
    "the price has spanned `size` percent, whatever the time (Nicolellis 1995).",
    parameters=(Real("size", 0.1, 5.0, default=1.0), Integer("run", 1, 6, default=3)),
    enter=_range_bars >= P.run,
    exit=_range_bars + P.run <= 0.0,
)

RENKO_CHART = Strategy(
    name="RENKO_CHART",
    description="Enter when a rising Renko brick follows falling ones, leave when a falling brick follows rising ones; "
    "a brick is `size` percent and a reversal takes two (Nison 1994).",
    parameters=(Real("size", 0.1, 5.0, default=1.0),),
    enter=_bricks.crosses_above(0.0),
    exit=_bricks.crosses_below(0.0),
)

CHARTS = (GANN_SWING, HEIKEN_ASHI, RANGE_BARS, RENKO_CHART)
