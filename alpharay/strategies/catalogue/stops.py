"""A stop follows the price; a close beyond it changes sides."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_trailing = ta.atr_trailing_stop(P.atr, P.multiple)
_volatility = ta.volatility_stop(P.atr, P.multiple)

ATR_TRAILING_STOP = Strategy(
    name="ATR_TRAILING_STOP",
    description="Hold from where the close crosses above a stop `multiple` average true ranges away, which only ever "
    "moves towards the price, until it crosses below it (Vervoort 2009).",
    parameters=(Integer("atr", 5, 30, default=14), Real("multiple", 1.0, 5.0, default=3.0)),
    enter=close.crosses_above(_trailing),
    exit=close.crosses_below(_trailing),
)

VOLATILITY_STOP = Strategy(
    name="VOLATILITY_STOP",
    description="Hold from where the close crosses above Wilder's volatility stop, `multiple` of today's average true "
    "ranges from the best close of the position, until it crosses below it (Wilder 1978, volatility system).",
    parameters=(Integer("atr", 5, 30, default=7), Real("multiple", 1.0, 5.0, default=3.0)),
    enter=close.crosses_above(_volatility),
    exit=close.crosses_below(_volatility),
)

STOPS = (ATR_TRAILING_STOP, VOLATILITY_STOP)
