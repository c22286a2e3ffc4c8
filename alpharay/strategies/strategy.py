"""A strategy: its rules, its parameters and their order constraints, and its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from alpharay.market.candles import FloatArray
from alpharay.strategies.expression import Condition, OrderConstraint, parameters_in


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole-number parameter in `[low, high]`."""

    name: str
    low: int
    high: int
    default: int

    def __post_init__(self) -> None:
        _check_range(self)


@dataclass(frozen=True, slots=True)
class Real:
    """A real-number parameter in `[low, high]`."""

    name: str
    low: float
    high: float
    default: float

    def __post_init__(self) -> None:
        _check_range(self)


ParameterRange = Integer | Real


def _check_range(parameter: ParameterRange) -> None:
    if not parameter.low <= parameter.default <= parameter.high:
        allowed = f"[{parameter.low}, {parameter.high}]"
        raise ValueError(f"parameter {parameter.name}: default must be in {allowed}, was {parameter.default}")


@dataclass(frozen=True, slots=True)
class Strategy:
    """Enter and exit rules with their parameters; the short rules are absent in a long-only strategy."""

    name: str
    description: str
    parameters: tuple[ParameterRange, ...]
    enter: Condition
    exit: Condition
    constraints: tuple[OrderConstraint, ...] = ()
    enter_short: Condition | None = None
    exit_short: Condition | None = None

    def __post_init__(self) -> None:
        names = self.parameter_names
        if len(set(names)) != len(names):
            raise ValueError(f"strategy {self.name}: a parameter is declared twice in {names}")
        if (self.enter_short is None) != (self.exit_short is None):
            raise ValueError(f"strategy {self.name}: enter_short and exit_short come together")
        used = frozenset[str]().union(*(parameters_in(rule) for rule in self.rules))
        if used != set(names):
            raise ValueError(
                f"strategy {self.name} declares the parameters {sorted(names)}, its rules use {sorted(used)}"
            )
        for constraint in self.constraints:
            for name in (constraint.smaller, constraint.larger):
                if name not in names:
                    raise ValueError(
                        f"strategy {self.name}: constraint {constraint} names {name!r}, which is no parameter"
                    )
        self.check(self.defaults)

    @property
    def rules(self) -> tuple[Condition, ...]:
        """The rules that are there: enter, exit and, for both directions, enter_short, exit_short."""
        if self.enter_short is None or self.exit_short is None:
            return (self.enter, self.exit)
        return (self.enter, self.exit, self.enter_short, self.exit_short)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names in declaration order: the order of a genome's columns."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def defaults(self) -> dict[str, float]:
        """The textbook's parameters."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    def check(self, parameters: Mapping[str, float]) -> None:
        """Raise ValueError naming the field and the value when `parameters` are not a set this strategy can use."""
        if set(parameters) != set(self.parameter_names):
            raise ValueError(
                f"strategy {self.name} takes the parameters {self.parameter_names}, was {tuple(parameters)}"
            )
        for parameter in self.parameters:
            value = parameters[parameter.name]
            if not parameter.low <= value <= parameter.high:
                raise ValueError(f"{parameter.name} must be in [{parameter.low}, {parameter.high}], was {value}")
            if isinstance(parameter, Integer) and value != int(value):
                raise ValueError(f"{parameter.name} must be a whole number, was {value}")
        for constraint in self.constraints:
            smaller, larger = parameters[constraint.smaller], parameters[constraint.larger]
            if not smaller < larger:
                raise ValueError(f"{constraint} is required, was {smaller} and {larger}")

    def genome(self, parameters: Mapping[str, float]) -> FloatArray:
        """Return `parameters` as a row in declaration order."""
        return np.array([parameters[name] for name in self.parameter_names], dtype=np.float64)

    def from_genome(self, genome: FloatArray) -> dict[str, float]:
        """Return a row in declaration order as named parameters; whole numbers as int."""
        return {
            parameter.name: int(value) if isinstance(parameter, Integer) else float(value)
            for parameter, value in zip(self.parameters, genome.tolist(), strict=True)
        }


def strategy_id(
    strategy_json: Mapping[str, object], parameters: Mapping[str, float], symbol: str, timeframe: str
) -> str:
    """Return a strategy's identity: SHA-256 over expression, parameters, symbol and time frame (hex, 64 characters).

    The name and the description are not part of it: the same rule under another name is the same strategy.
    """
    rules = {key: value for key, value in strategy_json.items() if key not in ("name", "description")}
    named = {key: float(value) for key, value in parameters.items()}
    canonical = msgspec.json.encode([rules, named, symbol, timeframe], order="sorted")
    return hashlib.sha256(canonical).hexdigest()
