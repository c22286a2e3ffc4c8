"""The rule expression tree: series over candles, conditions over series, and the parameters in them.

A rule reads like the trader's sentence: `ta.sma(P.fast).crosses_above(ta.sma(P.slow)) & (ta.rsi(14) < P.oversold)`.
Nodes are immutable values; what they mean on candles is in `evaluation` (one parameter set, plain) and in
`alpharay.backtest` (a whole population, fast). A comparison with NaN is neither true nor false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from alpharay.indicators.registry import INDICATORS, LONGEST_WINDOW
from alpharay.market.candles import VALUE_COLUMNS
from alpharay.market.time_parts import TIME_PARTS, TimePart

ArithmeticOperator = Literal["+", "-", "*", "/"]
ComparisonOperator = Literal[">", "<", ">=", "<="]
Direction = Literal["above", "below"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number that the search chooses."""

    name: str

    def __lt__(self, other: Parameter) -> OrderConstraint:
        return OrderConstraint(self.name, other.name)

    def __gt__(self, other: Parameter) -> OrderConstraint:
        return OrderConstraint(other.name, self.name)


@dataclass(frozen=True, slots=True)
class OrderConstraint:
    """Parameter `smaller` must be less than parameter `larger`."""

    smaller: str
    larger: str

    def __str__(self) -> str:
        return f"{self.smaller} < {self.larger}"


class _Parameters:
    """`P.fast` is the parameter named fast."""

    def __getattr__(self, name: str) -> Parameter:
        if name.startswith("_"):
            raise AttributeError(name)
        return Parameter(name)


P = _Parameters()

Scalar = float | Parameter
"""A number, fixed or chosen by the search."""


class Series:
    """One number a bar; NaN where it is not defined."""

    __slots__ = ()

    def __gt__(self, other: Series | Scalar) -> Condition:
        return Comparison(">", self, series(other))

    def __lt__(self, other: Series | Scalar) -> Condition:
        return Comparison("<", self, series(other))

    def __ge__(self, other: Series | Scalar) -> Condition:
        return Comparison(">=", self, series(other))

    def __le__(self, other: Series | Scalar) -> Condition:
        return Comparison("<=", self, series(other))

    def __add__(self, other: Series | Scalar) -> Series:
        return Arithmetic("+", self, series(other))

    def __sub__(self, other: Series | Scalar) -> Series:
        return Arithmetic("-", self, series(other))

    def __mul__(self, other: Series | Scalar) -> Series:
        return Arithmetic("*", self, series(other))

    def __truediv__(self, other: Series | Scalar) -> Series:
        return Arithmetic("/", self, series(other))

    def crosses_above(self, other: Series | Scalar) -> Condition:
        """Be above `other` now and at or below it on the bar before."""
        return Crosses("above", self, series(other))

    def crosses_below(self, other: Series | Scalar) -> Condition:
        """Be below `other` now and at or above it on the bar before."""
        return Crosses("below", self, series(other))

    def previous(self, bars: int = 1) -> Series:
        """Return the value of `bars` bars ago."""
        return Previous(self, bars)


class Condition:
    """True, false or (where a number is missing) neither, a bar."""

    __slots__ = ()

    def __and__(self, other: Condition) -> Condition:
        return And(self, other)

    def __or__(self, other: Condition) -> Condition:
        return Or(self, other)

    def __invert__(self) -> Condition:
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError(
            "a condition has no truth value of its own: combine with &, | and ~, and do not chain a < b < c"
        )


@dataclass(frozen=True, slots=True)
class Level(Series):
    """The same number on every bar."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Column(Series):
    """A column of the candles."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in VALUE_COLUMNS:
            raise ValueError(f"column must be one of {', '.join(VALUE_COLUMNS)}, was {self.name!r}")


@dataclass(frozen=True, slots=True)
class TimeOfCandle(Series):
    """A part of the candle's open time, UTC, known before the candle is (`alpharay.strategies.seasons`)."""

    part: TimePart

    def __post_init__(self) -> None:
        if self.part not in TIME_PARTS:
            raise ValueError(f"time must be one of {', '.join(TIME_PARTS)}, was {self.part!r}")


