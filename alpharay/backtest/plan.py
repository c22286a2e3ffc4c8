"""What a batch of genomes needs computed: which distinct columns, and in what order.

A column that many genomes share is computed once and stays in the market's slab for the batches that follow. A column
that hardly any two genomes share, a signal line of three parameters say, is computed for a few genomes at a time in
rows that are used over and over, so that it is still in the cache when it is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from alpharay.backtest.columns import ColumnSlab, Key
from alpharay.backtest.compositions import Delayed, Share, expand
from alpharay.backtest.market import Market
from alpharay.backtest.operands import Leaf, Operand, compile_operand
from alpharay.backtest.rules import RuleProgram
from alpharay.indicators.registry import INDICATORS, Indicator
from alpharay.indicators.windows import write_ratio
from alpharay.market.candles import FloatArray
from alpharay.market.time_parts import time_part
from alpharay.strategies.evaluation import apply_indicator
from alpharay.strategies.expression import (
    Applied,
    Arithmetic,
    Column,
    Level,
    Parameter,
    Previous,
    Scalar,
    Series,
    TimeOfCandle,
)
from alpharay.strategies.strategy import Strategy

IndexArray = npt.NDArray[np.int64]

SHARED_SHARE = 0.75
"""A series with more distinct columns than this share of the genomes is computed a few genomes at a time."""

SCRATCH_BYTES = 16 * 1024 * 1024
"""Bytes of such columns that are held at a time."""

SMALL_POPULATION = 16
"""Up to so many genomes there is nothing to gain from going through them a few at a time."""


SETS_A_GROUP = 4
"""Fewer parameter sets than that for each input, and every set gets an input of its own."""


@dataclass(slots=True)
class NodeColumns:
    """The distinct columns of one series over a population, and each genome's place among them."""

    node: Series
    parts: tuple[int, ...]
    """Which series it is computed from, by their number in the plan."""
    inputs: list[tuple[int, ...]]
    """For each distinct column the places of its inputs among theirs."""
    values: list[tuple[float, ...]]
    """For each distinct column its parameters."""
    place: IndexArray
    label: tuple[object, ...]
    keys: list[Key] = field(default_factory=list)
    """What a shared column is known by in the slab."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The columns of a batch, inputs before what is computed from them, and the two sides of each test."""

    columns: list[NodeColumns]
    operands: tuple[Operand, ...]
    leaves: tuple[tuple[int, ...], ...]
    """The columns that each operand reads, by their number."""
    sides: tuple[tuple[int, int], ...]
    """The operands left and right of each test."""
    own: tuple[int, ...]
    """Series whose columns are computed chunk by chunk; those of the others stay in the slab."""
    chunk: int
    """Genomes that go through at a time."""


def scalar_column(scalar: Scalar, strategy: Strategy, genomes: FloatArray) -> FloatArray:
    """Return the value of a scalar for every genome."""
    if isinstance(scalar, Parameter):
        return genomes[:, strategy.parameter_names.index(scalar.name)]
    return np.full(len(genomes), float(scalar))


def plan_batch(strategy: Strategy, program: RuleProgram, genomes: FloatArray, slab: ColumnSlab) -> Plan:
    """Return what the tests of a strategy need for these genomes."""
    operands: dict[Operand, int] = {}
    sides = []
    for test in program.tests:
        left, right = compile_operand(expand(test.left)), compile_operand(expand(test.right))
        sides.append((operands.setdefault(left, len(operands)), operands.setdefault(right, len(operands))))
    columns: dict[Series, NodeColumns] = {}
    for operand in operands:
        for leaf in operand.leaves:
            _plan_columns(leaf.series, strategy, genomes, columns)
    number = {node: place for place, node in enumerate(columns)}
    leaves = tuple(tuple(number[leaf.series] for leaf in operand.leaves) for operand in operands)
    planned = list(columns.values())
    own, chunk = _divide([len(item.values) for item in planned], len(genomes), slab)
    for place, item in enumerate(planned):
        if place not in own:
            parts = [planned[part].keys for part in item.parts]
            item.keys = [
                (*item.label, *(keys[index] for keys, index in zip(parts, chosen, strict=True)), values)
                for chosen, values in zip(item.inputs, item.values, strict=True)
            ]
    return Plan(planned, tuple(operands), leaves, tuple(sides), own, chunk)


