"""An oscillator leaves a zone or crosses zero."""

from __future__ import annotations

from alpharay.strategies.expression import P, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_rsi = ta.rsi(P.rsi)
_smoothed_rsi = ta.sma(P.ma, of=_rsi)
_stochastic = ta.stochastic_k(P.k)
_awesome = ta.awesome_oscillator(P.short, P.long)

SMA_RSI = Strategy(
    name="SMA_RSI",
    description="Enter when the RSI and its average are oversold, leave when both are overbought (Wilder 1978).",
    parameters=(
        Integer("ma", 5, 50, default=14),
        Integer("rsi", 2, 30, default=14),
        Real("overbought", 60.0, 85.0, default=70.0),
        Real("oversold", 15.0, 40.0, default=30.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=(_rsi < P.oversold) & (_smoothed_rsi < P.oversold),
    exit=(_rsi > P.overbought) & (_smoothed_rsi > P.overbought),
)

ADX_STOCHASTIC = Strategy(
    name="ADX_STOCHASTIC",
    description="Enter when the stochastic is oversold while ADX shows a trend; leave when it is overbought and the "
    "trend has gone.",
    parameters=(
        Integer("adx", 10, 30, default=14),
        Integer("k", 5, 20, default=14),
        Real("overbought", 60.0, 90.0, default=80.0),
        Real("oversold", 10.0, 40.0, default=20.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=(ta.adx(P.adx) > 20.0) & (_stochastic < P.oversold),
    exit=(ta.adx(P.adx) < 20.0) & (_stochastic > P.overbought),
)

AWESOME_OSCILLATOR = Strategy(
    name="AWESOME_OSCILLATOR",
    description="Hold while the awesome oscillator is above zero, from cross to cross (Williams 1995).",
    parameters=(Integer("short", 2, 20, default=5), Integer("long", 10, 50, default=34)),
    constraints=(P.short < P.long,),
    enter=_awesome.crosses_above(0.0),
    exit=_awesome.crosses_below(0.0),
)

OSCILLATORS = (SMA_RSI, ADX_STOCHASTIC, AWESOME_OSCILLATOR)
