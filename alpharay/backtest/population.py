"""Backtest many parameter sets of one strategy on one data set: each distinct column and comparison only once."""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.backtest.batches import compared_chunks
from alpharay.backtest.bits import WordArray
from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.market import Market
from alpharay.backtest.metrics import metrics_table
from alpharay.backtest.pooled import ONE_POSITION, backtest_pooled, checked_genomes, pool_of
from alpharay.backtest.population_result import PopulationResult
from alpharay.backtest.rules import CodeArray, compile_rules, run_rule, settle_conflicts
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
    strategy: Strategy,
    genomes: FloatArray,
    market: Market,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    frictions: Frictions | None = None,
) -> PopulationResult:
    """Backtest every row of `genomes` (parameter values in declaration order) and return all their metrics.

    The same genome gives the same bits in any batch. With `frictions` the account is one of money, in
    `alpharay.backtest.shared_account`: slower. Raises ValueError when the shape does not fit the strategy.
    """
    if frictions is not None:
        return backtest_pooled(strategy, genomes, pool_of([market]), costs, stops, ONE_POSITION, frictions)
    genomes = checked_genomes(strategy, genomes)
    outcome = np.empty((len(genomes), len(OUTCOME_FIELDS)))
    daily_equity = np.empty((len(genomes), len(market.tables.day_ends)))
    program = compile_rules(strategy)
    codes = program.codes
    both_sides = len(codes) > 2
    minimum_holdings = strategy.minimum_holdings(genomes)
    prices, factors = prices_of(market.tables), factors_of(costs)
    stop_levels = stop_levels_of(stops, market.candles, both_sides=both_sides)
    for chunk in compared_chunks(strategy, program, genomes, market):
        _run_genomes(
            prices,
            factors,
            stop_levels,
            codes[0],
            codes[1],
            codes[2] if both_sides else None,
            codes[3] if both_sides else None,
            program.literals,
            program.depth,
            chunk.bits,
            chunk.rows,
            minimum_holdings[chunk.genomes],
            outcome[chunk.genomes],
            daily_equity[chunk.genomes],
        )
    return PopulationResult(
        metrics_table(outcome, daily_equity, len(market.tables), market.tables.years), outcome, daily_equity
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
        rows = rows_of[genome]
        run_rule(enter_code, literals, bits, rows, stack[0])
        run_rule(leave_code, literals, bits, rows, stack[1])
        if enter_short_code is not None and leave_short_code is not None:
            run_rule(enter_short_code, literals, bits, rows, stack[2])
            run_rule(leave_short_code, literals, bits, rows, stack[3])
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
