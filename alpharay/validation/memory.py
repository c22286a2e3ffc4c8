"""How far back a strategy looks: what must lie between the candles of a search and those it is judged on."""

from __future__ import annotations

from itertools import product

import numpy as np

from alpharay.backtest.single import Backtest
from alpharay.indicators.registry import INDICATORS
from alpharay.strategies.expression import Applied, Crosses, Node, Parameter, Previous, children
from alpharay.strategies.strategy import Strategy


def longest_memory(strategy: Strategy) -> int:
    """Return the most bars before a decision that any parameter set needs: warm-ups of nested indicators summed.

    A recursive indicator remembers all bars by definition; its declared warm-up counts.
    """
    ranges = {item.name: (float(item.low), float(item.high)) for item in strategy.parameters}
    return max((_memory(rule, ranges) for rule in strategy.rules), default=0)


def longest_holding(result: Backtest) -> int:
    """Return the most bars that a trade was held; 0 without a trade."""
    held = (result.trades["exit_bar"] - result.trades["entry_bar"]).to_numpy()
    return int(np.max(held, initial=0))


def _memory(node: Node, ranges: dict[str, tuple[float, float]]) -> int:
    deepest = max((_memory(part, ranges) for part in children(node)), default=0)
    match node:
        case Applied(indicator=name, parameters=parameters):
            choices = [ranges[item.name] if isinstance(item, Parameter) else (item,) for item in parameters]
            return deepest + max(_warm_up(name, values) for values in product(*choices))
        case Previous(bars=bars):
            return deepest + bars
        case Crosses():
            return deepest + 1
    return deepest


def _warm_up(name: str, values: tuple[float, ...]) -> int:
    known = INDICATORS[name]
    numbers = (
        int(value) if parameter in known.integer_parameters else value
        for parameter, value in zip(known.parameters, values, strict=True)
    )
    return int(known.warm_up(*numbers))