@dataclass(frozen=True, slots=True)
class Applied(Series):
    """A registered indicator of some series."""

    indicator: str
    inputs: tuple[Series, ...]
    parameters: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        known = INDICATORS.get(self.indicator)
        if known is None:
            raise ValueError(
                f"indicator {self.indicator!r} is not registered; known are {', '.join(sorted(INDICATORS))}"
            )
        for what, expected, given in (
            ("input", known.inputs, self.inputs),
            ("parameter", known.parameters, self.parameters),
        ):
            if len(expected) != len(given):
                raise ValueError(
                    f"indicator {self.indicator} takes {len(expected)} {what}s {expected}, was {len(given)}"
                )


@dataclass(frozen=True, slots=True)
class Arithmetic(Series):
    """Sum, difference, product or quotient; a division by zero gives NaN."""

    operator: ArithmeticOperator
    left: Series
    right: Series


@dataclass(frozen=True, slots=True)
class Previous(Series):
    """The value of `bars` bars ago."""

    of: Series
    bars: int

    def __post_init__(self) -> None:
        if self.bars < 1:
            raise ValueError(f"bars must be at least 1 (a rule may not look ahead), was {self.bars}")
        if self.bars > LONGEST_WINDOW:
            raise ValueError(f"bars must be at most {LONGEST_WINDOW:,}, was {self.bars}")


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """Compare two series on each bar."""

    operator: ComparisonOperator
    left: Series
    right: Series


@dataclass(frozen=True, slots=True)
class Crosses(Condition):
    """`above`: left > right now, left <= right on the bar before. `below`: the mirror image."""

    direction: Direction
    left: Series
    right: Series


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """False where the condition is true; where it is neither, neither."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class And(Condition):
    """Both."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Or(Condition):
    """Either or both."""

    left: Condition
    right: Condition


Node = Series | Condition

open_ = Column("open")
high = Column("high")
low = Column("low")
close = Column("close")
volume = Column("volume")


def series(value: Series | Scalar) -> Series:
    """Return a series as it is, a number or parameter as a level."""
    return value if isinstance(value, Series) else Level(value)


class _Indicators:
    """`ta.sma(P.fast)` is the registered indicator `sma` of its usual candle columns; `of` gives other inputs."""

    def __getattr__(self, name: str) -> Callable[..., Series]:
        known = INDICATORS.get(name)
        if known is None:
            raise AttributeError(f"indicator {name!r} is not registered; known are {', '.join(sorted(INDICATORS))}")

        def apply(*parameters: Scalar, of: Series | tuple[Series, ...] | None = None) -> Series:
            if of is None:
                inputs: tuple[Series, ...] = tuple(Column(column) for column in known.inputs)
            else:
                inputs = of if isinstance(of, tuple) else (of,)
            return Applied(name, inputs, parameters)

        return apply


ta = _Indicators()


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right under `node`."""
    match node:
        case Applied(inputs=inputs):
            return inputs
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right) | Crosses(left=left, right=right):
            return (left, right)
        case And(left=first, right=second) | Or(left=first, right=second):
            return (first, second)
        case Previous(of=of):
            return (of,)
        case Not(condition=condition):
            return (condition,)
    return ()


def walk_nodes(node: Node) -> Iterator[Node]:
    """Yield `node` and everything under it, parents first."""
    yield node
    for child in children(node):
        yield from walk_nodes(child)


def parameters_in(node: Node) -> frozenset[str]:
    """Return the names of the parameters that `node` uses."""
    names: set[str] = set()
    for item in walk_nodes(node):
        scalars: tuple[Scalar, ...] = ()
        if isinstance(item, Applied):
            scalars = item.parameters
        elif isinstance(item, Level):
            scalars = (item.value,)
        names.update(scalar.name for scalar in scalars if isinstance(scalar, Parameter))
    return frozenset(names)


def indicators_in(node: Node) -> frozenset[str]:
    """Return the names of the indicators that `node` uses."""
    return frozenset(item.indicator for item in walk_nodes(node) if isinstance(item, Applied))
