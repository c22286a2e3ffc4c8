"""Backtest one set of signals, with its trades: for people who bring their own, and for reports and charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from alpharay.backtest.account_positions import ACCOUNT_TRADE_FIELDS
from alpharay.backtest.bits import pack
from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.holdings import EXIT_REASONS, OPEN
from alpharay.backtest.metrics import Metrics, metrics_row, metrics_table
from alpharay.backtest.pool_tables import pool_tables
from alpharay.backtest.pooled import ONE_POSITION
from alpharay.backtest.pooled_single import trade_signals
from alpharay.backtest.rules import settle_conflicts
from alpharay.backtest.settlement import OUTCOME_FIELDS, TRADE_FIELDS
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.backtest.walk import factors_of, prices_of, stop_search_of, walk
from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.strategies.evaluation import BoolArray, Signals, signals
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Backtest:
    """One backtest's result."""

    metrics: Metrics
    trades: pl.DataFrame
    """One row a trade: side, entry and exit bar, time and price, equity before and after, return, exit_reason; with
    frictions also quantity, entry_fill, exit_fill (the prices after slippage and ticks), fees and funding in money, and
    invested, the share of the equity that the entry took."""
    equity: FloatArray
    """Equity after each bar's close, from a start of one."""
    outcome: dict[str, float]
    """The kernel's raw figures by name."""


def backtest(
    candles: Candles | PriceTables,
    entries: BoolArray,
    exits: BoolArray,
    *,
    short_entries: BoolArray | None = None,
    short_exits: BoolArray | None = None,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    minimum_holding: int = 0,
    frictions: Frictions | None = None,
    fill: str = "next_open",
) -> Backtest:
    """Backtest boolean signals, one flag a bar, decided on the bar's close.

    `fill="next_open"` fills at the next bar's open; `fill="close"` fills at the close that decided, which no one can
    trade: it is there to compare with engines that do. The rules of the fill are those of `alpharay.backtest.walk`.
    `minimum_holding` is in bars, as in `Strategy`; `frictions` make the account one of money. Raises
    ValueError when a length differs, when only one short rule is given, when `minimum_holding` is negative, or when
    `fill` is unknown.
    """
    tables = candles if isinstance(candles, PriceTables) else price_tables(candles)
    bars = len(tables)
    flags = {"entries": entries, "exits": exits, "short_entries": short_entries, "short_exits": short_exits}
    for name, values in flags.items():
        if values is not None and len(values) != bars:
            raise ValueError(f"{name} must have one flag for each of the {bars} candles, was {len(values)}")
    if (short_entries is None) != (short_exits is None):
        raise ValueError("short_entries and short_exits come together: one of them was None")
    if minimum_holding < 0:
        raise ValueError(f"minimum_holding must be at least 0 bars, was {minimum_holding}")
    if fill == "close":
        tables = _filled_at_close(tables)
    elif fill != "next_open":
        raise ValueError(f"fill must be next_open or close, was {fill!r}")

    said = Signals(
        np.asarray(entries, dtype=np.bool_),
        np.asarray(exits, dtype=np.bool_),
        None if short_entries is None else np.asarray(short_entries, dtype=np.bool_),
        None if short_exits is None else np.asarray(short_exits, dtype=np.bool_),
    )
    if frictions is not None:
        return _with_frictions(said, tables, costs, stops, minimum_holding, frictions)
    outcome, daily_equity, trades = walk_signals(said, tables, costs, stops, minimum_holding)
    metrics = metrics_table(outcome, daily_equity, bars, tables.years)
    return Backtest(
        metrics=metrics_row(metrics[0]),
        trades=_trade_frame(trades, tables.candles.open_time),
        equity=equity_curve(tables, trades, costs),
        outcome=dict(zip(OUTCOME_FIELDS, outcome[0].tolist(), strict=True)),
    )


def _with_frictions(
    said: Signals, tables: PriceTables, costs: Costs, stops: Stops, minimum_holding: int, frictions: Frictions
) -> Backtest:
    run = trade_signals([said], pool_tables([tables]), costs, stops, minimum_holding, ONE_POSITION, [frictions])
    column = {name: run.trades[:, index] for index, name in enumerate(ACCOUNT_TRADE_FIELDS)}
    column["invested"] = column["paid"] / column["equity_before"]
    column["equity_before"] = column["equity_before"] / frictions.starting_capital
    column["equity_after"] = (
        column["equity_before"] + (column["received"] - column["paid"]) / frictions.starting_capital
    )
    frame = _trade_frame(np.column_stack([column[name] for name in TRADE_FIELDS]), tables.candles.open_time)
    return Backtest(
        metrics=run.metrics,
        trades=frame.with_columns(
            pl.Series(name, column[name])
            for name in ("quantity", "entry_fill", "exit_fill", "fees", "funding", "invested")
        ),
        equity=run.equity,
        outcome=run.outcome,
    )


