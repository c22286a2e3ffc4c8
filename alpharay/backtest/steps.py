"""From a plan to the steps of `tiles`: every distinct comparison of some genomes once, and all that it needs.

Genomes that share what is worked out are made neighbours and go through in groups: a group's averages advance side by
side, and what two of its members share is worked out once for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from alpharay.backtest.compositions import Share
from alpharay.backtest.plan import IndexArray, NodeColumns, Plan, Slots
from alpharay.backtest.rules import CodeArray, RuleProgram
from alpharay.backtest.tiles import (
    ADD,
    AVERAGE,
    COMPARE,
    DIVIDE,
    FIELDS,
    FIRST,
    HIGHEST,
    KEEP,
    KEPT,
    LEFT,
    LEFT_KIND,
    LEFT_LAG,
    LEFT_SCALE,
    LOWEST,
    MEAN,
    MULTIPLY,
    NUMBER,
    NUMBERS,
    OPERATION,
    REGISTER,
    RIGHT,
    RIGHT_KIND,
    RIGHT_LAG,
    SECOND,
    SHARE,
    STORED,
    SUBTRACT,
    TARGET,
    THIRD,
    Steps,
)
from alpharay.indicators.lane_blocks import LANES
from alpharay.market.candles import FloatArray
from alpharay.strategies.expression import Applied, Arithmetic

GROUP = LANES
"""Genomes that go through together."""

OPERATIONS = {"+": ADD, "-": SUBTRACT, "*": MULTIPLY, "/": DIVIDE}
INDICATOR_OPERATIONS = {"ema": AVERAGE, "wilder": AVERAGE, "sma": MEAN, "highest": HIGHEST, "lowest": LOWEST}


@dataclass(slots=True)
class _Pair:
    """Two series that tests compare, and which tests ask for what."""

    left: int
    right: int
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    negated: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where each row of a component reads one series."""

    kind: int
    place: IndexArray
    lag: IndexArray
    number: FloatArray
    scale: FloatArray
    """What its values are multiplied with as they are read."""


@dataclass(slots=True)
class _Program:
    """Steps as they are added, in any order; sorted at the end."""

    tables: list[CodeArray] = field(default_factory=list)
    numbers: list[FloatArray] = field(default_factory=list)
    order: list[CodeArray] = field(default_factory=list)
    """(steps, 3): group, place within the group, rank."""
    groups: int = 0
    bits: int = 0
    registers: int = 0
    kept: int = 0
    averages: int = 0
    longest: int = 1
    known: dict[int, int] = field(default_factory=dict)
    """Stored series -> the first row of the bars where its columns are numbers."""

    def add(self, table: CodeArray, numbers: FloatArray, groups: IndexArray, turn: int, rank: IndexArray) -> None:
        """Add steps that come at `turn` within their groups."""
        self.tables.append(table)
        self.numbers.append(numbers)
        self.order.append(np.column_stack([groups + self.groups, np.full(len(groups), turn), rank]))

    def new_bits(self, count: int) -> int:
        """Hand out rows of bits."""
        self.bits += count
        return self.bits - count


