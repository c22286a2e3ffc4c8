"""A strategy's rules as word operations: which comparisons to make once, and how each rule combines them.

A condition is never evaluated bar by bar. Negations are pushed down to the comparisons (De Morgan holds for true,
false and unknown), so that a rule is an and/or tree over literals: a comparison's bits, or, where it is negated, the
bars on which both sides are numbers and it does not hold; each possibly of the bar before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from alpharay.backtest.bits import WordArray
from alpharay.strategies.expression import And, Comparison, Condition, Crosses, Level, Not, Or, Series
from alpharay.strategies.strategy import Strategy

CodeArray = npt.NDArray[np.int64]

AND_CODE, OR_CODE = -1, -2
"""Operators in a rule's postfix code; a number from zero up is a literal."""


@dataclass(frozen=True, slots=True)
class Test:
    """Left above or below right, for one pair of series; `right` may be a level."""

    side: Literal["above", "below"]
    left: Series
    right: Series


@dataclass(frozen=True, slots=True)
class Operand:
    """One use of a test: as it is or negated, of this bar or of the bar before."""

    test: int
    negated: bool
    before: bool


@dataclass(slots=True)
class _Tables:
    tests: dict[Test, int] = field(default_factory=dict)
    literals: dict[Operand, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleProgram:
    """The rules of one strategy over shared tests and literals; `codes` holds one postfix code a rule."""

    tests: tuple[Test, ...]
    literals: CodeArray
    """(literals, 3): test, negated, before."""
    codes: tuple[CodeArray, ...]
    depth: int
    """The stack that the deepest rule needs."""


def compile_rules(strategy: Strategy) -> RuleProgram:
    """Return the program of a strategy's rules in their order (`Strategy.rules`)."""
    tables = _Tables()
    codes = [_compile(rule, tables, negated=False) for rule in strategy.rules]
    return RuleProgram(
        tests=tuple(tables.tests),
        literals=np.array([[item.test, item.negated, item.before] for item in tables.literals], dtype=np.int64),
        codes=tuple(np.array(code, dtype=np.int64) for code in codes),
        depth=max(_depth(code) for code in codes),
    )


def _compile(node: Condition, tables: _Tables, *, negated: bool) -> list[int]:
    match node:
        case Not(condition=condition):
            return _compile(condition, tables, negated=not negated)
        case And(left=left, right=right) | Or(left=left, right=right):
            joined_by_and = isinstance(node, And) != negated
            parts = _compile(left, tables, negated=negated) + _compile(right, tables, negated=negated)
            return [*parts, AND_CODE if joined_by_and else OR_CODE]
        case Comparison(operator=operator, left=left_series, right=right_series):
            side: Literal["above", "below"] = "above" if operator in (">", "<=") else "below"
            holds_when_not = operator in (">=", "<=")
            return [_literal(tables, side, left_series, right_series, negated=negated != holds_when_not, before=False)]
        case Crosses(direction=direction, left=left_series, right=right_series):
            now = _literal(tables, direction, left_series, right_series, negated=negated, before=False)
            was = _literal(tables, direction, left_series, right_series, negated=not negated, before=True)
            return [now, was, OR_CODE if negated else AND_CODE]
    raise TypeError(f"condition {type(node).__name__} cannot be compiled")


def _literal(
    tables: _Tables,
    side: Literal["above", "below"],
    left: Series,
    right: Series,
    *,
    negated: bool,
    before: bool,
) -> int:
    if isinstance(left, Level) and not isinstance(right, Level):
        side, left, right = ("below" if side == "above" else "above"), right, left
    elif side == "below" and not isinstance(right, Level):
        side, left, right = "above", right, left
    test = tables.tests.setdefault(Test(side, left, right), len(tables.tests))
    return tables.literals.setdefault(Operand(test, negated, before), len(tables.literals))


def _depth(code: list[int]) -> int:
    height, highest = 0, 0
    for item in code:
        height += 1 if item >= 0 else -1
        highest = max(highest, height)
    return highest


@njit(cache=True, inline="always")
def _load_literal(literal: CodeArray, bits: WordArray, rows: CodeArray, out: WordArray) -> None:
    """Write one literal of one genome; `rows[test]` are its bit set and those of the bars with numbers (-1: none)."""
    row, known, also_known = rows[literal[0]]
    source = bits[row]
    if literal[1] == 0:
        for index in range(len(out)):
            out[index] = source[index]
    elif also_known < 0:
        left = bits[known]
        for index in range(len(out)):
            out[index] = left[index] & ~source[index]
    else:
        left, right = bits[known], bits[also_known]
        for index in range(len(out)):
            out[index] = left[index] & right[index] & ~source[index]
    if literal[2] != 0:
        for index in range(len(out) - 1, 0, -1):
            out[index] = (out[index] << np.uint64(1)) | (out[index - 1] >> np.uint64(63))
        if len(out) > 0:
            out[0] <<= np.uint64(1)


@njit(cache=True)
def run_rule(code: CodeArray, literals: CodeArray, bits: WordArray, rows: CodeArray, stack: WordArray) -> None:
    """Evaluate one rule of one genome over its rows of bits, (tests, 3); the result is `stack[0]`."""
    top = -1
    for item in code:
        if item >= 0:
            top += 1
            _load_literal(literals[item], bits, rows, stack[top])
            continue
        under, over = stack[top - 1], stack[top]
        if item == AND_CODE:
            for index in range(len(under)):
                under[index] &= over[index]
        else:
            for index in range(len(under)):
                under[index] |= over[index]
        top -= 1


@njit(cache=True)
def settle_conflicts(
    enter: WordArray, leave: WordArray, enter_short: WordArray | None, leave_short: WordArray | None
) -> None:
    """Clear entries on bars that also say to leave or to enter the other side; let an entry close the other side."""
    if enter_short is not None and leave_short is not None:
        for index in range(len(enter)):
            long = enter[index] & ~leave[index]
            short = enter_short[index] & ~leave_short[index]
            enter[index] = long & ~short
            enter_short[index] = short & ~long
            leave[index] |= enter_short[index]
            leave_short[index] |= enter[index]
    else:
        for index in range(len(enter)):
            enter[index] &= ~leave[index]