def walk_signals(
    said: Signals, tables: PriceTables, costs: Costs, stops: Stops = NO_STOPS, minimum_holding: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Walk one set of signals; return outcome and daily equity, one row each, and a row of `TRADE_FIELDS` a trade."""
    rules = [said.enter, said.exit]
    if said.enter_short is not None and said.exit_short is not None:
        rules += [said.enter_short, said.exit_short]
    words = [pack(rule) for rule in rules]
    settle_conflicts(words[0], words[1], *(words[2:] if len(words) > 2 else (None, None)))
    outcome = np.empty((1, len(OUTCOME_FIELDS)))
    daily_equity = np.empty((1, len(tables.day_ends)))
    # A trade holds at least its decision bar and its entry bar, so there are at most as many as bars.
    trades = np.empty((len(tables), len(TRADE_FIELDS)))
    walk(
        prices_of(tables),
        factors_of(costs),
        stop_search_of(stops, tables.candles, costs, both_sides=len(words) > 2),
        np.stack(words)[None],
        np.array([minimum_holding]),
        outcome,
        daily_equity,
        trades,
    )
    return outcome, daily_equity, trades[: int(outcome[0, OUTCOME_FIELDS.index("trades")])]


def backtest_strategy(
    strategy: Strategy,
    parameters: Mapping[str, float],
    candles: Candles | PriceTables,
    *,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    frictions: Frictions | None = None,
) -> Backtest:
    """Backtest one parameter set of a strategy, with its trades; price tables serve many backtests of one data set."""
    said = signals(strategy, parameters, candles.candles if isinstance(candles, PriceTables) else candles)
    return backtest(
        candles,
        said.enter,
        said.exit,
        short_entries=said.enter_short,
        short_exits=said.exit_short,
        costs=costs,
        stops=stops,
        minimum_holding=int(strategy.minimum_holdings(strategy.genome(parameters)[None, :])[0]),
        frictions=frictions,
    )


def _filled_at_close(tables: PriceTables) -> PriceTables:
    """Return tables whose bar t + 1 opens at the close of bar t, so that the next open is the close that decided."""
    candles = tables.candles
    opens = np.concatenate([candles.open[:1], candles.close[:-1]])
    moved = Candles(
        candles.exchange, candles.symbol, candles.timeframe, candles.open_time, opens,
        np.maximum(candles.high, opens), np.minimum(candles.low, opens), candles.close, candles.volume,
    )  # fmt: skip
    return price_tables(moved)


def equity_curve(tables: PriceTables, trades: FloatArray, costs: Costs) -> FloatArray:
    """Return equity after each bar's close from recorded trades (columns `TRADE_FIELDS`), starting from one."""
    close = tables.candles.close
    equity = np.ones(len(close))
    # Cash stays what it is until the next entry.
    next_entries = [*trades[1:, 1].astype(np.int64).tolist(), len(close)]
    for row, next_entry in zip(trades.tolist(), next_entries, strict=False):
        side, first, last, entry_price, _, before, after, reason = row
        held = slice(int(first), int(last) + 1 if reason == OPEN else int(last))
        if side > 0.0:
            equity[held] = before * costs.entry_factor / entry_price * close[held]
        else:
            equity[held] = before / entry_price * (entry_price * (1.0 + costs.exit_factor) - close[held])
        if reason != OPEN:
            equity[int(last) : next_entry] = after
    return equity


def _trade_frame(trades: FloatArray, open_time: IntArray) -> pl.DataFrame:
    column = {name: trades[:, index] for index, name in enumerate(TRADE_FIELDS)}
    entry_bar, exit_bar = column["entry_bar"].astype(np.int64), column["exit_bar"].astype(np.int64)
    return pl.DataFrame(
        {
            "side": np.where(column["side"] > 0.0, "long", "short"),
            "entry_bar": entry_bar,
            "exit_bar": exit_bar,
            "entry_time": open_time[entry_bar],
            "exit_time": open_time[exit_bar],
            "entry_price": column["entry_price"],
            "exit_price": column["exit_price"],
            "equity_before": column["equity_before"],
            "equity_after": column["equity_after"],
            "return": column["equity_after"] / column["equity_before"] - 1.0,
            "exit_reason": [EXIT_REASONS[int(reason)] for reason in column["reason"]],
        },
        schema_overrides={"side": pl.String, "exit_reason": pl.String},
    )
