"""In which markets a strategy earns: its days split by what was known of volatility and trend before they began.

A day's labels are made of the closes of the days before it, so they could have been traded on. Volatility is the
standard deviation of the daily returns of the last `WINDOW_DAYS` days against the median of all such figures until
then; trend is the close against its own `WINDOW_DAYS` days before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from alpharay.backtest.single import Backtest
from alpharay.backtest.tables import day_ends
from alpharay.market.candles import Candles, FloatArray
from alpharay.validation.daily_marks import daily_returns
from alpharay.validation.excess import annual_sharpe, daily_excess

WINDOW_DAYS = 30

Volatility = Literal["calm", "volatile", "unknown"]
Trend = Literal["rising", "falling", "unknown"]


@dataclass(frozen=True, slots=True)
class RegimePerformance:
    """What a strategy did on the days of one regime."""

    volatility: Volatility
    trend: Trend
    days: int
    total_return: float
    sharpe: float
    excess_sharpe: float
    market_return: float


def daily_regimes(closes: FloatArray, window: int = WINDOW_DAYS) -> list[tuple[Volatility, Trend]]:
    """Return the labels of each day from daily closes; `unknown` until there are enough days before it."""
    changes = np.diff(closes) / closes[:-1]
    spreads: list[float] = []
    labels: list[tuple[Volatility, Trend]] = []
    for day in range(len(closes)):
        # closes[day - 1] is the newest that is known before the day; its window has `window` returns.
        if day <= window:
            labels.append(("unknown", "unknown"))
            continue
        spread = float(np.std(changes[day - 1 - window : day - 1]))
        volatility: Volatility = "volatile" if spreads and spread > float(np.median(spreads)) else "calm"
        trend: Trend = "rising" if closes[day - 1] > closes[day - 1 - window] else "falling"
        labels.append((volatility, trend))
        spreads.append(spread)
    return labels


def regime_performance(result: Backtest, candles: Candles, window: int = WINDOW_DAYS) -> tuple[RegimePerformance, ...]:
    """Split the days of a backtest of `candles` by regime.

    Every day is in exactly one; regimes without a day are left out.
    """
    if len(candles) == 0:
        return ()
    ends = day_ends(candles.open_time)
    closes = candles.close[ends]
    labels = np.array([f"{volatility}/{trend}" for volatility, trend in daily_regimes(closes, window)])
    own = daily_returns(result.equity[ends])
    market = daily_returns(closes / candles.open[0])
    excess = daily_excess(result, candles)
    found = []
    volatilities: tuple[Volatility, ...] = ("calm", "volatile", "unknown")
    trends: tuple[Trend, ...] = ("rising", "falling", "unknown")
    for volatility in volatilities:
        for trend in trends:
            days = labels == f"{volatility}/{trend}"
            if days.any():
                found.append(
                    RegimePerformance(
                        volatility=volatility,
                        trend=trend,
                        days=int(days.sum()),
                        total_return=float(np.prod(1.0 + own[days])) - 1.0,
                        sharpe=annual_sharpe(own[days]),
                        excess_sharpe=annual_sharpe(excess[days]),
                        market_return=float(np.prod(1.0 + market[days])) - 1.0,
                    )
                )
    return tuple(found)
