"""Backtest parameter sets on several markets at once, with shared capital and a limit on positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from alpharay.backtest.account_positions import ACCOUNT_TRADE_FIELDS
from alpharay.backtest.account_terms import Terms, pool_stop_levels, terms_of
from alpharay.backtest.batches import planned_chunks
from alpharay.backtest.bits import WordArray, word_count
from alpharay.backtest.costs import Costs
from alpharay.backtest.decisions import write_decisions
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.holdings import StopLevels
from alpharay.backtest.market import MEMORY_BUDGET, Market, open_market
from alpharay.backtest.metrics import metrics_table
from alpharay.backtest.pool_tables import PoolPrices, PoolTables, pool_tables
from alpharay.backtest.population_result import PopulationResult
from alpharay.backtest.rules import compile_rules, rule_code
from alpharay.backtest.settlement import OUTCOME_FIELDS
from alpharay.backtest.shared_account import trade_account
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How capital is shared: at most `max_positions` at once, each entered with a share of the equity.

    `fraction` is that share; None is an equal one, 1 / `max_positions`. A stake is never more than the free cash.
    """

    max_positions: int = 1
    fraction: float | None = None

    def __post_init__(self) -> None:
        if self.max_positions < 1:
            raise ValueError(f"max_positions must be at least 1, was {self.max_positions}")
        if self.fraction is not None and not 0.0 < self.fraction <= 1.0:
            raise ValueError(f"fraction must be in (0, 1], was {self.fraction}")

    @property
    def stake(self) -> float:
        """The share of the equity that an entry takes."""
        return 1.0 / self.max_positions if self.fraction is None else self.fraction


ONE_POSITION = PoolLimits()


@dataclass(frozen=True, slots=True)
class Pool:
    """Markets of one time frame ready for pooled backtests, in the order of their priority. Not for several threads."""

    markets: tuple[Market, ...]
    tables: PoolTables


def open_pool(candles: Sequence[Candles], memory_budget: int = MEMORY_BUDGET) -> Pool:
    """Prepare markets for pooled backtests; `memory_budget` is shared by them all.

    Where several markets say to enter at one open and not all find a free position, the order of `candles` decides.
    Raises ValueError when there is no market, time frames differ, or a price is not finite and positive.
    """
    return pool_of([open_market(one, memory_budget // len(candles)) for one in candles])


def pool_of(markets: Sequence[Market]) -> Pool:
    """Put open markets into a pool; raises ValueError when there is none or their time frames differ."""
    return Pool(tuple(markets), pool_tables([market.tables for market in markets]))


def backtest_pooled(
    strategy: Strategy,
    genomes: FloatArray,
    pool: Pool,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    limits: PoolLimits = ONE_POSITION,
    frictions: Frictions | Sequence[Frictions] | None = None,
) -> PopulationResult:
    """Backtest every row of `genomes`, each on all markets of `pool` with one account; metrics are the account's.

    The rules of the account are those of `alpharay.backtest.shared_account`. `frictions` are the same for all markets
    or one for each, as ticks and lots differ. The same genome gives the same bits in any batch. With one market and
    one position the figures are those of `backtest_population` to rounding (1e-9). Raises ValueError when a shape
    does not fit.
    """
    genomes = checked_genomes(strategy, genomes)
    tables = pool.tables
    outcome = np.empty((len(genomes), len(OUTCOME_FIELDS)))
    daily_equity = np.empty((len(genomes), len(tables.prices.day_ends)))
    program = compile_rules(strategy)
    terms = terms_of(costs, frictions_of(frictions, len(pool.markets)), tables)
    levels = pool_stop_levels(stops, tables)
    first_word = first_words(tables)
    holdings = strategy.minimum_holdings(genomes)
    genome_bytes = (len(program.codes) + len(program.tests)) * int(first_word[-1]) * 8
    batch = max(MEMORY_BUDGET // max(genome_bytes, 1), 1)
    for start in range(0, len(genomes), batch):
        rows = slice(start, start + batch)
        decisions = np.empty((len(genomes[rows]), len(program.codes), int(first_word[-1])), dtype=np.uint64)
        for index, market in enumerate(pool.markets):
            words, slab = slice(int(first_word[index]), int(first_word[index + 1])), market.columns
            for chunk in planned_chunks(strategy, program, genomes[rows], market):
                own = decisions[chunk.genomes, :, words]
                write_decisions(slab.values, slab.bars, chunk.steps, rule_code(program), chunk.rows, own)
        _trade_genomes(
            tables.prices, terms, levels, first_word, decisions, holdings[rows], limits.max_positions, limits.stake,
            outcome[rows], daily_equity[rows],
        )  # fmt: skip
    return PopulationResult(metrics_table(outcome, daily_equity, len(tables), tables.years), outcome, daily_equity)


def checked_genomes(strategy: Strategy, genomes: FloatArray) -> FloatArray:
    """Return `genomes` as the kernel reads them; raises ValueError when they do not fit the strategy."""
    genomes = np.ascontiguousarray(genomes, dtype=np.float64)
    if genomes.ndim != 2 or genomes.shape[1] != len(strategy.parameters):
        raise ValueError(f"genomes must be (rows, {len(strategy.parameters)}) for {strategy.name}, was {genomes.shape}")
    if not np.isfinite(genomes).all():
        raise ValueError(f"genomes of {strategy.name} must be finite numbers")
    return genomes


def frictions_of(frictions: Frictions | Sequence[Frictions] | None, markets: int) -> list[Frictions | None]:
    """Return the frictions of each market."""
    return [frictions] * markets if frictions is None or isinstance(frictions, Frictions) else list(frictions)


def first_words(tables: PoolTables) -> IntArray:
    """Return where each market's bit sets begin when they stand one after the other, and the end."""
    counts = [word_count(len(market)) for market in tables.markets]
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@njit(cache=True, nogil=True)
def _trade_genomes(
    prices: PoolPrices,
    terms: Terms,
    stops: StopLevels,
    first_word: IntArray,
    decisions: WordArray,
    minimum_holdings: IntArray,
    positions: int,
    fraction: float,
    outcome: FloatArray,
    daily_equity: FloatArray,
) -> None:
    no_trades = np.empty((0, len(ACCOUNT_TRADE_FIELDS)))
    no_curve = np.empty(0)
    for genome in range(len(decisions)):
        trade_account(
            prices, terms, stops, first_word, decisions[genome], minimum_holdings[genome], positions, fraction,
            outcome[genome], daily_equity[genome], no_trades, no_curve,
        )  # fmt: skip
