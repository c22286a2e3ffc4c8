"""Backtest many parameter sets of one strategy on one data set: each distinct column and comparison only once."""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.backtest.bits import WordArray, word_count
from alpharay.backtest.comparisons import compare
from alpharay.backtest.costs import Costs
from alpharay.backtest.market import MEMORY_BUDGET, Market
from alpharay.backtest.metrics import metrics_table
from alpharay.backtest.plan import fill_columns, plan_columns, plan_comparisons
from alpharay.backtest.population_result import PopulationResult
from alpharay.backtest.rules import CodeArray, RuleProgram, compile_rules, run_rule, settle_conflicts
from alpharay.backtest.stops import NO_STOPS, Stops
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
from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Strategy


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
    planned = plan_columns(strategy, program, genomes)
    if sum(len(item.keys) for item in planned.values()) > market.columns.capacity and len(genomes) > 1:
        half = len(genomes) // 2
        for rows in (slice(0, half), slice(half, None)):
            _run_batch(strategy, program, genomes[rows], market, costs, stops, outcome[rows], daily_equity[rows])
        return
    slots = fill_columns(planned, market)
    comparisons, levels, rows_of, sides = plan_comparisons(strategy, program, genomes, slots)
    bits = np.empty((int(comparisons[:, 2:].max(initial=-1)) + 1, word_count(len(market.tables))), dtype=np.uint64)
    compare(market.columns.values, comparisons, levels, bits)
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
        strategy.minimum_holdings(genomes),
        outcome,
        daily_equity,
    )


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
    minimum_holdings: CodeArray,
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
                minimum_holdings[genome], outcome[genome], daily_equity[genome], no_trades,
            )  # fmt: skip
        else:
            settle_conflicts(stack[0, 0], stack[1, 0], None, None)
            walk(
                prices, factors, stops, stack[0, 0], stack[1, 0], None, None,
                minimum_holdings[genome], outcome[genome], daily_equity[genome], no_trades,
            )  # fmt: skip
