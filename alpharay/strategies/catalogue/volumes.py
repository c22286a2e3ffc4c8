"""Volume confirms or leads the price."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Strategy

_chaikin = ta.chaikin_oscillator(P.fast, P.slow)
_obv = ta.obv()

CHAIKIN_OSCILLATOR = Strategy(
    name="CHAIKIN_OSCILLATOR",
    description="Hold while the Chaikin oscillator is above zero, from cross to cross.",
    parameters=(Integer("fast", 2, 20, default=3), Integer("slow", 5, 50, default=10)),
    constraints=(P.fast < P.slow,),
    enter=_chaikin.crosses_above(0.0),
    exit=_chaikin.crosses_below(0.0),
)

CMF_ZERO_LINE = Strategy(
    name="CMF_ZERO_LINE",
    description="Hold while the Chaikin money flow is above zero, from cross to cross.",
    parameters=(Integer("length", 10, 50, default=20),),
    enter=ta.cmf(P.length).crosses_above(0.0),
    exit=ta.cmf(P.length).crosses_below(0.0),
)

OBV_EMA = Strategy(
    name="OBV_EMA",
    description="Hold from where on-balance volume crosses above its exponential average until it crosses back.",
    parameters=(Integer("ema", 10, 50, default=20),),
    enter=_obv.crosses_above(ta.ema(P.ema, of=_obv)),
    exit=_obv.crosses_below(ta.ema(P.ema, of=_obv)),
)

VWAP_CROSSOVER = Strategy(
    name="VWAP_CROSSOVER",
    description="Hold from where the close crosses above the rolling volume-weighted average price until it crosses "
    "back.",
    parameters=(Integer("length", 10, 50, default=20),),
    enter=close.crosses_above(ta.vwap(P.length)),
    exit=close.crosses_below(ta.vwap(P.length)),
)

VOLUMES = (CHAIKIN_OSCILLATOR, CMF_ZERO_LINE, OBV_EMA, VWAP_CROSSOVER)
