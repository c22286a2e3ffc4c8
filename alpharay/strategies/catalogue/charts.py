"""Another chart of the same prices shows a turn."""

from __future__ import annotations

from alpharay.strategies.expression import P, ta
from alpharay.strategies.strategy import Integer, Strategy

_body = ta.sma(P.length, of=ta.heikin_ashi_close() - ta.heikin_ashi_open())

HEIKEN_ASHI = Strategy(
    name="HEIKEN_ASHI",
    description="Hold from where the Heikin-Ashi bodies, close less open averaged over `length` candles, turn positive "
    "until they turn negative; of length 1 it is the candle's colour (Valcu 2004).",
    parameters=(Integer("length", 1, 30, default=3),),
    enter=_body.crosses_above(0.0),
    exit=_body.crosses_below(0.0),
)

CHARTS = (HEIKEN_ASHI,)
