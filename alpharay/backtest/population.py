"""Backtest many parameter sets of one strategy on one data set: each distinct column and comparison only once."""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.backtest.batches import planned_chunks
from alpharay.backtest.bits import WORD_BITS
from alpharay.backtest.costs import Costs
from alpharay.backtest.decisions import DECIDED_WORDS, open_decisions, run_rules, settle_decisions
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.holdings import StopSearch
from alpharay.backtest.market import Market
from alpharay.backtest.metrics import metrics_table
from alpharay.backtest.pooled import ONE_POSITION, backtest_pooled, checked_genomes, pool_of
from alpharay.backtest.population_result import PopulationResult
from alpharay.backtest.rules import CodeArray, RuleCode, compile_rules, rule_code
from alpharay.backtest.settlement import OUTCOME_FIELDS, TRADE_FIELDS, Factors, Prices
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tiles import Steps
from alpharay.backtest.walk import close_walk, factors_of, open_walk, prices_of, walk_tile
from alpharay.market.candles import FloatArray, IntArray
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
    minimum_holdings = strategy.minimum_holdings(genomes)
    prices, factors = prices_of(market.tables), factors_of(costs)
    search = market.stop_search(stops, costs, both_sides=len(program.codes) > 2)
    rules, columns = rule_code(program), market.columns
    for chunk in planned_chunks(strategy, program, genomes, market):
        _simulate(
            columns.values, chunk.steps, rules, chunk.rows, prices, factors, search, minimum_holdings[chunk.genomes],
            outcome[chunk.genomes], daily_equity[chunk.genomes],
        )  # fmt: skip
    return PopulationResult(
        metrics_table(outcome, daily_equity, len(market.tables), market.tables.years), outcome, daily_equity
    )


@njit(cache=True, nogil=True)
def _simulate(
    values: FloatArray,
    steps: Steps,
    rules: RuleCode,
    rows: CodeArray,
    prices: Prices,
    factors: Factors,
    stops: StopSearch,
    minimum_holdings: IntArray,
    outcome: FloatArray,
    daily_equity: FloatArray,
) -> None:
    """Decide and trade tile by tile, so that no bit set is written out."""
    bars = len(prices.close)
    words = values.shape[1] // WORD_BITS
    decided, walked = open_decisions(steps, rules, len(rows)), open_walk(len(rows))
    no_trades = np.empty((0, len(TRADE_FIELDS)))
    for first_word in range(0, words, DECIDED_WORDS):
        last_word = min(first_word + DECIDED_WORDS, words)
        run_rules(values, bars, steps, rules, rows, decided, first_word, last_word)
        settle_decisions(decided.decisions)
        walk_tile(
            prices, factors, stops, decided.decisions, first_word, last_word, minimum_holdings, walked, daily_equity,
            no_trades,
        )  # fmt: skip
    close_walk(prices, factors, walked, outcome, daily_equity, no_trades)
