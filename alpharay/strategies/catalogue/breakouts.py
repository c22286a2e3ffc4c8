"""The price or the volume breaks out of what came before."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta, volume
from alpharay.strategies.strategy import Integer, Real, Strategy

DONCHIAN_BREAKOUT = Strategy(
    name="DONCHIAN_BREAKOUT",
    description="Enter when the close is above the highest high of the bars before, leave when it is below their "
    "lowest low (Donchian 1960). The bar itself is not in its own channel.",
    parameters=(Integer("length", 10, 50, default=20),),
    enter=close > ta.highest(P.length).previous(),
    exit=close < ta.lowest(P.length).previous(),
)

VOLUME_BREAKOUT = Strategy(
    name="VOLUME_BREAKOUT",
    description="Enter on volume of more than `multiple` times its average while the close is above its own average; "
    "leave when the close crosses below that (Edwards & Magee 1948: a breakout needs volume).",
    parameters=(Real("multiple", 1.5, 3.0, default=2.0), Integer("length", 5, 50, default=20)),
    enter=(volume > ta.sma(P.length, of=volume).previous() * P.multiple) & (close > ta.sma(P.length)),
    exit=close.crosses_below(ta.sma(P.length)),
)

BREAKOUTS = (DONCHIAN_BREAKOUT, VOLUME_BREAKOUT)
