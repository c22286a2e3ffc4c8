"""What a batch of genomes needs computed: which distinct columns, in what order, and which of them whole.

A column that many genomes share is computed once and stays in the market's slab for the batches that follow. What
hardly any two genomes share, a signal line of three parameters say, is worked out a tile of bars at a time where it is
compared (see `tiles`); where an indicator knows no tiles, its columns are computed for a few genomes at a time in rows
that are used over and over.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from alpharay.backtest.columns import ColumnSlab, Key
from alpharay.backtest.compositions import Delayed, Late, Share, expand, push_lags
from alpharay.backtest.market import Market
from alpharay.backtest.rules import RuleProgram
from alpharay.indicators.registry import INDICATORS, PAIRS, Indicator
from alpharay.indicators.windows import write_ratio
from alpharay.market.candles import FloatArray
from alpharay.market.time_parts import time_part
from alpharay.strategies.evaluation import apply_indicator, combine
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

Storage = Literal["shared", "own", "tiles", "number"]
"""Where a series is: its columns stay in the slab, or are computed chunk by chunk; it is worked out a tile at a time;
or it is one number on all bars."""

TILED_INDICATORS = {"ema": 0, "wilder": 0, "sma": -1, "highest": -1, "lowest": -1}
"""Indicators that are worked out a tile at a time, and how many values before a bar they look at, less their length."""

LONGEST_HISTORY = 512
"""Series that are needed further back than this are computed whole."""

SHARED_SHARE = 0.75
"""A series with more distinct columns than this share of the genomes is computed a few genomes at a time."""

SCRATCH_BYTES = 32 * 1024 * 1024
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
    scalars: FloatArray
    """(genomes, scalars): its parameters; of a number the number itself."""
    place: IndexArray
    first: IndexArray
    """For each distinct column a genome that has it."""
    label: tuple[object, ...]
    storage: Storage = "tiles"
    history: int = 0
    """How many values before a bar others look at."""
    keys: list[Key] = field(default_factory=list)
    """What a shared column is known by in the slab."""

    @property
    def late(self) -> bool:
        """Whether it is another series, only read late."""
        return isinstance(self.node, Late)


@dataclass(frozen=True, slots=True)
class Plan:
    """The series of a batch, inputs before what is computed from them, and the two sides of each test."""

    columns: list[NodeColumns]
    sides: tuple[tuple[int, int], ...]
    """The series left and right of each test."""
    own: tuple[int, ...]
    """Series whose columns are computed chunk by chunk."""
    chunk: int
    """Genomes that go through at a time."""


def scalar_column(scalar: Scalar, strategy: Strategy, genomes: FloatArray) -> FloatArray:
    """Return the value of a scalar for every genome."""
    if isinstance(scalar, Parameter):
        return genomes[:, strategy.parameter_names.index(scalar.name)]
    return np.full(len(genomes), float(scalar))


def plan_batch(strategy: Strategy, program: RuleProgram, genomes: FloatArray, slab: ColumnSlab) -> Plan:
    """Return what the tests of a strategy need for these genomes."""
    columns: dict[Series, NodeColumns] = {}
    numbers: dict[Series, int] = {}
    written: dict[Series, Series] = {}
    sides = []
    for test in program.tests:
        for side in (test.left, test.right):
            if side not in written:
                written[side] = push_lags(expand(side))
                _plan_columns(written[side], strategy, genomes, columns, numbers)
        sides.append((numbers[written[test.left]], numbers[written[test.right]]))
    planned = list(columns.values())
    _look_back(planned)
    own, chunk = _divide(planned, len(genomes), slab)
    for item in planned:
        if item.storage == "shared":
            parts = [(planned[part].keys, planned[part].place[item.first].tolist()) for part in item.parts]
            values = map(tuple, item.scalars[item.first].tolist())
            item.keys = [
                (*item.label, *(keys[places[index]] for keys, places in parts), chosen)
                for index, chosen in enumerate(values)
            ]
    return Plan(planned, tuple(sides), own, chunk)


def _plan_columns(
    node: Series,
    strategy: Strategy,
    genomes: FloatArray,
    planned: dict[Series, NodeColumns],
    numbers: dict[Series, int],
) -> NodeColumns:
    """Add the distinct columns of `node` to `planned`, after those that it is computed from."""
    if node in planned:
        return planned[node]
    parts: tuple[Series, ...] = ()
    scalars: tuple[Scalar, ...] = ()
    label: tuple[object, ...]
    number = _number(node, strategy, genomes)
    match node:
        case _ if number is not None:
            label = ("level",)
        case Column(name=name):
            label = ("column", name)
        case TimeOfCandle(part=part):
            label = ("time", part)
        case Applied(indicator=indicator, inputs=parts, parameters=scalars):
            label = ("indicator", indicator)
        case Arithmetic(operator=operator, left=first, right=second):
            label, parts = ("arithmetic", operator), (first, second)
        case Share(part=first, whole=second, when_zero=when_zero):
            label, parts = ("share", when_zero), (first, second)
        case Previous(of=of, bars=lag) | Delayed(of=of, bars=lag):
            label, parts, scalars = ("previous",), (of,), (lag,)
        case Late(of=of, lags=scalars):
            label, parts = ("previous",), (of,)
        case _:
            raise TypeError(f"series {type(node).__name__} cannot be computed")
    inputs = [_plan_columns(part, strategy, genomes, planned, numbers) for part in parts]
    columns = [number] if number is not None else [scalar_column(scalar, strategy, genomes) for scalar in scalars]
    if label == ("previous",):
        columns = [np.sum(columns, axis=0)]
    place, chosen = _distinct([item.place for item in inputs], columns, len(genomes))
    numbers[node] = len(planned)
    planned[node] = NodeColumns(
        node,
        tuple(numbers[part] for part in parts),
        np.column_stack(columns) if columns else np.empty((len(genomes), 0)),
        place,
        chosen,
        label,
        "tiles" if number is None else "number",
    )
    return planned[node]


def _number(node: Series, strategy: Strategy, genomes: FloatArray) -> FloatArray | None:
    """Return the value for every genome of a series that is one number on all bars."""
    match node:
        case Level(value=scalar):
            return scalar_column(scalar, strategy, genomes)
        case Arithmetic(operator=operator, left=first, right=second):
            left = _number(first, strategy, genomes)
            right = _number(second, strategy, genomes) if left is not None else None
            if left is not None and right is not None:
                with np.errstate(all="ignore"):
                    return combine(operator, left, right)
    return None


def _distinct(places: Sequence[IndexArray], columns: Sequence[FloatArray], rows: int) -> tuple[IndexArray, IndexArray]:
    """Return each row's place among the distinct rows in their order, and for each of these a row that has it."""
    code = np.zeros(rows, dtype=np.int64)
    for known in places:
        code = code * (int(known.max()) + 1) + known if rows else code
        if len(places) + len(columns) > 1:
            code = np.unique(code, return_inverse=True)[1]
    for column in columns:
        values, known = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + known, return_inverse=True)[1]
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    return place, first


