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
from alpharay.indicators.windows import ratio
from alpharay.market.candles import FloatArray
from alpharay.market.time_parts import time_part
from alpharay.strategies.evaluation import apply_indicator, combine, shift
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
"""Columns of one such series that are held at a time."""

SMALL_POPULATION = 16
"""Up to so many genomes there is nothing to gain from going through them a few at a time."""


SETS_A_GROUP = 4
"""Fewer parameter sets than that for each input, and every set gets an input of its own."""


@dataclass(slots=True)
class NodeColumns:
    """The distinct columns of one series over a population: their keys, and each genome's place among them."""

    keys: list[Key]
    place: IndexArray
    node: Series
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """The columns of a batch, inputs before what is computed from them, and the two sides of each test."""

    columns: dict[Series, NodeColumns]
    operands: tuple[tuple[Operand, Operand], ...]
    shared: frozenset[Series]
    """Series whose columns stay in the slab; the others are computed chunk by chunk."""
    chunk: int
    """Genomes that go through at a time."""


def scalar_column(scalar: Scalar, strategy: Strategy, genomes: FloatArray) -> FloatArray:
    """Return the value of a scalar for every genome."""
    if isinstance(scalar, Parameter):
        return genomes[:, strategy.parameter_names.index(scalar.name)]
    return np.full(len(genomes), float(scalar))


def plan_batch(strategy: Strategy, program: RuleProgram, genomes: FloatArray, slab: ColumnSlab) -> Plan:
    """Return what the tests of a strategy need for these genomes."""
    operands = tuple(
        (compile_operand(expand(test.left)), compile_operand(expand(test.right))) for test in program.tests
    )
    leaves = [leaf.series for pair in operands for operand in pair for leaf in operand.leaves]
    columns = _distinct_columns(strategy, leaves, genomes)
    shared, chunk = _divide(columns, len(genomes), slab)
    return Plan(columns, operands, shared, chunk)


def _distinct_columns(strategy: Strategy, leaves: list[Series], genomes: FloatArray) -> dict[Series, NodeColumns]:
    planned: dict[Series, NodeColumns] = {}

    def plan(node: Series) -> NodeColumns:
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
        inputs = [plan(part) for part in parts]
        columns: list[npt.NDArray[np.float64]] = [item.place.astype(np.float64) for item in inputs]
        columns += [scalar_column(scalar, strategy, genomes) for scalar in scalars]
        unique, place = _distinct_rows(columns, len(genomes))
        result = NodeColumns([], place, node)
        for row in unique:
            chosen = tuple(int(index) for index in row[: len(inputs)])
            values = tuple(row[len(inputs) :])
            result.keys.append(
                (*label, *(item.keys[index] for item, index in zip(inputs, chosen, strict=True)), values)
            )
            result.inputs.append(chosen)
            result.values.append(values)
        planned[node] = result
        return result

    for leaf in leaves:
        plan(leaf)
    return planned


def _distinct_rows(columns: Sequence[FloatArray], rows: int) -> tuple[list[tuple[float, ...]], IndexArray]:
    """Return the distinct rows of `columns` in order of appearance, and each row's place among them."""
    if not columns:
        return [()], np.zeros(rows, dtype=np.int64)
    seen: dict[tuple[float, ...], int] = {}
    table = np.column_stack(columns).tolist()
    place = np.fromiter((seen.setdefault(tuple(row), len(seen)) for row in table), dtype=np.int64, count=rows)
    return list(seen), place


