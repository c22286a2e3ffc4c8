"""What a batch of genomes needs: which distinct columns, and which distinct comparisons between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from alpharay.backtest.columns import Key
from alpharay.backtest.market import Market
from alpharay.backtest.rules import CodeArray, RuleProgram
from alpharay.indicators.registry import INDICATORS
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


@dataclass(slots=True)
class NodeColumns:
    """The distinct columns of one series over a population: their keys, and each genome's place among them."""

    keys: list[Key]
    place: IndexArray
    node: Series
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)


def _scalar_column(scalar: Scalar, strategy: Strategy, genomes: FloatArray) -> FloatArray:
    if isinstance(scalar, Parameter):
        return genomes[:, strategy.parameter_names.index(scalar.name)]
    return np.full(len(genomes), float(scalar))


def plan_columns(strategy: Strategy, program: RuleProgram, genomes: FloatArray) -> dict[Series, NodeColumns]:
    """Return the distinct columns that the tests need, inputs before what is computed from them."""
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
            case Previous(of=of, bars=bars):
                label, parts = ("previous", bars), (of,)
            case _:
                raise TypeError(f"series {type(node).__name__} cannot be computed")
        inputs = [plan(part) for part in parts]
        columns: list[npt.NDArray[np.float64]] = [item.place.astype(np.float64) for item in inputs]
        columns += [_scalar_column(scalar, strategy, genomes) for scalar in scalars]
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

    for test in program.tests:
        plan(test.left)
        if not isinstance(test.right, Level):
            plan(test.right)
    return planned


def _distinct_rows(columns: Sequence[FloatArray], rows: int) -> tuple[list[tuple[float, ...]], IndexArray]:
    """Return the distinct rows of `columns` in order of appearance, and each row's place among them."""
    if not columns:
        return [()], np.zeros(rows, dtype=np.int64)
    seen: dict[tuple[float, ...], int] = {}
    table = np.column_stack(columns).tolist()
    place = np.fromiter((seen.setdefault(tuple(row), len(seen)) for row in table), dtype=np.int64, count=rows)
    return list(seen), place


def fill_columns(planned: dict[Series, NodeColumns], market: Market) -> dict[Series, IndexArray]:
    """Compute the columns that the slab lacks; return each series' slot for every genome."""
    slab = market.columns
    keep: set[int] = set()
    slot_of: dict[Series, list[int]] = {}
    for node, item in planned.items():
        found = [slab.find(key) for key in item.keys]
        keep.update(slot for slot in found if slot is not None)
        missing = [index for index, slot in enumerate(found) if slot is None]
        for index, column in zip(missing, _compute(node, item, missing, slot_of, market), strict=True):
            slot = slab.put(item.keys[index], column, keep)
            keep.add(slot)
            found[index] = slot
        slot_of[node] = [slot for slot in found if slot is not None]
    return {node: np.array(slot_of[node], dtype=np.int64)[item.place] for node, item in planned.items()}


def _compute(
    node: Series, item: NodeColumns, missing: list[int], slot_of: dict[Series, list[int]], market: Market
) -> Sequence[FloatArray]:
    """Return the missing columns of one series, in their order."""
    bars = len(market.tables)

    def stored(part: Series, index: int) -> FloatArray:
        column: FloatArray = market.columns.values[slot_of[part][index], :bars]
        return column

    match node:
        case Column(name=name):
            return [getattr(market.candles, name) for _ in missing]
        case TimeOfCandle(part=part):
            return [time_part(market.candles.open_time, part) for _ in missing]
        case Level():
            return [np.full(bars, item.values[index][0]) for index in missing]
        case Applied(indicator=name, inputs=parts):
            known = INDICATORS[name]
            if known.batch is not None and len(missing) > 1 and len({item.inputs[index] for index in missing}) == 1:
                inputs = [stored(part, place) for part, place in zip(parts, item.inputs[missing[0]], strict=True)]
                matrix: FloatArray = known.batch(*inputs, np.array([item.values[index] for index in missing]))
                return list(matrix)
            return [
                apply_indicator(
                    name,
                    tuple(stored(part, place) for part, place in zip(parts, item.inputs[index], strict=True)),
                    item.values[index],
                )
                for index in missing
            ]
        case Arithmetic(operator=operator, left=left, right=right):
            return [
                combine(operator, stored(left, item.inputs[index][0]), stored(right, item.inputs[index][1]))
                for index in missing
            ]
        case Previous(of=of, bars=lag):
            return [shift(stored(of, item.inputs[index][0]), lag) for index in missing]
    raise TypeError(f"series {type(node).__name__} cannot be computed")


def plan_comparisons(
    strategy: Strategy, program: RuleProgram, genomes: FloatArray, slots: dict[Series, IndexArray]
) -> tuple[CodeArray, FloatArray, CodeArray, CodeArray]:
    """Return the distinct comparisons and, for each genome and test, its row of bits and its two slots.

    A comparison is (left slot, right slot or -1 for its level, row of "above" or -1, row of "below" or -1): both
    directions of one pair are read from memory once.
    """
    rows_of = np.empty((len(genomes), len(program.tests)), dtype=np.int64)
    sides = np.empty((len(genomes), len(program.tests), 2), dtype=np.int64)
    pairs: dict[tuple[int, int, float], list[int]] = {}
    rows = 0
    for index, test in enumerate(program.tests):
        left = slots[test.left]
        if isinstance(test.right, Level):
            right = np.full(len(genomes), -1, dtype=np.int64)
            levels = _scalar_column(test.right.value, strategy, genomes)
        else:
            right, levels = slots[test.right], np.zeros(len(genomes))
        sides[:, index, 0], sides[:, index, 1] = left, right
        side = 0 if test.side == "above" else 1
        for genome, (a, b, level) in enumerate(zip(left.tolist(), right.tolist(), levels.tolist(), strict=True)):
            mirrored = 0 <= b < a
            found = pairs.setdefault((b, a, level) if mirrored else (a, b, level), [-1, -1])
            direction = side ^ mirrored
            if found[direction] < 0:
                found[direction], rows = rows, rows + 1
            rows_of[genome, index] = found[direction]
    comparisons = np.array([(a, b, *found) for (a, b, _), found in pairs.items()], dtype=np.int64).reshape(-1, 4)
    return comparisons, np.array([level for _, _, level in pairs]), rows_of, sides
