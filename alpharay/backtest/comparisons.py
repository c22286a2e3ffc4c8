"""Every distinct comparison of a batch as a bit set, each made once, a tile of bars at a time over all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit

from alpharay.backtest.bits import (
    WORD_BITS,
    WordArray,
    above_level_word,
    above_word,
    below_level_word,
    below_word,
    known_word,
)
from alpharay.backtest.operands import LEAF, LEVEL, Operand
from alpharay.backtest.plan import Plan, Slots, lag_column, scalar_column
from alpharay.backtest.rules import CodeArray, RuleProgram
from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Strategy

TILE_WORDS = 16
"""Comparisons run over 1,024 bars of all columns at a time, so that these stay in the cache."""

TILE_BARS = TILE_WORDS * WORD_BITS


class ColumnComparisons(NamedTuple):
    """Comparisons of stored columns as they are."""

    pairs: CodeArray
    """(comparisons, 4): left slot, right slot or -1 for its level, row of "above" or -1, row of "below" or -1."""
    levels: FloatArray
    known: CodeArray
    """(columns, 2): slot, row of the bars where it is a number."""


class ProgramComparisons(NamedTuple):
    """Comparisons of which at least one side is worked out tile by tile: see `operands`."""

    pairs: CodeArray
    """(comparisons, 5): left operand, right operand, rows of "above", "below" and "both are numbers", or -1."""
    instructions: CodeArray
    """(programs, instructions, 6): see `Operand.instructions`."""
    lengths: CodeArray
    """(programs,): instructions of each."""
    operands: CodeArray
    """(operands, 3): program, kind and index of its result."""
    slots: CodeArray
    """(operands, leaves)."""
    lags: CodeArray
    levels: FloatArray
    """(operands, levels)."""
    registers: int


@dataclass(slots=True)
class _Pair:
    """The rows of one pair of operands; -1 where nobody asks."""

    above: int = -1
    below: int = -1
    known: tuple[int, int] = (-1, -1)


@dataclass(slots=True)
class _Rows:
    """Hands out rows of bits."""

    count: int = 0
    known: dict[int, int] = field(default_factory=dict)

    def new(self) -> int:
        self.count += 1
        return self.count - 1


def plan_comparisons(
    strategy: Strategy, program: RuleProgram, plan: Plan, genomes: FloatArray, chunk: slice, slots: Slots
) -> tuple[ColumnComparisons, ProgramComparisons, CodeArray, int]:
    """Return the distinct comparisons of a chunk of genomes, each genome's rows of bits, and how many rows there are.

    A genome's rows are (tests, 3): the comparison's, and the one or two whose bars both sides are numbers on (-1:
    nobody asks, or all bars).
    """
    part = genomes[chunk]
    operands: dict[tuple[float, ...], int] = {}
    ids = []
    for number, (operand, leaves) in enumerate(zip(plan.operands, plan.leaves, strict=True)):
        columns = [np.full(len(part), float(number))]
        columns += [slots.of(leaf, chunk).astype(np.float64) for leaf in leaves]
        columns += [lag_column(leaf, strategy, part) for leaf in operand.leaves]
        columns += [scalar_column(level, strategy, part) for level in operand.levels]
        table = np.column_stack(columns).tolist()
        ids.append([operands.setdefault(tuple(row), len(operands)) for row in table])
    keys = list(operands)

    negated = {int(test) for test in program.literals[program.literals[:, 1] != 0, 0]}
    pairs: dict[tuple[int, int], _Pair] = {}
    rows = _Rows()
    rows_of = np.full((len(part), len(program.tests), 3), -1, dtype=np.int64)
    for index, (test, (left, right)) in enumerate(zip(program.tests, plan.sides, strict=True)):
        levelled = plan.operands[right].is_level
        simple = plan.operands[left].is_column and (levelled or plan.operands[right].is_column)
        upward = test.side == "above"
        place: list[tuple[int, int, int]] = []
        for a, b in zip(ids[left], ids[right], strict=True):
            mirror = pairs.get((b, a)) if a != b else None
            pair = mirror or pairs.get((a, b))
            if pair is None:
                pair = pairs[a, b] = _Pair()
            if upward != (mirror is not None):
                if pair.above < 0:
                    pair.above = rows.new()
                row = pair.above
            else:
                if pair.below < 0:
                    pair.below = rows.new()
                row = pair.below
            if index in negated and pair.known[0] < 0:
                if simple:
                    known = [_known_row(rows, int(keys[side][1])) for side in ((a,) if levelled else (a, b))]
                    pair.known = (known[0], known[-1] if len(known) > 1 else -1)
                else:
                    pair.known = (rows.new(), -1)
            place.append((row, *pair.known))
        rows_of[:, index] = place
    plain, others = _tables(plan.operands, keys, pairs, rows)
    return plain, others, rows_of, rows.count


def _known_row(rows: _Rows, slot: int) -> int:
    if slot not in rows.known:
        rows.known[slot] = rows.new()
    return rows.known[slot]


def _tables(
    programs: tuple[Operand, ...], keys: list[tuple[float, ...]], pairs: dict[tuple[int, int], _Pair], rows: _Rows
) -> tuple[ColumnComparisons, ProgramComparisons]:
    """Return the comparisons as the compiled code takes them."""
    plain, plain_levels, others = [], [], []
    for (a, b), pair in pairs.items():
        left, right = programs[int(keys[a][0])], programs[int(keys[b][0])]
        if left.is_column and right.is_column:
            plain.append((int(keys[a][1]), int(keys[b][1]), pair.above, pair.below))
            plain_levels.append(0.0)
        elif left.is_column and right.is_level:
            plain.append((int(keys[a][1]), -1, pair.above, pair.below))
            plain_levels.append(keys[b][1])
        else:
            others.append((a, b, pair.above, pair.below, pair.known[0]))
    columns = ColumnComparisons(
        np.array(plain, dtype=np.int64).reshape(-1, 4),
        np.array(plain_levels, dtype=np.float64),
        np.array(list(rows.known.items()), dtype=np.int64).reshape(-1, 2),
    )
    return columns, _program_tables(programs, keys if others else [], others)


def _program_tables(
    programs: tuple[Operand, ...], keys: list[tuple[float, ...]], pairs: list[tuple[int, int, int, int, int]]
) -> ProgramComparisons:
    longest = max((len(item.instructions) for item in programs), default=0)
    leaves = max((len(item.leaves) for item in programs), default=0)
    levels = max((len(item.levels) for item in programs), default=0)
    instructions = np.zeros((len(programs), longest, 6), dtype=np.int64)
    for number, item in enumerate(programs):
        instructions[number, : len(item.instructions)] = np.array(item.instructions, dtype=np.int64).reshape(-1, 6)
    operands = np.zeros((len(keys), 3), dtype=np.int64)
    slots, lags = np.zeros((2, len(keys), leaves), dtype=np.int64)
    numbers = np.zeros((len(keys), levels))
    for place, key in enumerate(keys):
        program, values = int(key[0]), key[1:]
        item = programs[program]
        count = len(item.leaves)
        operands[place] = (program, *item.result)
        slots[place, :count] = values[:count]
        lags[place, :count] = values[count : 2 * count]
        numbers[place, : len(item.levels)] = values[2 * count :]
    return ProgramComparisons(
        np.array(pairs, dtype=np.int64).reshape(-1, 5),
        instructions,
        np.array([len(item.instructions) for item in programs], dtype=np.int64),
        operands,
        slots,
        lags,
        numbers,
        max((step[1] + 1 for item in programs for step in item.instructions), default=0),
    )


@njit(cache=True, nogil=True)
def compare_columns(  # noqa: C901 - plain loops, one a kind of comparison
    values: FloatArray, pairs: CodeArray, levels: FloatArray, known: CodeArray, bits: WordArray
) -> None:
    """Write the bit sets of `ColumnComparisons`."""
    words = bits.shape[1]
    for first in range(0, words, TILE_WORDS):
        last = min(first + TILE_WORDS, words)
        for item in range(len(known)):
            column, row = values[known[item, 0]], known[item, 1]
            for word in range(first, last):
                bits[row, word] = known_word(column, column, word * 64)
        for item in range(len(pairs)):
            left, right, above, below = pairs[item]
            column, level = values[left], levels[item]
            if right < 0:
                if above >= 0:
                    for word in range(first, last):
                        bits[above, word] = above_level_word(column, level, word * 64)
                if below >= 0:
                    for word in range(first, last):
                        bits[below, word] = below_level_word(column, level, word * 64)
                continue
            other = values[right]
            if above >= 0 and below >= 0:
                for word in range(first, last):
                    bits[above, word] = above_word(column, other, word * 64)
                    bits[below, word] = below_word(column, other, word * 64)
            elif above >= 0:
                for word in range(first, last):
                    bits[above, word] = above_word(column, other, word * 64)
            else:
                for word in range(first, last):
                    bits[below, word] = below_word(column, other, word * 64)


@njit(cache=True, nogil=True)
def compare_programs(values: FloatArray, comparisons: ProgramComparisons, bits: WordArray) -> None:
    """Write the bit sets of `ProgramComparisons`."""
    pairs = comparisons.pairs
    words = bits.shape[1]
    # Two more rows a side: a column that is read late, before the first bar of a tile.
    registers = np.empty((2, comparisons.registers + 3, TILE_BARS))
    for first in range(0, words, TILE_WORDS):
        count = min(TILE_WORDS, words - first)
        for item in range(len(pairs)):
            left, right, above, below, known = pairs[item]
            a = _operand_tile(values, comparisons, left, first * 64, count * 64, registers[0])
            b = _operand_tile(values, comparisons, right, first * 64, count * 64, registers[1])
            if above >= 0:
                for word in range(count):
                    bits[above, first + word] = above_word(a, b, word * 64)
            if below >= 0:
                for word in range(count):
                    bits[below, first + word] = below_word(a, b, word * 64)
            if known >= 0:
                for word in range(count):
                    bits[known, first + word] = known_word(a, b, word * 64)


@njit(cache=True, nogil=True)
def _operand_tile(
    values: FloatArray, comparisons: ProgramComparisons, operand: int, start: int, size: int, registers: FloatArray
) -> FloatArray:
    """Return the values of one operand on the bars from `start`: a view of a column or of a register."""
    program, kind, index = comparisons.operands[operand]
    slots, lags = comparisons.slots[operand], comparisons.lags[operand]
    levels, instructions = comparisons.levels[operand], comparisons.instructions[program]
    spare = len(registers) - 3
    for step in range(comparisons.lengths[program]):
        operator, target, left_kind, left, right_kind, right = instructions[step]
        out = registers[target, :size]
        if right_kind == LEVEL:
            a = _value(values, slots, lags, levels, left_kind, left, start, size, registers, spare)
            _combine_with_level(operator, a, levels[right], out)
        else:
            a = _value(values, slots, lags, levels, left_kind, left, start, size, registers, spare)
            b = _value(values, slots, lags, levels, right_kind, right, start, size, registers, spare + 1)
            _combine(operator, a, b, out)
    return _value(values, slots, lags, levels, kind, index, start, size, registers, spare + 2)


@njit(cache=True, nogil=True)
def _value(
    values: FloatArray,
    slots: CodeArray,
    lags: CodeArray,
    levels: FloatArray,
    kind: int,
    index: int,
    start: int,
    size: int,
    registers: FloatArray,
    spare: int,
) -> FloatArray:
    if kind == LEAF:
        column, begin = values[slots[index]], start - lags[index]
        if begin >= 0:
            return column[begin : begin + size]
        missing = min(-begin, size)
        registers[spare, :missing] = np.nan
        registers[spare, missing:size] = column[: size - missing]
        return registers[spare, :size]
    if kind == LEVEL:
        registers[spare, :size] = levels[index]
        return registers[spare, :size]
    return registers[index, :size]


@njit(cache=True, nogil=True)
def _combine(operator: int, left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    if operator == 0:
        for i in range(len(out)):
            out[i] = left[i] + right[i]
    elif operator == 1:
        for i in range(len(out)):
            out[i] = left[i] - right[i]
    elif operator == 2:
        for i in range(len(out)):
            out[i] = left[i] * right[i]
    elif operator == 3:
        for i in range(len(out)):
            out[i] = left[i] / (right[i] if right[i] != 0.0 else np.nan)
    else:
        when_zero = 0.5 * (operator - 4)
        for i in range(len(out)):
            out[i] = left[i] / right[i] if right[i] != 0.0 else when_zero + 0.0 * left[i]


@njit(cache=True, nogil=True)
def _combine_with_level(operator: int, left: FloatArray, level: float, out: FloatArray) -> None:
    if operator == 0:
        for i in range(len(out)):
            out[i] = left[i] + level
    elif operator == 1:
        for i in range(len(out)):
            out[i] = left[i] - level
    elif operator == 2:
        for i in range(len(out)):
            out[i] = left[i] * level
    else:
        divisor = level if level != 0.0 else np.nan
        for i in range(len(out)):
            out[i] = left[i] / divisor