def _plan_columns(
    node: Series, strategy: Strategy, genomes: FloatArray, planned: dict[Series, NodeColumns]
) -> NodeColumns:
    """Add the distinct columns of `node` to `planned`, after those that it is computed from."""
    if node in planned:
        return planned[node]
    parts: tuple[Series, ...] = ()
    scalars: tuple[Scalar, ...] = ()
    label: tuple[object, ...]
    match node:
        case Column(name=name):
            label = ("column", name)
        case TimeOfCandle(part=part):
            label = ("time", part)
        case Level(value=value):
            label, scalars = ("level",), (value,)
        case Applied(indicator=indicator, inputs=parts, parameters=scalars):
            label = ("indicator", indicator)
        case Arithmetic(operator=operator, left=first, right=second):
            label, parts = ("arithmetic", operator), (first, second)
        case Share(part=first, whole=second, when_zero=when_zero):
            label, parts = ("share", when_zero), (first, second)
        case Previous(of=of, bars=lag) | Delayed(of=of, bars=lag):
            label, parts, scalars = ("previous",), (of,), (lag,)
        case _:
            raise TypeError(f"series {type(node).__name__} cannot be computed")
    inputs = [_plan_columns(part, strategy, genomes, planned) for part in parts]
    columns: list[npt.NDArray[np.float64]] = [item.place.astype(np.float64) for item in inputs]
    columns += [scalar_column(scalar, strategy, genomes) for scalar in scalars]
    unique, place = _distinct_rows(columns, len(genomes))
    number = {known: index for index, known in enumerate(planned)}
    planned[node] = NodeColumns(
        node,
        tuple(number[part] for part in parts),
        [tuple(int(index) for index in row[: len(inputs)]) for row in unique],
        [tuple(row[len(inputs) :]) for row in unique],
        place,
        label,
    )
    return planned[node]


def _distinct_rows(columns: Sequence[FloatArray], rows: int) -> tuple[list[tuple[float, ...]], IndexArray]:
    """Return the distinct rows of `columns` in order of appearance, and each row's place among them."""
    if not columns:
        return [()], np.zeros(rows, dtype=np.int64)
    seen: dict[tuple[float, ...], int] = {}
    table = np.column_stack(columns).tolist()
    place = np.fromiter((seen.setdefault(tuple(row), len(seen)) for row in table), dtype=np.int64, count=rows)
    return list(seen), place


