"""One side of a comparison as a short program over stored columns, so that its arithmetic is never stored itself.

`middle - deviations * width` for two hundred widths would be two hundred columns in memory; as a program it is worked
out a tile of bars at a time, in the cache, right where it is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from alpharay.backtest.compositions import Delayed, Share
from alpharay.strategies.expression import Arithmetic, Level, Previous, Scalar, Series

REGISTER, LEAF, LEVEL = range(3)
"""Where an instruction reads a value: an earlier result, a stored column, a number."""

Item = TypeVar("Item")

OPERATORS = ("+", "-", "*", "/")

WHEN_ZERO = (0.0, 0.5, 1.0)
"""What a share of nothing may count as; as an operator it comes after `OPERATORS`, in this order."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A stored column, read some bars late: the sum of `lags`."""

    series: Series
    lags: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison: what the last instruction leaves, or `result` itself when there is none."""

    instructions: tuple[tuple[int, int, int, int, int, int], ...]
    """(operator, register written, left kind, left index, right kind, right index) each."""
    result: tuple[int, int]
    """Kind and index of the value."""
    leaves: tuple[Leaf, ...]
    levels: tuple[Scalar, ...]

    @property
    def is_column(self) -> bool:
        """Whether it is a stored column as it is."""
        return self.result[0] == LEAF and not self.leaves[0].lags

    @property
    def is_level(self) -> bool:
        """Whether it is one number on all bars."""
        return self.result[0] == LEVEL


@dataclass(slots=True)
class _Compiler:
    instructions: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    levels: list[Scalar] = field(default_factory=list)

    def value(self, node: Series, lags: tuple[Scalar, ...], register: int) -> tuple[int, int]:
        """Compile `node`; what it needs registers for goes to `register` and up."""
        match node:
            case Level(value=scalar):
                return LEVEL, _place(self.levels, scalar)
            case Arithmetic(operator=operator, left=first, right=second):
                left = self.value(first, lags, register)
                right = self.value(second, lags, register + (left[0] == REGISTER))
                self.instructions.append((OPERATORS.index(operator), register, *left, *right))
                return REGISTER, register
            case Previous(of=of, bars=bars) | Delayed(of=of, bars=bars) if _has_column(of):
                return self.value(of, (*lags, bars), register)
        return LEAF, _place(self.leaves, Leaf(node, lags))


def compile_operand(node: Series) -> Operand:
    """Return the program of one side of a comparison."""
    compiler = _Compiler()
    result = compiler.value(node, (), 0)
    return Operand(tuple(compiler.instructions), result, tuple(compiler.leaves), tuple(compiler.levels))


def _has_column(node: Series) -> bool:
    # A number of some bars ago is missing on the first bars, which no column tells then.
    match node:
        case Level():
            return False
        case Arithmetic(left=left, right=right) | Share(part=left, whole=right):
            return _has_column(left) or _has_column(right)
        case Previous(of=of) | Delayed(of=of):
            return _has_column(of)
    return True


def _place(items: list[Item], item: Item) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)
