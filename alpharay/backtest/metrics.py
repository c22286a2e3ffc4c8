"""Performance metrics, all from the equity curve, annualised by calendar time (365 days).

A ratio whose denominator is zero is 0 when its numerator is zero too, otherwise infinite with the numerator's sign.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
from numba import njit

from alpharay.backtest.settlement import OUTCOME_FIELDS
from alpharay.market.candles import FloatArray

DAYS_A_YEAR = 365.0


@dataclass(frozen=True, slots=True)
class Metrics:
    """One backtest's figures; fractions, not percent, unless the name says otherwise."""

    total_return: float
    """Final equity / starting equity - 1."""
    cagr: float
    """Compound annual growth rate: final equity^(1 / years) - 1."""
    volatility: float
    """Standard deviation (n - 1) of daily returns * sqrt(365)."""
    sharpe: float
    """Mean / standard deviation (n - 1) of daily returns * sqrt(365), risk-free rate 0 (Sharpe 1994)."""
    sortino: float
    """Mean / root mean square of negative daily returns * sqrt(365), target 0 (Sortino & Price 1994)."""
    calmar: float
    """CAGR / maximum drawdown (Young 1991), over the whole period."""
    max_drawdown: float
    """Largest fall of equity from its peak, as a fraction of the peak."""
    drawdown_bars: float
    """Longest time from a peak until a new one, or until the end, in bars."""
    trades: float
    win_rate: float
    """Share of trades with a profit after costs."""
    profit_factor: float
    """Gross profit / gross loss."""
    payoff: float
    """Mean profit of a winning trade / mean loss of a losing one."""
    exposure: float
    """Share of bars whose close was held."""
    turnover: float
    """Times the equity was traded a year, one for each entry and each exit."""
    final_equity: float


METRIC_NAMES = tuple(field.name for field in fields(Metrics))


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return numerator / denominator with the zero rule of this module."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(numerator == 0.0, 0.0, numerator / np.abs(denominator))


@njit(cache=True)
def daily_moments(daily_equity: FloatArray, moments: FloatArray) -> None:
    """Write mean, deviation (n - 1) and downside deviation of each row's daily returns to (rows, 3) `moments`.

    The first day's return is measured from the starting equity of one; after ruin a day's return is zero.
    """
    rows, days = daily_equity.shape
    for row in range(rows):
        total = 0.0
        before = 1.0
        for day in range(days):
            now = daily_equity[row, day]
            total += now / before - 1.0 if before > 0.0 else 0.0
            before = now
        mean = total / days if days > 0 else 0.0
        squares, downside = 0.0, 0.0
        before = 1.0
        for day in range(days):
            now = daily_equity[row, day]
            change = now / before - 1.0 if before > 0.0 else 0.0
            squares += (change - mean) * (change - mean)
            if change < 0.0:
                downside += change * change
            before = now
        moments[row, 0] = mean
        moments[row, 1] = np.sqrt(squares / (days - 1)) if days > 1 else 0.0
        moments[row, 2] = np.sqrt(downside / days) if days > 0 else 0.0


def metrics_table(outcome: FloatArray, daily_equity: FloatArray, bars: int, years: float) -> FloatArray:
    """Return the metrics of each row, columns as `METRIC_NAMES`, from the kernel's outcome and daily equity."""
    column = {name: outcome[:, index] for index, name in enumerate(OUTCOME_FIELDS)}
    moments = np.empty((len(outcome), 3))
    daily_moments(daily_equity, moments)
    mean, deviation, downside = moments.T
    annual = np.sqrt(DAYS_A_YEAR)
    equity, trades, wins = column["final_equity"], column["trades"], column["wins"]
    losses = trades - wins
    cagr = growth_rate(equity, years)
    table = {
        "total_return": equity - 1.0,
        "cagr": cagr,
        "volatility": deviation * annual,
        "sharpe": ratio(mean * annual, deviation),
        "sortino": ratio(mean * annual, downside),
        "calmar": ratio(cagr, column["max_drawdown"]),
        "max_drawdown": column["max_drawdown"],
        "drawdown_bars": column["drawdown_bars"],
        "trades": trades,
        "win_rate": ratio(wins, trades),
        "profit_factor": ratio(column["gross_profit"], column["gross_loss"]),
        "payoff": ratio(ratio(column["gross_profit"], wins), ratio(column["gross_loss"], losses)),
        "exposure": column["exposure_bars"] / bars if bars else np.zeros(len(outcome)),
        "turnover": column["sides_traded"] / years if years else np.zeros(len(outcome)),
        "final_equity": equity,
    }
    return np.column_stack([table[name] for name in METRIC_NAMES])


def growth_rate(final_equity: FloatArray, years: float) -> FloatArray:
    """Return final_equity^(1 / years) - 1; -1 at zero equity, 0 for no time, inf where it overflows."""
    if years <= 0.0:
        return np.zeros(len(final_equity))
    with np.errstate(divide="ignore", over="ignore"):
        return np.expm1(np.log(final_equity) / years)


def metrics_row(row: FloatArray) -> Metrics:
    """Return one row of `metrics_table` as `Metrics`."""
    return Metrics(*(float(value) for value in row))


def metrics_json(metrics: Metrics) -> dict[str, float | None]:
    """Return the metrics as JSON values; an infinite figure (no losing trade, no drawdown) is null."""
    return {name: value if np.isfinite(value) else None for name, value in asdict(metrics).items()}