def _look_back(planned: list[NodeColumns]) -> None:
    """Write down how far back each series is needed."""
    for item in planned:
        node = item.node
        if len(item.scalars) == 0:
            continue
        if item.late:
            reach = int(item.scalars.max())
        elif isinstance(node, Applied) and node.indicator in TILED_INDICATORS:
            reach = int(item.scalars.max()) + TILED_INDICATORS[node.indicator]
        else:
            continue
        planned[item.parts[0]].history = max(planned[item.parts[0]].history, reach)


def _divide(planned: list[NodeColumns], genomes: int, slab: ColumnSlab) -> tuple[tuple[int, ...], int]:
    """Settle where each series is, and return those computed chunk by chunk and how many genomes go through at a time.

    What is computed from a series has at least as many distinct columns, so no shared one needs one that is not.
    """
    limit = genomes if genomes <= SMALL_POPULATION else SHARED_SHARE * genomes
    column_bytes = slab.values.shape[1] * 8
    counts = [len(item.first) for item in planned]
    may_be_shared = {number for number, count in enumerate(counts) if count <= limit}
    while True:
        _settle(planned, may_be_shared)
        shared = [number for number, item in enumerate(planned) if item.storage == "shared"]
        own = tuple(number for number, item in enumerate(planned) if item.storage == "own")
        chunk = genomes
        if own:
            most = min(max(SCRATCH_BYTES // max(column_bytes * len(own), 1), 8), slab.capacity // (2 * len(own)))
            chunk = min(max(most, 1), genomes)
        if not shared or sum(counts[number] for number in shared) <= slab.capacity - len(own) * chunk:
            return own, chunk
        # Of equals the last planned goes first: it may be computed from the others.
        may_be_shared.remove(max(shared, key=lambda number: (counts[number], number)))


def _settle(planned: list[NodeColumns], may_be_shared: set[int]) -> None:
    whole: set[int] = set()
    for number in range(len(planned) - 1, -1, -1):
        item = planned[number]
        if number not in whole and _tiled(item, planned, number in may_be_shared):
            item.storage = "number" if item.label == ("level",) else "tiles"
            continue
        item.storage = "shared" if number in may_be_shared else "own"
        whole.update(item.parts)


def _tiled(item: NodeColumns, planned: list[NodeColumns], may_be_shared: bool) -> bool:
    """Return whether a series is not computed whole, if nothing that is needs it."""
    parts = [planned[part] for part in item.parts]
    match item.node:
        case _ if item.label == ("level",) or item.late:
            return True
        case Arithmetic():
            return item.history <= LONGEST_HISTORY
        case Share():
            return item.history <= LONGEST_HISTORY and not any(part.label == ("level",) for part in parts)
        case Applied(indicator=indicator):
            # The windows of a tile are as long as the history of what they are over.
            source = parts[0] if parts else item
            return (
                indicator in TILED_INDICATORS
                and not may_be_shared
                and not source.late
                and source.label != ("level",)
                and max(item.history, source.history) <= LONGEST_HISTORY
            )
    return False


class Slots:
    """Where in the slab each distinct column of a plan lies."""

    def __init__(self, plan: Plan, market: Market) -> None:
        self._plan, self._market = plan, market
        self._slot_of = [np.full(len(item.first), -1, dtype=np.int64) for item in plan.columns]

    def of(self, number: int, genomes: slice) -> IndexArray:
        """Return each genome's slot of a series."""
        return self._slot_of[number][self._plan.columns[number].place[genomes]]

    def fill_shared(self) -> None:
        """Compute the shared columns that the slab lacks."""
        slab = self._market.columns
        keep: set[int] = set()
        lacking: dict[int, tuple[list[int], IndexArray]] = {}
        for number, item in enumerate(self._plan.columns):
            if item.storage != "shared":
                continue
            found = [slab.find(key) for key in item.keys]
            keep.update(slot for slot in found if slot is not None)
            # In their order: sets of one input side by side, so that their columns lie in a row.
            missing = [index for index, slot in enumerate(found) if slot is None]
            slots = slab.reserve([item.keys[index] for index in missing], keep)
            for index, slot in zip(missing, slots, strict=True):
                found[index] = slot
            self._slot_of[number] = np.array(found, dtype=np.int64)
            lacking[number] = missing, np.array(slots, dtype=np.int64)
        numbers = {item.node: number for number, item in enumerate(self._plan.columns)}
        while lacking:
            number = next(iter(lacking))
            item, (missing, chosen) = self._plan.columns[number], lacking.pop(number)
            other = _other_of_pair(item.node, numbers)
            if other in lacking and lacking[other][0] == missing:
                self._compute_pair(item, missing, chosen, lacking.pop(other)[1])
            else:
                self._compute(item, missing, chosen)

    def fill_own(self, genomes: slice, first: int) -> None:
        """Compute the other columns of a chunk of genomes, into the scratch rows from `first` on."""
        for number in self._plan.own:
            item = self._plan.columns[number]
            wanted = np.unique(item.place[genomes]).tolist()
            slots = np.arange(first, first + len(wanted))
            self._slot_of[number][wanted] = slots
            self._compute(item, wanted, slots)
            first += len(wanted)

    def _inputs(self, item: NodeColumns, index: int) -> list[FloatArray]:
        """Return the stored columns that one column of a series is computed from."""
        bars, values = self._market.columns.bars, self._market.columns.values
        genome = item.first[index]
        return [values[self._slot_of[part][self._plan.columns[part].place[genome]], :bars] for part in item.parts]

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
            inputs, values = self._inputs(item, index), item.scalars[item.first[index]].tolist()
            match node:
                case _ if item.label == ("level",):
                    out[:] = values[0]
                case Column(name=name):
                    out[:] = getattr(candles, name)
                case TimeOfCandle(part=part):
                    out[:] = time_part(candles.open_time, part)
                case Applied(indicator=name):
                    out[:] = apply_indicator(name, tuple(inputs), tuple(values))
                case Arithmetic(operator=operator):
                    _combine_into(operator, inputs[0], inputs[1], out)
                case Share(when_zero=when_zero):
                    write_ratio(inputs[0], inputs[1], when_zero, out)
                case _:
                    lag = min(int(values[0]), bars)
                    out[:lag] = np.nan
                    out[lag:] = inputs[0][: bars - lag]

    def _compute_pair(self, item: NodeColumns, wanted: list[int], slots: IndexArray, other_slots: IndexArray) -> None:
        """Write the wanted columns of a series to `slots`, and those of the other one of its pair."""
        assert isinstance(item.node, Applied)
        pair, values = PAIRS[item.node.indicator], self._market.columns.values
        genomes = item.first[wanted]
        inputs = [self._slot_of[part][self._plan.columns[part].place[genomes]] for part in item.parts]
        targets = (slots, other_slots) if item.node.indicator == pair.names[0] else (other_slots, slots)
        for sources in np.unique(np.column_stack(inputs), axis=0):
            rows = np.flatnonzero(np.all(np.column_stack(inputs) == sources, axis=1))
            outs = [_table(values, target[rows]) for target in targets]
            pair.batch(*(values[slot] for slot in sources), item.scalars[genomes[rows]], *outs)
            for target, out in zip(targets, outs, strict=True):
                if not _in_a_row(target[rows]):
                    values[target[rows]] = out
        self._market.columns.clear_padding(np.concatenate(targets))

    def _apply_batch(self, known: Indicator, item: NodeColumns, wanted: list[int], slots: IndexArray) -> None:
        """Write the wanted columns of an indicator: those of one input together, or each with its own."""
        values = self._market.columns.values
        genomes = item.first[wanted]
        parameters = item.scalars[genomes]
        places = np.column_stack([self._plan.columns[part].place[genomes] for part in item.parts])
        inputs = np.column_stack([self._slot_of[part][place] for part, place in zip(item.parts, places.T, strict=True)])
        # Columns are in the order of their inputs.
        cuts = [0, *(np.flatnonzero(np.any(np.diff(inputs, axis=0) != 0, axis=1)) + 1).tolist(), len(wanted)]
        if known.takes_rows and len(wanted) < SETS_A_GROUP * (len(cuts) - 1):
            _write(values, slots, known, [_table(values, of_part) for of_part in inputs.T], parameters)
        else:
            for first, last in itertools.pairwise(cuts):
                columns = [values[slot] for slot in inputs[first]]
                _write(values, slots[first:last], known, columns, parameters[first:last])
        self._market.columns.clear_padding(slots)


def _other_of_pair(node: Series, numbers: dict[Series, int]) -> int | None:
    """Return the number of the series that is the other one of a pair with `node`, where the plan has it."""
    if not isinstance(node, Applied) or node.indicator not in PAIRS:
        return None
    first, second = PAIRS[node.indicator].names
    other = second if node.indicator == first else first
    return numbers.get(Applied(other, node.inputs, node.parameters))


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


def _table(values: FloatArray, slots: IndexArray) -> FloatArray:
    """Return the columns in `slots`: the memory itself where they lie in a row, else a copy."""
    return values[slots[0] : slots[0] + len(slots)] if _in_a_row(slots) else values[slots]


def _write(
    values: FloatArray, slots: IndexArray, known: Indicator, inputs: list[FloatArray], parameters: FloatArray
) -> None:
    """Compute a batch of an indicator into `slots`, in place where these lie in a row.

    Columns go in and out with their padding, as one piece of memory: the compiler makes no vectors of rows in a table
    that is wider than they are.
    """
    assert known.batch is not None
    if _in_a_row(slots):
        known.batch(*inputs, parameters, out=values[slots[0] : slots[0] + len(slots)])
    else:
        values[slots] = known.batch(*inputs, parameters)