def plan_steps(plan: Plan, program: RuleProgram, genomes: slice, slots: Slots) -> tuple[Steps, CodeArray]:
    """Return the program of the comparisons of a chunk of genomes, and each genome's rows of bits.

    A genome's rows are (tests, 3): the comparison's, and the one or two whose bars both sides are numbers on (-1:
    nobody asks, or all bars).
    """
    negated = {int(test) for test in program.literals[program.literals[:, 1] != 0, 0]}
    pairs: dict[tuple[int, int], _Pair] = {}
    for test, (left, right) in enumerate(plan.sides):
        upward = program.tests[test].side == "above"
        mirrored = left != right and (right, left) in pairs
        key = (right, left) if mirrored else (left, right)
        pair = pairs.setdefault(key, _Pair(*key))
        (pair.above if upward != mirrored else pair.below).append(test)
        if test in negated:
            pair.negated.append(test)
    count = len(plan.columns[0].place[genomes])
    rows = np.full((count, len(program.tests), 3), -1, dtype=np.int64)
    out = _Program()
    history = 0
    for members, series in _components(plan, list(pairs.values())):
        history = max([history, *(plan.columns[number].history for number in series)])
        _add_component(out, plan, members, series, genomes, slots, rows)
    table, numbers, order = np.vstack(out.tables), np.vstack(out.numbers), np.vstack(out.order)
    sequence = np.lexsort(order.T[::-1])
    steps = Steps(
        np.ascontiguousarray(table[sequence]),
        np.ascontiguousarray(numbers[sequence]),
        out.registers,
        -(-history // LANES) * LANES,
        out.kept,
        out.averages,
        out.longest,
        out.bits,
    )
    return steps, rows


def _components(plan: Plan, pairs: list[_Pair]) -> list[tuple[list[_Pair], list[int]]]:
    """Return the pairs that share what is worked out in tiles together, and what that is, inputs first."""
    components: list[tuple[list[_Pair], set[int]]] = []
    for pair in pairs:
        members, series = [pair], _worked_out(plan, pair)
        apart = []
        for others, theirs in components:
            if series & theirs:
                members, series = others + members, series | theirs
            else:
                apart.append((others, theirs))
        components = [*apart, (members, series)]
    return [(members, sorted(series)) for members, series in components]


def _worked_out(plan: Plan, pair: _Pair) -> set[int]:
    found: set[int] = set()
    waiting = [pair.left, pair.right]
    while waiting:
        item = plan.columns[number := waiting.pop()]
        if item.storage == "tiles":
            if not item.late:
                found.add(number)
            waiting += item.parts
    return found


def _add_component(
    out: _Program,
    plan: Plan,
    pairs: list[_Pair],
    series: list[int],
    genomes: slice,
    slots: Slots,
    rows: CodeArray,
) -> None:
    """Add the steps of some pairs, and write their rows of bits for each genome."""
    sides = list(dict.fromkeys(side for pair in pairs for side in (pair.left, pair.right)))
    places = {number: plan.columns[number].place[genomes] for number in (*series, *sides)}
    # Neighbours have what is worked out first in common.
    keys = [places[number] for number in dict.fromkeys((*series, *sides))]
    sequence = np.lexsort(keys[::-1])
    ordered = np.column_stack([places[number] for number in sides])[sequence]
    fresh = np.ones(len(ordered), dtype=np.bool_)
    fresh[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    chosen = sequence[fresh]
    row_of = np.empty(len(sequence), dtype=np.int64)
    row_of[sequence] = np.cumsum(fresh) - 1
    groups = np.arange(len(chosen)) // GROUP

    sources: dict[int, _Source] = {}
    registers = 0
    for turn, number in enumerate(series):
        item = plan.columns[number]
        parts = [_source(plan, part, sources, chosen, genomes, slots) for part in item.parts]
        scaled = _scaled(item, parts)
        if scaled is not None:
            sources[number] = scaled
            continue
        code = groups * len(item.first) + places[number][chosen]
        _, first, entry = np.unique(code, return_index=True, return_inverse=True)
        group = groups[first]
        rank = np.arange(len(first)) - np.searchsorted(group, group)
        table = np.zeros((len(first), FIELDS), dtype=np.int64)
        table[:, TARGET] = registers + rank
        if item.history:
            table[:, KEEP] = item.history
            table[:, KEPT] = out.kept + np.arange(len(first)) * item.history
            out.kept += len(first) * item.history
        numbers = _write_operation(out, item, parts, chosen[first], genomes, group, table, first)
        out.add(table, numbers, group, turn, rank)
        sources[number] = _Source(
            REGISTER, registers + rank[entry], np.zeros(len(chosen), np.int64), _NONE, np.ones(len(chosen))
        )
        registers += GROUP
    out.registers = max(out.registers, registers)
    for turn, pair in enumerate(pairs, len(series)):
        left, right = (_source(plan, side, sources, chosen, genomes, slots) for side in (pair.left, pair.right))
        code = places[pair.left][chosen] * len(plan.columns[pair.right].first) + places[pair.right][chosen]
        _, first, entry = np.unique(code, return_index=True, return_inverse=True)
        table = np.full((len(first), FIELDS), -1, dtype=np.int64)
        table[:, OPERATION], table[:, KEEP] = COMPARE, 0
        numbers = _write_sources(table, left, right, first)
        _write_bits(out, plan, pair, entry[row_of], table, genomes, slots, rows)
        out.add(table, numbers, groups[first], turn, np.arange(len(first)))
    out.groups += int(groups[-1]) + 1


def _write_bits(
    out: _Program,
    plan: Plan,
    pair: _Pair,
    step_of: IndexArray,
    table: CodeArray,
    genomes: slice,
    slots: Slots,
    rows: CodeArray,
) -> None:
    """Hand out the rows of bits that a pair's comparisons write, and tell each genome which are its own."""
    every = np.arange(len(table))
    for tests, place in ((pair.above, FIRST), (pair.below, SECOND)):
        if tests:
            table[:, place] = out.new_bits(len(table)) + every
            for test in tests:
                rows[:, test, 0] = table[step_of, place]
    if not pair.negated:
        return
    columns = [side for side in (pair.left, pair.right) if plan.columns[side].storage != "number"]
    if columns and all(plan.columns[side].storage in ("shared", "own") for side in columns):
        known = [_known_rows(out, side, plan.columns[side].place[genomes], slots, genomes) for side in columns]
    else:
        table[:, THIRD] = out.new_bits(len(table)) + every
        known = [table[step_of, THIRD]]
    for test in pair.negated:
        for place, row in enumerate(known, 1):
            rows[:, test, place] = row


_NONE = np.empty(0)


def _source(
    plan: Plan, number: int, sources: dict[int, _Source], chosen: IndexArray, genomes: slice, slots: Slots
) -> _Source:
    """Return where each row reads a series."""
    if number not in sources:
        item = plan.columns[number]
        zeros, ones = np.zeros(len(chosen), dtype=np.int64), np.ones(len(chosen))
        if item.storage == "number":
            sources[number] = _Source(NUMBER, zeros, zeros, item.scalars[genomes, 0][chosen], ones)
        elif item.storage == "tiles":
            of = _source(plan, item.parts[0], sources, chosen, genomes, slots)
            # No bar is later than the last: a lag beyond any market is as good as one.
            lag = item.scalars[genomes, 0][chosen].astype(np.int64)
            sources[number] = _Source(of.kind, of.place, of.lag + lag, _NONE, ones)
        else:
            sources[number] = _Source(STORED, slots.of(number, genomes)[chosen], zeros, _NONE, ones)
    return sources[number]


def _scaled(item: NodeColumns, parts: Sequence[_Source]) -> _Source | None:
    """Return another series multiplied as it is read, where a series is no more than that; else None."""
    node = item.node
    if item.history or not isinstance(node, Arithmetic) or node.operator not in ("*", "/"):
        return None
    of, number = parts
    if of.kind == NUMBER and node.operator == "*":
        of, number = number, of
    if of.kind == NUMBER or number.kind != NUMBER or np.any(of.scale != 1.0):
        return None
    scale = number.number if node.operator == "*" else _inverses(number.number)
    return None if np.any(np.isnan(scale)) else _Source(of.kind, of.place, of.lag, of.number, scale)


def _inverses(divisors: FloatArray) -> FloatArray:
    """Return the inverses of powers of two, NaN for other numbers.

    To divide by a power of two is to multiply by its inverse, to the bit, and much dearer.
    """
    mantissas, exponents = np.frexp(divisors)
    fit = (np.abs(mantissas) == 0.5) & (np.abs(exponents) < 500)
    return np.divide(1.0, divisors, out=np.full(len(divisors), np.nan), where=fit)


def _no_numbers(count: int) -> FloatArray:
    numbers = np.zeros((count, NUMBERS))
    numbers[:, LEFT_SCALE:] = 1.0
    return numbers


def _write_sources(table: CodeArray, left: _Source, right: _Source | None, first: IndexArray) -> FloatArray:
    """Write where steps read, and return the numbers among it."""
    numbers = _no_numbers(len(first))
    for side, source in enumerate((left, right)):
        if source is None:
            continue
        kind, place, lag = ((LEFT_KIND, LEFT, LEFT_LAG), (RIGHT_KIND, RIGHT, RIGHT_LAG))[side]
        table[:, kind], table[:, place], table[:, lag] = source.kind, source.place[first], source.lag[first]
        numbers[:, LEFT_SCALE + side] = source.scale[first]
        if source.kind == NUMBER:
            numbers[:, side] = source.number[first]
    return numbers


def _write_operation(
    out: _Program,
    item: NodeColumns,
    parts: Sequence[_Source],
    members: IndexArray,
    genomes: slice,
    group: IndexArray,
    table: CodeArray,
    first: IndexArray,
) -> FloatArray:
    """Write what the steps of one series do."""
    left, right = parts[0], parts[1] if len(parts) > 1 else None
    node = item.node
    if isinstance(node, Arithmetic) and left.kind == NUMBER and node.operator in ("+", "*"):
        left, right = parts[1], left
    numbers = _write_sources(table, left, right, first)
    if isinstance(node, Arithmetic):
        table[:, OPERATION] = OPERATIONS[node.operator]
        if node.operator == "/" and right is not None and right.kind == NUMBER:
            inverses = _inverses(numbers[:, 1])
            powers = ~np.isnan(inverses)
            table[powers, OPERATION], numbers[powers, 1] = MULTIPLY, inverses[powers]
    elif isinstance(node, Share):
        table[:, OPERATION] = SHARE
        numbers[:, 1] = node.when_zero
    else:
        assert isinstance(node, Applied)
        lengths = item.scalars[genomes, 0][members].astype(np.int64)
        table[:, OPERATION] = operation = INDICATOR_OPERATIONS[node.indicator]
        cuts = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1])))
        if operation == AVERAGE:
            table[:, FIRST] = np.diff(np.append(cuts, len(group)))[np.cumsum(_flags(cuts, len(group))) - 1]
            table[:, SECOND] = out.averages + np.arange(len(first))
            table[:, THIRD] = lengths
            out.averages += len(first)
            numbers[:, 0] = 2.0 / (lengths + 1.0) if node.indicator == "ema" else 1.0 / lengths
        else:
            place = table[:, LEFT]
            cuts = np.flatnonzero(np.concatenate(([True], (group[1:] != group[:-1]) | (place[1:] != place[:-1]))))
            table[:, FIRST] = lengths
            table[cuts, SECOND] = np.maximum.reduceat(lengths, cuts)
            out.longest = max(out.longest, int(lengths.max()))
    return numbers


def _flags(places: IndexArray, count: int) -> IndexArray:
    flags = np.zeros(count, dtype=np.int64)
    flags[places] = 1
    return flags


def _known_rows(out: _Program, number: int, places: IndexArray, slots: Slots, genomes: slice) -> IndexArray:
    """Return for each genome the row of the bars on which its column of a stored series is a number."""
    distinct, first, entry = np.unique(places, return_index=True, return_inverse=True)
    if number not in out.known:
        out.known[number] = out.new_bits(len(distinct))
        table = np.full((len(distinct), FIELDS), -1, dtype=np.int64)
        table[:, OPERATION], table[:, LEFT_KIND], table[:, RIGHT_KIND] = COMPARE, STORED, NUMBER
        table[:, LEFT], table[:, LEFT_LAG], table[:, KEEP] = slots.of(number, genomes)[first], 0, 0
        table[:, THIRD] = out.known[number] + np.arange(len(distinct))
        out.add(table, _no_numbers(len(distinct)), np.zeros(len(distinct), np.int64), 0, np.arange(len(distinct)))
    return out.known[number] + entry
