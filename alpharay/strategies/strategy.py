"""A strategy: its rules, its parameters and their order constraints, and its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec
import numpy as np

from alpharay.indicators.registry import INDICATORS
from alpharay.indicators.source_file import SourceFile, run_source_file, source_files_of
from alpharay.market.candles import FloatArray, IntArray
from alpharay.strategies.expression import (
    Condition,
    OrderConstraint,
    Parameter,
    Scalar,
    indicators_in,
    parameters_in,
)


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

HOLDING = "holding"
"""The name of the parameter that `with_minimum_holding` adds."""


def _check_range(parameter: ParameterRange) -> None:
    if not parameter.low <= parameter.default <= parameter.high:
        allowed = f"[{parameter.low}, {parameter.high}]"
        raise ValueError(f"parameter {parameter.name}: default must be in {allowed}, was {parameter.default}")


@dataclass(frozen=True, slots=True)
class Strategy:
    """Enter and exit rules with their parameters; the short rules are absent in a long-only strategy.

    `minimum_holding` is a whole number of bars, fixed or a parameter: of a position filled on bar e, the exit signals
    of bars t with t - e >= `minimum_holding` are followed, for 0 from the close of the entry bar on. An entry of the
    other side closes a position as its exit signal does, so it waits as long. Stops do not wait.

    Pickled, it takes the users' files that register its indicators with it, and they are run where it arrives.
    """

    name: str
    description: str
    parameters: tuple[ParameterRange, ...]
    enter: Condition
    exit: Condition
    constraints: tuple[OrderConstraint, ...] = ()
    enter_short: Condition | None = None
    exit_short: Condition | None = None
    minimum_holding: Scalar = 0

    def __post_init__(self) -> None:
        names = self.parameter_names
        if len(set(names)) != len(names):
            raise ValueError(f"strategy {self.name}: a parameter is declared twice in {names}")
        if (self.enter_short is None) != (self.exit_short is None):
            raise ValueError(f"strategy {self.name}: enter_short and exit_short come together")
        used = frozenset[str]().union(*(parameters_in(rule) for rule in self.rules))
        if isinstance(self.minimum_holding, Parameter):
            used |= {self.minimum_holding.name}
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
        self._check_minimum_holding()
        self.check(self.defaults)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (source_files_of(self.indicators), *(getattr(self, field.name) for field in fields(self)))

    @property
    def indicators(self) -> frozenset[str]:
        """The names of the indicators in its rules."""
        return frozenset[str]().union(*(indicators_in(rule) for rule in self.rules))

    def _check_minimum_holding(self) -> None:
        if not isinstance(self.minimum_holding, Parameter):
            if not (float(self.minimum_holding).is_integer() and self.minimum_holding >= 0):
                raise ValueError(
                    f"strategy {self.name}: minimum_holding must be a whole number of bars from 0 up, "
                    f"was {self.minimum_holding}"
                )
            return
        known = self.parameters[self.parameter_names.index(self.minimum_holding.name)]
        if not (isinstance(known, Integer) and known.low >= 0):
            raise ValueError(
                f"strategy {self.name}: the parameter {known.name} is a minimum_holding, so it must be an Integer "
                f"from 0 up, was {known}"
            )

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

    def minimum_holdings(self, genomes: FloatArray) -> IntArray:
        """Return the minimum holding, in bars, of each row of `genomes`, (rows, parameters)."""
        if isinstance(self.minimum_holding, Parameter):
            column = genomes[:, self.parameter_names.index(self.minimum_holding.name)]
            return np.rint(column).astype(np.int64)
        return np.full(len(genomes), int(self.minimum_holding), dtype=np.int64)

    def genome(self, parameters: Mapping[str, float]) -> FloatArray:
        """Return `parameters` as a row in declaration order."""
        return np.array([parameters[name] for name in self.parameter_names], dtype=np.float64)

    def from_genome(self, genome: FloatArray) -> dict[str, float]:
        """Return a row in declaration order as named parameters; whole numbers as int."""
        return {
            parameter.name: int(value) if isinstance(parameter, Integer) else float(value)
            for parameter, value in zip(self.parameters, genome.tolist(), strict=True)
        }


def _arrived(files: tuple[SourceFile, ...], *values: Any) -> Strategy:
    """Return a pickled strategy, its users' files run; raises ValueError when an indicator is not to be had here."""
    for file in files:
        run_source_file(file)
    strategy = Strategy(*values)
    if missing := strategy.indicators - INDICATORS.keys():
        raise ValueError(
            f"strategy {strategy.name} uses the indicators {sorted(missing)}, which are not registered in this "
            "process: define them in a file and load it with alpharay.strategies.loading, so that it travels along"
        )
    return strategy


def with_minimum_holding(strategy: Strategy, low: int, high: int, default: int) -> Strategy:
    """Return the strategy with a minimum holding of `low` to `high` bars that the search chooses.

    It is one more parameter, named `holding`. Raises ValueError when the strategy has a minimum holding already, or
    when a range does not fit.
    """
    if strategy.minimum_holding != 0:
        raise ValueError(f"strategy {strategy.name} has a minimum_holding already: {strategy.minimum_holding}")
    return replace(
        strategy,
        parameters=(*strategy.parameters, Integer(HOLDING, low, high, default)),
        minimum_holding=Parameter(HOLDING),
    )


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
