"""A strategy's rules as word operations: which comparisons to make once, and how each rule combines them.

A condition is never evaluated bar by bar. Negations are pushed down to the comparisons (De Morgan holds for true,
false and unknown), so that a rule is an and/or tree over literals: a comparison's bits, or, where it is negated, the
bars on which both sides are numbers and it does not hold; each possibly of the bar before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

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


class RuleCode(NamedTuple):
    """A `RuleProgram` as the compiled code takes it: the codes one after the other, and where each ends."""

    codes: CodeArray
    ends: CodeArray
    literals: CodeArray
    depth: int


def rule_code(program: RuleProgram) -> RuleCode:
    """Return the kernel's view of `program`."""
    ends = np.cumsum([len(code) for code in program.codes])
    return RuleCode(np.concatenate(program.codes), ends, program.literals, program.depth)


@njit(cache=True)
def run_rule(  # noqa: C901 - one dispatch
    codes: CodeArray,
    first: int,
    end: int,
    literals: CodeArray,
    bits: WordArray,
    before: WordArray,
    rows: CodeArray,
    genome: int,
    stack: WordArray,
) -> None:
    """Evaluate the rule `codes[first:end]` of one genome over its rows of bits, `rows[genome]`, to `stack[0]`.

    The three rows of a test are its bit set and those of the bars with numbers (-1: none). `before` is the word before
    the first of each row.
    """
    # Places instead of slices: a slice of an array counts a reference, which costs as much as a few words do.
    words = stack.shape[1]
    top = -1
    for place in range(first, end):
        item = codes[place]
        if item >= 0:
            top += 1
            test, negated, earlier = literals[item, 0], literals[item, 1], literals[item, 2]
            row, known, also_known = rows[genome, test, 0], rows[genome, test, 1], rows[genome, test, 2]
            carried = before[row]
            if negated == 0:
                for index in range(words):
                    stack[top, index] = bits[row, index]
            elif also_known < 0:
                for index in range(words):
                    stack[top, index] = bits[known, index] & ~bits[row, index]
                carried = before[known] & ~carried
            else:
                for index in range(words):
                    stack[top, index] = bits[known, index] & bits[also_known, index] & ~bits[row, index]
                carried = before[known] & before[also_known] & ~carried
            if earlier != 0:
                for index in range(words - 1, 0, -1):
                    stack[top, index] = (stack[top, index] << np.uint64(1)) | (stack[top, index - 1] >> np.uint64(63))
                stack[top, 0] = (stack[top, 0] << np.uint64(1)) | (carried >> np.uint64(63))
            continue
        top -= 1
        if item == AND_CODE:
            for index in range(words):
                stack[top, index] &= stack[top + 1, index]
        else:
            for index in range(words):
                stack[top, index] |= stack[top + 1, index]


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
