"""What a strategy's rules say on candles for one parameter set: the plain form, for signals, charts and checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpharay.indicators.registry import INDICATORS
from alpharay.market.candles import Candles, FloatArray
from alpharay.market.time_parts import time_part
from alpharay.strategies.expression import (
    And,
    Applied,
    Arithmetic,
    Column,
    Comparison,
    Condition,
    Crosses,
    Level,
    Not,
    Or,
    Parameter,
    Previous,
    Scalar,
    Series,
    TimeOfCandle,
)
from alpharay.strategies.strategy import Strategy

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Signals:
    """One flag a bar and rule, decided on the bar's close."""

    enter: BoolArray
    exit: BoolArray
    enter_short: BoolArray | None = None
    exit_short: BoolArray | None = None


def signals(strategy: Strategy, parameters: Mapping[str, float], candles: Candles) -> Signals:
    """Return where the strategy's rules hold; raises ValueError when the parameters do not fit it."""
    return rules_and_series(strategy, parameters, candles, ())[0]


def series_values(node: Series, parameters: Mapping[str, float], candles: Candles) -> FloatArray:
    """Return one series of a rule, NaN where it is not defined."""
    return _Evaluation(candles, parameters).series(node)


def rules_and_series(
    strategy: Strategy, parameters: Mapping[str, float], candles: Candles, nodes: Iterable[Series]
) -> tuple[Signals, list[FloatArray]]:
    """Return what the rules say and the values of series in them, each distinct series computed once."""
    strategy.check(parameters)
    evaluation = _Evaluation(candles, parameters)
    said = Signals(*(evaluation.condition(rule)[0] for rule in strategy.rules))
    return said, [evaluation.series(node) for node in nodes]


def resolve(scalar: Scalar, parameters: Mapping[str, float]) -> float:
    """Return the number behind a scalar."""
    return parameters[scalar.name] if isinstance(scalar, Parameter) else scalar


def apply_indicator(name: str, inputs: tuple[FloatArray, ...], values: tuple[float, ...]) -> FloatArray:
    """Compute a registered indicator; whole-number parameters become int."""
    known = INDICATORS[name]
    numbers = [
        int(value) if parameter in known.integer_parameters else float(value)
        for parameter, value in zip(known.parameters, values, strict=True)
    ]
    return known(*inputs, *numbers)


def combine(operator: str, left: FloatArray, right: FloatArray | float) -> FloatArray:
    """Return left (+ - * /) right; a division by zero gives NaN."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    divisor = np.where(np.asarray(right) == 0.0, np.nan, right)
    return left / divisor


def shift(values: FloatArray, bars: int) -> FloatArray:
    """Return the values of `bars` bars ago, NaN before the first."""
    shifted = np.full(len(values), np.nan)
    shifted[bars:] = values[: max(len(values) - bars, 0)]
    return shifted


class _Evaluation:
    """Evaluates nodes, each distinct series once. A condition is a pair of flags: surely true, surely false."""

    def __init__(self, candles: Candles, parameters: Mapping[str, float]) -> None:
        self._candles = candles
        self._parameters = parameters
        self._known: dict[Series, FloatArray] = {}

    def series(self, node: Series) -> FloatArray:
        if node not in self._known:
            self._known[node] = self._compute(node)
        return self._known[node]

    def _compute(self, node: Series) -> FloatArray:
        match node:
            case Level(value=value):
                return np.full(len(self._candles), resolve(value, self._parameters))
            case Column(name=name):
                column: FloatArray = getattr(self._candles, name)
                return column
            case TimeOfCandle(part=part):
                return time_part(self._candles.open_time, part)
            case Applied(indicator=name, inputs=inputs, parameters=parameters):
                values = tuple(resolve(item, self._parameters) for item in parameters)
                return apply_indicator(name, tuple(self.series(item) for item in inputs), values)
            case Arithmetic(operator=operator, left=left, right=right):
                return combine(operator, self.series(left), self.series(right))
            case Previous(of=of, bars=bars):
                return shift(self.series(of), bars)
        raise TypeError(f"series {type(node).__name__} cannot be evaluated")

    def condition(self, node: Condition) -> tuple[BoolArray, BoolArray]:
        match node:
            case Comparison(operator=operator, left=left, right=right):
                return self._compare(operator, self.series(left), self.series(right))
            case Crosses(direction=direction, left=left, right=right):
                a, b = self.series(left), self.series(right)
                now, before = (">", "<=") if direction == "above" else ("<", ">=")
                is_now, not_now = self._compare(now, a, b)
                was, was_not = self._compare(before, shift(a, 1), shift(b, 1))
                return is_now & was, not_now | was_not
            case Not(condition=condition):
                true, false = self.condition(condition)
                return false, true
            case And(left=first, right=second):
                (true_1, false_1), (true_2, false_2) = self.condition(first), self.condition(second)
                return true_1 & true_2, false_1 | false_2
            case Or(left=first, right=second):
                (true_1, false_1), (true_2, false_2) = self.condition(first), self.condition(second)
                return true_1 | true_2, false_1 & false_2
        raise TypeError(f"condition {type(node).__name__} cannot be evaluated")

    @staticmethod
    def _compare(operator: str, left: FloatArray, right: FloatArray) -> tuple[BoolArray, BoolArray]:
        if operator == ">":
            return left > right, left <= right
        if operator == "<":
            return left < right, left >= right
        if operator == ">=":
            return left >= right, left < right
        return left <= right, left > right
