"""What a strategy did, day by day, from the first candle of its search until now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alpharay.backtest.account_positions import ACCOUNT_TRADE_FIELDS
from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.holdings import OPEN
from alpharay.backtest.pool_tables import pool_tables
from alpharay.backtest.pooled import ONE_POSITION
from alpharay.backtest.pooled_single import trade_signals
from alpharay.backtest.settlement import TRADE_FIELDS
from alpharay.backtest.single import walk_signals
from alpharay.backtest.stops import NO_STOPS
from alpharay.backtest.tables import PriceTables
from alpharay.market.candles import FloatArray, IntArray
from alpharay.market.timeframe import DAY_MS
from alpharay.strategies.evaluation import signals
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Track:
    """Net daily returns of one strategy, one for every UTC day from `first_day` on."""

    strategy_id: str
    first_day: int
    """Days since 1970-01-01 (UTC)."""
    returns: FloatArray
    trade_days: IntArray
    """The day of each trade's entry, in days since 1970-01-01."""
    holds: bool
    """Whether it has a position after the newest candle."""

    def since(self, day: int) -> FloatArray:
        """Return the returns of `day` and later."""
        return self.returns[max(day - self.first_day, 0) :]

    def trades_since(self, day: int) -> int:
        """Return how many trades were entered on `day` or later."""
        return int(np.count_nonzero(self.trade_days >= day))


def track_of(
    strategy_id: str,
    strategy: Strategy,
    parameters: Mapping[str, float],
    tables: PriceTables,
    costs: Costs = Costs(),
    frictions: Frictions | None = None,
) -> Track:
    """Walk the strategy over all candles of `tables` and return its days; no candles give an empty track.

    The candles start where the search's window started: a recursive indicator depends on its first candle. An open
    position is marked at the newest close. Raises ValueError when the parameters do not fit the strategy.
    """
    strategy.check(parameters)
    candles = tables.candles
    if len(candles) == 0:
        return Track(strategy_id, 0, np.empty(0), np.empty(0, dtype=np.int64), holds=False)
    holding = int(strategy.minimum_holdings(strategy.genome(parameters)[None, :])[0])
    said = signals(strategy, parameters, candles)
    fields: tuple[str, ...] = TRADE_FIELDS
    if frictions is None:
        _, daily_equity, trades = walk_signals(said, tables, costs, minimum_holding=holding)
        days = daily_equity[0]
    else:
        account = trade_signals([said], pool_tables([tables]), costs, NO_STOPS, holding, ONE_POSITION, [frictions])
        # With one market an account's steps are its candles.
        days, trades, fields = account.equity[tables.day_ends], account.trades, ACCOUNT_TRADE_FIELDS
    equity = np.concatenate([[1.0], days])
    # After ruin a day's return is zero.
    returns = np.where(equity[:-1] > 0.0, equity[1:] / np.maximum(equity[:-1], np.finfo(np.float64).tiny) - 1.0, 0.0)
    entry_bars = trades[:, fields.index("entry_bar")].astype(np.int64)
    return Track(
        strategy_id=strategy_id,
        first_day=int(candles.open_time[0] // DAY_MS),
        returns=returns,
        trade_days=candles.open_time[entry_bars] // DAY_MS,
        holds=len(trades) > 0 and trades[-1, fields.index("reason")] == OPEN,
    )


def day_of(time_ms: int) -> int:
    """Return the first UTC day that begins at or after a time, in days since 1970-01-01."""
    return -(-time_ms // DAY_MS)


def annual_sharpe(returns: FloatArray) -> float:
    """Return the annual Sharpe ratio of daily returns (365 days, risk-free rate 0); 0 for a flat or empty line."""
    if len(returns) < 2:
        return 0.0
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation * float(np.sqrt(365.0)) if deviation > 0.0 else 0.0
