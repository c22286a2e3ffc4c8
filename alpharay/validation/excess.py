"""What a strategy earned beyond holding the market as much as it did: the statistic that validation tests.

The excess of a day is x = r - e * m: the strategy's net return less its net exposure times the market's return. The
exposure e is one number, the average over all bars, so e * m is a portfolio that holds that share of the market all the
time; being in the market at the right time is what is left. A strategy whose position has nothing to do with what comes
next has E[r] = e * E[m] - costs, so its expected excess is minus its costs, in a bull market as in a bear market.

The statistic is the annualised Sharpe ratio of the excess (Sharpe 1994: the ratio of a differential return): mean /
standard deviation (n - 1) * sqrt(365). A ratio, not a mean, because the best of a search is compared with the best of
other searches: a mean would favour whoever holds most and varies most. No costs are taken off the held portfolio, which
can only make the strategy look worse.
"""

from __future__ import annotations

import numpy as np

from alpharay.backtest.metrics import DAYS_A_YEAR
from alpharay.backtest.single import Backtest
from alpharay.backtest.tables import day_ends
from alpharay.market.candles import Candles, FloatArray
from alpharay.validation.daily_marks import daily_returns, daily_sharpe


def positions(result: Backtest) -> FloatArray:
    """Return the position at each bar's close: 1 long, -1 short, 0 flat.

    With frictions an entry may take less than the whole equity (lots, a share of the bar's volume): then that share.
    """
    held = np.zeros(len(result.equity))
    trades = result.trades
    columns = [trades[name].to_list() for name in ("side", "entry_bar", "exit_bar", "exit_reason")]
    shares = trades["invested"].to_list() if "invested" in trades.columns else [1.0] * len(trades)
    for side, entry, leave, reason, share in zip(*columns, shares, strict=True):
        held[entry : leave + 1 if reason == "open" else leave] = share if side == "long" else -share
    return held


def daily_excess(result: Backtest, candles: Candles) -> FloatArray:
    """Return the excess of each UTC day over the exposure-matched market: see the module.

    `candles` are those of the backtest. The first day is measured from its first open; after ruin the strategy returns
    nothing.
    """
    if len(candles) == 0:
        return np.empty(0)
    ends = day_ends(candles.open_time)
    own, market = daily_returns(result.equity[ends]), daily_returns(candles.close[ends] / candles.open[0])
    return own - float(positions(result).mean()) * market


def annual_sharpe(daily: FloatArray) -> float:
    """Return the annualised Sharpe ratio of daily figures; 0 when there are fewer than two or they do not vary."""
    return float(daily_sharpe(daily) * np.sqrt(DAYS_A_YEAR))


def excess_sharpe(result: Backtest, candles: Candles) -> float:
    """Return the statistic of the module for one backtest of `candles`."""
    return annual_sharpe(daily_excess(result, candles))
