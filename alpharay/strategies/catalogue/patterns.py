"""A few bars draw a figure."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, high, low, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_gap = ta.atr(P.length).previous() * P.size

DOUBLE_TOP_BOTTOM = Strategy(
    name="DOUBLE_TOP_BOTTOM",
    description="Enter when the close completes a double bottom: two lows with `wing` higher bars on either side, as "
    "low as each other but for a small part of the pattern's height (`evenness` of 1 is equal), and a close above the "
    "high between them. Leave when it completes a double top (Edwards & Magee 1948).",
    parameters=(Integer("wing", 2, 30, default=5), Real("evenness", 0.5, 0.95, default=0.75)),
    enter=ta.double_bottom(P.wing) > P.evenness,
    exit=ta.double_top(P.wing) > P.evenness,
)

PRICE_GAP = Strategy(
    name="PRICE_GAP",
    description="Enter on an upward gap: the whole bar is above the bar before, by more than `size` average true "
    "ranges. Leave on a downward gap, or when the close makes a new low of `length` bars (Edwards & Magee 1948).",
    parameters=(Integer("length", 5, 30, default=10), Real("size", 0.0, 1.0, default=0.25)),
    enter=low > high.previous() + _gap,
    exit=(high < low.previous() - _gap) | (close < ta.lowest(P.length).previous()),
)

PATTERNS = (DOUBLE_TOP_BOTTOM, PRICE_GAP)
