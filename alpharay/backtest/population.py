"""Backtest many parameter sets of one strategy on one data set: each distinct column and comparison only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numba import njit

from alpharay.backtest.bits import (
    WordArray,
    above_level_word,
    above_word,
    below_level_word,
    below_word,
    word_count,
)
from alpharay.backtest.columns import ColumnSlab, Key
from alpharay.backtest.costs import Costs
from alpharay.backtest.metrics import METRIC_NAMES, Metrics, metrics_row, metrics_table
from alpharay.backtest.rules import CodeArray, RuleProgram, compile_rules, run_rule, settle_conflicts
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.backtest.walk import (
    OUTCOME_FIELDS,
    TRADE_FIELDS,
    Factors,
    Prices,
    StopLevels,
    factors_of,
    prices_of,
    stop_levels_of,
    walk,
)
from alpharay.indicators.registry import INDICATORS
from alpharay.market.candles import Candles, FloatArray
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
)
from alpharay.strategies.strategy import Strategy

IndexArray = npt.NDArray[np.int64]

MEMORY_BUDGET = 192 * 1024 * 1024
"""Bytes for indicator columns; comparisons get as much again at most."""

TILE_WORDS = 16
"""Comparisons run over 1,024 bars of all columns at a time, so that these stay in the cache."""


@dataclass(frozen=True, slots=True)
class PopulationResult:
    """One row a genome, in their order."""

    metrics: FloatArray
    """(genomes, len(METRIC_NAMES))."""
    outcome: FloatArray
    """(genomes, len(OUTCOME_FIELDS)): the kernel's raw figures."""
    daily_equity: FloatArray
    """(genomes, days): equity at the end of each UTC day, from a start of one."""

    def __len__(self) -> int:
        return len(self.metrics)

    def metric(self, name: str) -> FloatArray:
        """Return one metric of every genome."""
        column: FloatArray = self.metrics[:, METRIC_NAMES.index(name)]
        return column

    def row(self, index: int) -> Metrics:
        """Return one genome's metrics."""
        return metrics_row(self.metrics[index])


@dataclass(frozen=True, slots=True)
class Market:
    """One data set ready for backtests: its price tables and the columns computed so far. Not for several threads."""

    tables: PriceTables
    columns: ColumnSlab

    @property
    def candles(self) -> Candles:
        """The candles under it."""
        return self.tables.candles


def open_market(candles: Candles, memory_budget: int = MEMORY_BUDGET) -> Market:
    """Prepare `candles` for backtests; raises ValueError when a price is not finite and positive."""
    return Market(price_tables(candles), ColumnSlab(len(candles), memory_budget))


@dataclass(slots=True)
class _NodeColumns:
    """The distinct columns of one series over a population: their keys, and each genome's place among them."""

    keys: list[Key]
    place: IndexArray
    node: Series
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)


