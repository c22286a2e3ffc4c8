"""How figures are written, in reports and on terminals alike."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

_PERCENT = ("total_return", "cagr", "volatility", "max_drawdown", "win_rate", "exposure")
_SIGNED = ("total_return", "cagr")
_WHOLE = ("trades", "drawdown_bars")

METRIC_LABELS = {
    "total_return": "total return",
    "cagr": "growth a year",
    "volatility": "volatility a year",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "max_drawdown": "largest drawdown",
    "drawdown_bars": "longest drawdown, bars",
    "trades": "trades",
    "win_rate": "trades that won",
    "profit_factor": "profit factor",
    "payoff": "payoff",
    "exposure": "time in the market",
    "turnover": "turnover a year",
    "final_equity": "final equity, from one",
}


def metric_text(name: str, value: float | None) -> str:
    """Return a metric as people write it; None, which JSON has for an infinite one, is ∞."""
    if value is None or not isfinite(value):
        return "∞"
    if name in _PERCENT:
        return percent(value, signed=name in _SIGNED)
    if name in _WHOLE:
        return f"{value:,.0f}"
    return f"{value:,.4f}" if name == "final_equity" else f"{value:,.2f}"


def percent(value: float | None, *, signed: bool = False) -> str:
    """Return a fraction in percent, or a dash for what is not there."""
    if value is None:
        return "-"
    return f"{value:+,.1%}" if signed else f"{value:,.1%}"


def number(value: float | None, digits: int = 2) -> str:
    """Return a number, or a dash for what is not there."""
    return "-" if value is None else f"{value:,.{digits}f}"


def day(time_ms: int) -> str:
    """Return the UTC day of a time in ms."""
    return f"{datetime.fromtimestamp(time_ms / 1000, tz=UTC):%Y-%m-%d}"
