"""Backtest many parameter sets of one strategy on one data set: each distinct column and comparison only once."""

from __future__ import annotations

import numpy as np

from alpharay.backtest.batches import compared_chunks
from alpharay.backtest.costs import Costs
from alpharay.backtest.decisions import write_chunk
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.market import Market
from alpharay.backtest.metrics import metrics_table
from alpharay.backtest.pooled import ONE_POSITION, backtest_pooled, checked_genomes, pool_of
from alpharay.backtest.population_result import PopulationResult
from alpharay.backtest.rules import compile_rules
from alpharay.backtest.settlement import OUTCOME_FIELDS, TRADE_FIELDS
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.walk import factors_of, prices_of, walk
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
    minimum_holdings = strategy.minimum_holdings(genomes)
    prices, factors = prices_of(market.tables), factors_of(costs)
    search = market.stop_search(stops, costs, both_sides=len(program.codes) > 2)
    no_trades = np.empty((0, len(TRADE_FIELDS)))
    for chunk in compared_chunks(strategy, program, genomes, market):
        decisions = np.empty((len(chunk.rows), len(program.codes), chunk.bits.shape[1]), dtype=np.uint64)
        write_chunk(program, chunk, decisions)
        walk(
            prices, factors, search, decisions, minimum_holdings[chunk.genomes], outcome[chunk.genomes],
            daily_equity[chunk.genomes], no_trades,
        )  # fmt: skip
    return PopulationResult(
        metrics_table(outcome, daily_equity, len(market.tables), market.tables.years), outcome, daily_equity
    )
