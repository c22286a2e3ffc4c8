"""The typed pieces of which evolved rules are made, as DEAP's primitive set.

Types keep a rule meaningful (Montana 1995, "Strongly Typed Genetic Programming"): a price is only compared with a
price, an oscillator with a level of its own range, and what swings around zero with zero. A constant is a length or a
level; when a rule has been found its constants become the parameters of an ordinary strategy.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

from deap import gp

from alpharay.strategies.expression import Condition, Scalar, Series, close, high, low, open_, ta, volume

LENGTHS = (3, 5, 8, 13, 21, 34, 55, 89, 144)
"""Window lengths that a rule may begin with: each about 1.6 times the one before."""

LEVELS = tuple(range(10, 95, 5))
"""Levels of an oscillator between 0 and 100."""


class Price(Series):
    """In units of the price."""


class Oscillator(Series):
    """Between 0 and 100."""


class Swing(Series):
    """Around zero."""


class Length(int):
    """A window's length in bars."""


class Percent(int):
    """A level of an oscillator."""


def _draw_length() -> Length:
    return Length(random.choice(LENGTHS))


def _draw_level() -> Percent:
    return Percent(random.choice(LEVELS))


_PRICES: dict[str, Callable[[Scalar], Series]] = {
    "sma": lambda length: ta.sma(length),
    "ema": lambda length: ta.ema(length),
    "wma": lambda length: ta.wma(length),
    "vwap": lambda length: ta.vwap(length),
    "linear_regression": lambda length: ta.linear_regression(length),
    # Of the bars before: a close cannot be above the highest high of a window that holds its own bar.
    "highest_before": lambda length: ta.highest(length).previous(),
    "lowest_before": lambda length: ta.lowest(length).previous(),
    "bollinger_upper": lambda length: ta.bollinger_upper(length, 2.0),
    "bollinger_lower": lambda length: ta.bollinger_lower(length, 2.0),
}

_OSCILLATORS: dict[str, Callable[[Scalar], Series]] = {
    "rsi": lambda length: ta.rsi(length),
    "stochastic_k": lambda length: ta.stochastic_k(length),
    "mfi": lambda length: ta.mfi(length),
    "adx": lambda length: ta.adx(length),
    "aroon_up": lambda length: ta.aroon_up(length),
    "aroon_down": lambda length: ta.aroon_down(length),
}

_SWINGS: dict[str, Callable[[Scalar], Series]] = {
    "roc": lambda length: ta.roc(length),
    "cmf": lambda length: ta.cmf(length),
    "cmo": lambda length: ta.cmo(length),
    "dpo": lambda length: ta.dpo(length),
}

_CONDITIONS: dict[str, tuple[list[type], Callable[..., Condition]]] = {
    "above": ([Price, Price], lambda left, right: left > right),
    "crosses_above": ([Price, Price], lambda left, right: left.crosses_above(right)),
    "crosses_below": ([Price, Price], lambda left, right: left.crosses_below(right)),
    "over": ([Oscillator, Percent], lambda left, level: left > level),
    "under": ([Oscillator, Percent], lambda left, level: left < level),
    "crosses_over": ([Oscillator, Percent], lambda left, level: left.crosses_above(level)),
    "crosses_under": ([Oscillator, Percent], lambda left, level: left.crosses_below(level)),
    "stronger": ([Oscillator, Oscillator], lambda left, right: left > right),
    "rising": ([Oscillator], lambda value: value > value.previous()),
    "falling": ([Oscillator], lambda value: value < value.previous()),
    "positive": ([Swing], lambda value: value > 0.0),
    "negative": ([Swing], lambda value: value < 0.0),
    "turns_positive": ([Swing], lambda value: value.crosses_above(0.0)),
    "turns_negative": ([Swing], lambda value: value.crosses_below(0.0)),
    "busy": ([Length], lambda length: volume > ta.sma(length, of=volume)),
    "both": ([Condition, Condition], lambda left, right: left & right),
    "either": ([Condition, Condition], lambda left, right: left | right),
}


@cache
def rule_grammar() -> Any:
    """Return DEAP's typed primitive set whose trees are conditions."""
    grammar = gp.PrimitiveSetTyped("rule", [], Condition)
    for name, column in (("open", open_), ("high", high), ("low", low), ("close", close)):
        grammar.addTerminal(column, Price, name)
    for group, kind in ((_PRICES, Price), (_OSCILLATORS, Oscillator), (_SWINGS, Swing)):
        for name, indicator in group.items():
            grammar.addPrimitive(indicator, [Length], kind, name)
    for name, (inputs, condition) in _CONDITIONS.items():
        grammar.addPrimitive(condition, inputs, Condition, name)
    grammar.addEphemeralConstant("length", _draw_length, Length)
    grammar.addEphemeralConstant("level", _draw_level, Percent)
    return grammar
