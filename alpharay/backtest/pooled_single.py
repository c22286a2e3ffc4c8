"""One parameter set on several markets with one account, with its trades: for reports and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from alpharay.backtest.account_positions import ACCOUNT_TRADE_FIELDS
from alpharay.backtest.account_terms import pool_stop_levels, terms_of
from alpharay.backtest.bits import pack
from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.holdings import EXIT_REASONS
from alpharay.backtest.metrics import Metrics, metrics_row, metrics_table
from alpharay.backtest.pool_tables import PoolTables, pool_tables
from alpharay.backtest.pooled import ONE_POSITION, PoolLimits, first_words, frictions_of
from alpharay.backtest.rules import settle_conflicts
from alpharay.backtest.settlement import OUTCOME_FIELDS
from alpharay.backtest.shared_account import trade_account
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import price_tables
from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.strategies.evaluation import Signals, signals
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True)
class AccountRun:
    """What one walk of the shared account gives."""

    metrics: Metrics
    trades: FloatArray
    """Columns `ACCOUNT_TRADE_FIELDS`, in the order of the exits."""
    equity: FloatArray
    """After each step's closes, from a start of one."""
    outcome: dict[str, float]


@dataclass(frozen=True, slots=True)
class PooledBacktest:
    """One pooled backtest's result; the metrics are the account's."""

    metrics: Metrics
    trades: pl.DataFrame
    """One row a trade, in the order of the exits: symbol, side, times, prices, fills, quantity, paid, received, fees,
    funding (in money with frictions, else in units of the starting equity), return on what was paid, exit_reason."""
    open_time: IntArray
    """The time line: when any market opens a candle (UTC, ms)."""
    equity: FloatArray
    """Equity at the close of each, from a start of one."""
    outcome: dict[str, float]
    """The kernel's raw figures by name."""


def trade_signals(
    said: Sequence[Signals],
    tables: PoolTables,
    costs: Costs,
    stops: Stops,
    minimum_holding: int,
    limits: PoolLimits,
    frictions: Sequence[Frictions | None],
) -> AccountRun:
    """Trade one set of signals for each market of `tables` with one account; both short rules come in all or none."""
    rules = [[pack(flags) for flags in (one.enter, one.exit, one.enter_short, one.exit_short) if flags is not None]
             for one in said]  # fmt: skip
    for words in rules:
        settle_conflicts(words[0], words[1], *(words[2:] if len(words) > 2 else (None, None)))
    decisions = np.stack([np.concatenate([words[rule] for words in rules]) for rule in range(len(rules[0]))])
    outcome = np.empty((1, len(OUTCOME_FIELDS)))
    daily_equity = np.empty((1, len(tables.prices.day_ends)))
    # A trade holds at least its decision bar and its entry bar, so there are at most as many as bars.
    trades = np.empty((len(tables.prices.open), len(ACCOUNT_TRADE_FIELDS)))
    equity = np.empty(len(tables))
    count = trade_account(
        tables.prices,
        terms_of(costs, frictions, tables),
        pool_stop_levels(stops, tables),
        first_words(tables),
        decisions,
        minimum_holding,
        limits.max_positions,
        limits.stake,
        outcome[0],
        daily_equity[0],
        trades,
        equity,
    )
    return AccountRun(
        metrics=metrics_row(metrics_table(outcome, daily_equity, len(tables), tables.years)[0]),
        trades=trades[:count],
        equity=equity,
        outcome=dict(zip(OUTCOME_FIELDS, outcome[0].tolist(), strict=True)),
    )


def backtest_pooled_strategy(
    strategy: Strategy,
    parameters: Mapping[str, float],
    candles: Sequence[Candles],
    *,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    limits: PoolLimits = ONE_POSITION,
    frictions: Frictions | Sequence[Frictions] | None = None,
) -> PooledBacktest:
    """Backtest one parameter set on all of `candles` with one account: `backtest_pooled`, with its trades."""
    tables = pool_tables([price_tables(one) for one in candles])
    run = trade_signals(
        [signals(strategy, parameters, one) for one in candles],
        tables,
        costs,
        stops,
        int(strategy.minimum_holdings(strategy.genome(parameters)[None, :])[0]),
        limits,
        frictions_of(frictions, len(candles)),
    )
    return PooledBacktest(
        run.metrics, _trade_frame(run.trades, candles), tables.prices.step_time, run.equity, run.outcome
    )


def _trade_frame(trades: FloatArray, candles: Sequence[Candles]) -> pl.DataFrame:
    column = {name: trades[:, index] for index, name in enumerate(ACCOUNT_TRADE_FIELDS)}
    markets = column["market"].astype(np.int64).tolist()
    times = {
        name: [int(candles[market].open_time[int(bar)]) for market, bar in zip(markets, column[name], strict=True)]
        for name in ("entry_bar", "exit_bar")
    }
    plain = ("entry_price", "exit_price", "entry_fill", "exit_fill", "quantity", "paid", "received", "fees", "funding")
    return pl.DataFrame(
        {
            "symbol": [candles[market].symbol for market in markets],
            "side": np.where(column["side"] > 0.0, "long", "short"),
            "entry_time": times["entry_bar"],
            "exit_time": times["exit_bar"],
            **{name: column[name] for name in plain},
            "return": column["received"] / column["paid"] - 1.0,
            "exit_reason": [EXIT_REASONS[int(reason)] for reason in column["reason"]],
        },
        schema_overrides={"symbol": pl.String, "side": pl.String, "exit_reason": pl.String},
    )