def _divide(counts: list[int], genomes: int, slab: ColumnSlab) -> tuple[tuple[int, ...], int]:
    """Return the series that are not computed once for all genomes, and how many genomes go through at a time.

    What is computed from a series has at least as many distinct columns, so no shared one needs one that is not.
    """
    limit = genomes if genomes <= SMALL_POPULATION else SHARED_SHARE * genomes
    shared = {number for number, count in enumerate(counts) if count <= limit}
    column_bytes = slab.values.shape[1] * 8
    while True:
        own = tuple(number for number in range(len(counts)) if number not in shared)
        chunk = genomes
        if own:
            most = min(max(SCRATCH_BYTES // max(column_bytes * len(own), 1), 8), slab.capacity // (2 * len(own)))
            chunk = min(max(most, 1), genomes)
        if not shared or sum(counts[number] for number in shared) <= slab.capacity - len(own) * chunk:
            return own, chunk
        # Of equals the last planned goes first: it may be computed from the others.
        shared.remove(max(shared, key=lambda number: (counts[number], number)))


class Slots:
    """Where in the slab each distinct column of a plan lies."""

    def __init__(self, plan: Plan, market: Market) -> None:
        self._plan, self._market = plan, market
        self._slot_of = [np.full(len(item.values), -1, dtype=np.int64) for item in plan.columns]

    def of(self, number: int, genomes: slice) -> IndexArray:
        """Return each genome's slot of a series."""
        return self._slot_of[number][self._plan.columns[number].place[genomes]]

    def fill_shared(self) -> None:
        """Compute the shared columns that the slab lacks."""
        slab = self._market.columns
        keep: set[int] = set()
        for number, item in enumerate(self._plan.columns):
            if number in self._plan.own:
                continue
            found = [slab.find(key) for key in item.keys]
            keep.update(slot for slot in found if slot is not None)
            # Sets of one input side by side, so that their columns lie in a row.
            missing = sorted((index for index, slot in enumerate(found) if slot is None), key=item.inputs.__getitem__)
            slots = slab.reserve([item.keys[index] for index in missing], keep)
            for index, slot in zip(missing, slots, strict=True):
                found[index] = slot
            self._slot_of[number] = np.array(found, dtype=np.int64)
            self._compute(item, missing, np.array(slots, dtype=np.int64))

    def fill_own(self, genomes: slice, first: int) -> None:
        """Compute the other columns of a chunk of genomes, into the scratch rows from `first` on."""
        for number in self._plan.own:
            item = self._plan.columns[number]
            wanted = sorted(set(item.place[genomes].tolist()), key=item.inputs.__getitem__)
            slots = np.arange(first, first + len(wanted))
            self._slot_of[number][wanted] = slots
            self._compute(item, wanted, slots)
            first += len(wanted)

    def _inputs(self, item: NodeColumns, index: int) -> list[FloatArray]:
        """Return the stored columns that one column of a series is computed from."""
        bars, values = self._market.columns.bars, self._market.columns.values
        return [
            values[self._slot_of[part][place], :bars]
            for part, place in zip(item.parts, item.inputs[index], strict=True)
        ]

    def _compute(self, item: NodeColumns, wanted: list[int], slots: IndexArray) -> None:
        """Write the wanted columns of one series to their slots."""
        if not wanted:
            return
        candles, bars = self._market.candles, self._market.columns.bars
        node = item.node
        if isinstance(node, Applied) and INDICATORS[node.indicator].batch is not None:
            self._apply_batch(INDICATORS[node.indicator], item, wanted, slots)
            return
        for index, slot in zip(wanted, slots.tolist(), strict=True):
            out = self._market.columns.values[slot, :bars]
            inputs, values = self._inputs(item, index), item.values[index]
            match node:
                case Column(name=name):
                    out[:] = getattr(candles, name)
                case TimeOfCandle(part=part):
                    out[:] = time_part(candles.open_time, part)
                case Level():
                    out[:] = values[0]
                case Applied(indicator=name):
                    out[:] = apply_indicator(name, tuple(inputs), values)
                case Arithmetic(operator=operator):
                    _combine_into(operator, inputs[0], inputs[1], out)
                case Share(when_zero=when_zero):
                    write_ratio(inputs[0], inputs[1], when_zero, out)
                case Previous() | Delayed():
                    lag = int(values[0])
                    out[:lag] = np.nan
                    out[lag:] = inputs[0][: max(bars - lag, 0)]

    def _apply_batch(self, known: Indicator, item: NodeColumns, wanted: list[int], slots: IndexArray) -> None:
        """Write the wanted columns of an indicator: those of one input together, or each with its own."""
        bars, values = self._market.columns.bars, self._market.columns.values
        parameters = np.array([item.values[index] for index in wanted])
        groups: dict[tuple[int, ...], list[int]] = {}
        for order, index in enumerate(wanted):
            groups.setdefault(item.inputs[index], []).append(order)
        if known.takes_rows and len(wanted) < SETS_A_GROUP * len(groups):
            places = np.array([item.inputs[index] for index in wanted])
            tables = [
                _table(values, self._slot_of[part][places[:, number]], bars) for number, part in enumerate(item.parts)
            ]
            _write(values, slots, bars, known, tables, parameters)
            return
        for orders in groups.values():
            inputs = self._inputs(item, wanted[orders[0]])
            _write(values, slots[orders], bars, known, inputs, parameters[orders])


def _combine_into(operator: str, left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    if operator == "+":
        np.add(left, right, out=out)
    elif operator == "-":
        np.subtract(left, right, out=out)
    elif operator == "*":
        np.multiply(left, right, out=out)
    else:
        write_ratio(left, right, np.nan, out)


def _in_a_row(slots: IndexArray) -> bool:
    return bool(np.all(np.diff(slots) == 1))


def _table(values: FloatArray, slots: IndexArray, bars: int) -> FloatArray:
    """Return the columns in `slots`: the memory itself where they lie in a row, else a copy."""
    if _in_a_row(slots):
        return values[slots[0] : slots[0] + len(slots), :bars]
    return values[slots, :bars]


def _write(
    values: FloatArray,
    slots: IndexArray,
    bars: int,
    known: Indicator,
    inputs: list[FloatArray],
    parameters: FloatArray,
) -> None:
    """Compute a batch of an indicator into `slots`, in place where these lie in a row."""
    assert known.batch is not None
    if _in_a_row(slots):
        known.batch(*inputs, parameters, out=values[slots[0] : slots[0] + len(slots), :bars])
    else:
        values[slots, :bars] = known.batch(*inputs, parameters)


def lag_column(leaf: Leaf, strategy: Strategy, genomes: FloatArray) -> FloatArray:
    """Return how many bars late every genome reads a leaf."""
    total = np.zeros(len(genomes))
    for lag in leaf.lags:
        total = total + scalar_column(lag, strategy, genomes)
    return total