def backtest_population(
    strategy: Strategy, genomes: FloatArray, market: Market, costs: Costs = Costs(), stops: Stops = NO_STOPS
) -> PopulationResult:
    """Backtest every row of `genomes` (parameter values in declaration order) and return all their metrics.

    The same genome gives the same bits in any batch. Raises ValueError when the shape does not fit the strategy.
    """
    genomes = np.ascontiguousarray(genomes, dtype=np.float64)
    if genomes.ndim != 2 or genomes.shape[1] != len(strategy.parameters):
        raise ValueError(f"genomes must be (rows, {len(strategy.parameters)}) for {strategy.name}, was {genomes.shape}")
    if not np.isfinite(genomes).all():
        raise ValueError(f"genomes of {strategy.name} must be finite numbers")
    outcome = np.empty((len(genomes), len(OUTCOME_FIELDS)))
    daily_equity = np.empty((len(genomes), len(market.tables.day_ends)))
    program = compile_rules(strategy)
    words = word_count(len(market.tables))
    batch = max(MEMORY_BUDGET // max(len(program.tests) * words * 8, 1), 1)
    for start in range(0, len(genomes), batch):
        rows = slice(start, start + batch)
        _run_batch(strategy, program, genomes[rows], market, costs, stops, outcome[rows], daily_equity[rows])
    return PopulationResult(
        metrics_table(outcome, daily_equity, len(market.tables), market.tables.years), outcome, daily_equity
    )


def _run_batch(
    strategy: Strategy,
    program: RuleProgram,
    genomes: FloatArray,
    market: Market,
    costs: Costs,
    stops: Stops,
    outcome: FloatArray,
    daily_equity: FloatArray,
) -> None:
    """Run a batch whose columns fit the slab, halving it until they do."""
    planned = _plan_columns(strategy, program, genomes)
    if sum(len(item.keys) for item in planned.values()) > market.columns.capacity and len(genomes) > 1:
        half = len(genomes) // 2
        for rows in (slice(0, half), slice(half, None)):
            _run_batch(strategy, program, genomes[rows], market, costs, stops, outcome[rows], daily_equity[rows])
        return
    slots = _fill_columns(planned, market)
    comparisons, levels, rows_of, sides = _plan_tests(strategy, program, genomes, slots)
    bits = np.empty((int(comparisons[:, 2:].max(initial=-1)) + 1, word_count(len(market.tables))), dtype=np.uint64)
    _compare(market.columns.values, comparisons, levels, bits)
    codes = program.codes
    both_sides = len(codes) > 2
    _run_genomes(
        prices_of(market.tables),
        factors_of(costs),
        stop_levels_of(stops, market.candles, both_sides=both_sides),
        codes[0],
        codes[1],
        codes[2] if both_sides else None,
        codes[3] if both_sides else None,
        program.literals,
        program.depth,
        bits,
        rows_of,
        market.columns.valid,
        sides,
        outcome,
        daily_equity,
    )


def _scalar_column(scalar: Scalar, strategy: Strategy, genomes: FloatArray) -> FloatArray:
    if isinstance(scalar, Parameter):
        return genomes[:, strategy.parameter_names.index(scalar.name)]
    return np.full(len(genomes), float(scalar))


def _plan_columns(strategy: Strategy, program: RuleProgram, genomes: FloatArray) -> dict[Series, _NodeColumns]:
    """Return the distinct columns that the tests need, inputs before what is computed from them."""
    planned: dict[Series, _NodeColumns] = {}

    def plan(node: Series) -> _NodeColumns:
        if node in planned:
            return planned[node]
        parts: tuple[Series, ...] = ()
        scalars: tuple[Scalar, ...] = ()
        label: tuple[object, ...]
        match node:
            case Column(name=name):
                label = ("column", name)
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
        result = _NodeColumns([], place, node)
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


def _fill_columns(planned: dict[Series, _NodeColumns], market: Market) -> dict[Series, IndexArray]:
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
    node: Series, item: _NodeColumns, missing: list[int], slot_of: dict[Series, list[int]], market: Market
) -> Sequence[FloatArray]:
    """Return the missing columns of one series, in their order."""
    bars = len(market.tables)

    def stored(part: Series, index: int) -> FloatArray:
        column: FloatArray = market.columns.values[slot_of[part][index], :bars]
        return column

    match node:
        case Column(name=name):
            return [getattr(market.candles, name) for _ in missing]
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


def _plan_tests(
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


@njit(cache=True, nogil=True)
def _compare(  # noqa: C901 - five plain loops, one a kind of comparison
    values: FloatArray, comparisons: CodeArray, levels: FloatArray, bits: WordArray
) -> None:
    """Write the bit sets of every distinct comparison, tile by tile."""
    words = bits.shape[1]
    for first in range(0, words, TILE_WORDS):
        last = min(first + TILE_WORDS, words)
        for item in range(len(comparisons)):
            left, right, above, below = comparisons[item]
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
def _run_genomes(
    prices: Prices,
    factors: Factors,
    stops: StopLevels | None,
    enter_code: CodeArray,
    leave_code: CodeArray,
    enter_short_code: CodeArray | None,
    leave_short_code: CodeArray | None,
    literals: CodeArray,
    depth: int,
    bits: WordArray,
    rows_of: CodeArray,
    valid: WordArray,
    sides: CodeArray,
    outcome: FloatArray,
    daily_equity: FloatArray,
) -> None:
    """Evaluate the rules of every genome and walk its trades."""
    words = bits.shape[1]
    # One stack a rule: a rule's result stays in row 0 of its own.
    stack = np.empty((4, depth, words), dtype=np.uint64)
    no_trades = np.empty((0, len(TRADE_FIELDS)))
    for genome in range(len(rows_of)):
        rows, columns = rows_of[genome], sides[genome]
        run_rule(enter_code, literals, bits, rows, valid, columns, stack[0])
        run_rule(leave_code, literals, bits, rows, valid, columns, stack[1])
        if enter_short_code is not None and leave_short_code is not None:
            run_rule(enter_short_code, literals, bits, rows, valid, columns, stack[2])
            run_rule(leave_short_code, literals, bits, rows, valid, columns, stack[3])
            settle_conflicts(stack[0, 0], stack[1, 0], stack[2, 0], stack[3, 0])
            walk(
                prices, factors, stops, stack[0, 0], stack[1, 0], stack[2, 0], stack[3, 0],
                outcome[genome], daily_equity[genome], no_trades,
            )  # fmt: skip
        else:
            settle_conflicts(stack[0, 0], stack[1, 0], None, None)
            walk(
                prices, factors, stops, stack[0, 0], stack[1, 0], None, None,
                outcome[genome], daily_equity[genome], no_trades,
            )  # fmt: skip