def _divide(columns: dict[Series, NodeColumns], genomes: int, slab: ColumnSlab) -> tuple[frozenset[Series], int]:
    """Return the series that are computed once for all genomes, and how many genomes go through at a time.

    What is computed from a series has at least as many distinct columns, so no shared one needs one that is not.
    """
    counts = {node: len(item.keys) for node, item in columns.items()}
    limit = genomes if genomes <= SMALL_POPULATION else SHARED_SHARE * genomes
    shared = {node for node, count in counts.items() if count <= limit}
    column_bytes = slab.values.shape[1] * 8
    while True:
        own = len(counts) - len(shared)
        chunk = genomes if own == 0 else min(max(SCRATCH_BYTES // max(column_bytes, 1), 8), genomes)
        chunk = min(chunk, max(slab.capacity // (2 * own), 1)) if own else chunk
        if not shared or sum(counts[node] for node in shared) <= slab.capacity - own * chunk:
            return frozenset(shared), chunk
        # Of equals the last planned goes first: it may be computed from the others.
        shared.remove(max(reversed(list(columns)), key=lambda node: counts[node] if node in shared else -1))


class Slots:
    """Where in the slab each distinct column of a plan lies."""

    def __init__(self, plan: Plan, market: Market) -> None:
        self._plan, self._market = plan, market
        self._slot_of: dict[Series, IndexArray] = {
            node: np.full(len(item.keys), -1, dtype=np.int64) for node, item in plan.columns.items()
        }

    def of(self, series: Series, genomes: slice) -> IndexArray:
        """Return each genome's slot of a series."""
        return self._slot_of[series][self._plan.columns[series].place[genomes]]

    def fill_shared(self) -> None:
        """Compute the shared columns that the slab lacks."""
        slab = self._market.columns
        keep: set[int] = set()
        for node, item in self._plan.columns.items():
            if node not in self._plan.shared:
                continue
            found = [slab.find(key) for key in item.keys]
            keep.update(slot for slot in found if slot is not None)
            # Sets of one input side by side, so that their columns lie in a row.
            missing = sorted((index for index, slot in enumerate(found) if slot is None), key=item.inputs.__getitem__)
            slots = slab.reserve([item.keys[index] for index in missing], keep)
            for index, slot in zip(missing, slots, strict=True):
                found[index] = slot
            self._slot_of[node] = np.array(found, dtype=np.int64)
            self._compute(item, missing, np.array(slots, dtype=np.int64))

    def fill_own(self, genomes: slice, first: int) -> None:
        """Compute the other columns of a chunk of genomes, into the scratch rows from `first` on."""
        for node, item in self._plan.columns.items():
            if node in self._plan.shared:
                continue
            wanted = sorted(set(item.place[genomes].tolist()), key=item.inputs.__getitem__)
            slots = np.arange(first, first + len(wanted))
            self._slot_of[node][wanted] = slots
            self._compute(item, wanted, slots)
            first += len(wanted)

    def _compute(self, item: NodeColumns, wanted: list[int], slots: IndexArray) -> None:
        """Write the wanted columns of one series to their slots."""
        if not wanted:
            return
        bars = self._market.columns.bars
        values = self._market.columns.values
        candles = self._market.candles
        node = item.node

        def stored(part: Series, index: int) -> FloatArray:
            column: FloatArray = values[self._slot_of[part][index], :bars]
            return column

        if isinstance(node, Applied):
            self._apply(node, item, wanted, slots)
            return
        for index, slot in zip(wanted, slots.tolist(), strict=True):
            out = values[slot, :bars]
            match node:
                case Column(name=name):
                    out[:] = getattr(candles, name)
                case TimeOfCandle(part=part):
                    out[:] = time_part(candles.open_time, part)
                case Level():
                    out[:] = item.values[index][0]
                case Arithmetic(operator=operator, left=left, right=right):
                    left_index, right_index = item.inputs[index]
                    out[:] = combine(operator, stored(left, left_index), stored(right, right_index))
                case Share(part=left, whole=right, when_zero=when_zero):
                    left_index, right_index = item.inputs[index]
                    out[:] = ratio(stored(left, left_index), stored(right, right_index), when_zero)
                case Previous(of=of) | Delayed(of=of):
                    out[:] = shift(stored(of, item.inputs[index][0]), int(item.values[index][0]))

    def _apply(self, node: Applied, item: NodeColumns, wanted: list[int], slots: IndexArray) -> None:
        """Write the wanted columns of an indicator: those of one input together, or each with its own."""
        bars, values = self._market.columns.bars, self._market.columns.values
        known = INDICATORS[node.indicator]
        if known.batch is None:
            for index, slot in zip(wanted, slots.tolist(), strict=True):
                parts = zip(node.inputs, item.inputs[index], strict=True)
                inputs = tuple(values[self._slot_of[part][place], :bars] for part, place in parts)
                values[slot, :bars] = apply_indicator(node.indicator, inputs, item.values[index])
            return
        parameters = np.array([item.values[index] for index in wanted])
        groups: dict[tuple[int, ...], list[int]] = {}
        for order, index in enumerate(wanted):
            groups.setdefault(item.inputs[index], []).append(order)
        if known.takes_rows and len(wanted) < SETS_A_GROUP * len(groups):
            places = [item.inputs[index] for index in wanted]
            tables = [
                _table(values, self._slot_of[part][[place[number] for place in places]], bars)
                for number, part in enumerate(node.inputs)
            ]
            _write(values, slots, bars, known, tables, parameters)
            return
        for chosen, orders in groups.items():
            columns = [
                values[self._slot_of[part][place], :bars] for part, place in zip(node.inputs, chosen, strict=True)
            ]
            _write(values, slots[orders], bars, known, columns, parameters[orders])


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
