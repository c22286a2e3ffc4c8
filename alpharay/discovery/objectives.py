"""What a search maximises: named functions over a table of metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.market.candles import FloatArray

Objective = Callable[[FloatArray], FloatArray]
"""Takes (genomes, len(METRIC_NAMES)) metrics, returns one score a genome; higher is better.

One that returns (genomes, objectives) is searched for its whole front.
"""

WORST = -np.inf

PRIOR_TRADES = 30.0
DRAWDOWN_PENALTY = 2.0


def _column(metrics: FloatArray, name: str) -> FloatArray:
    column: FloatArray = metrics[:, METRIC_NAMES.index(name)]
    return column


def _metric(name: str) -> Objective:
    return lambda metrics: _column(metrics, name)


def _unit(values: FloatArray) -> FloatArray:
    """Map [-1, 2] to [0, 1] and clip."""
    unit: FloatArray = np.clip((values + 1.0) / 3.0, 0.0, 1.0)
    return unit


def tradestream(metrics: FloatArray) -> FloatArray:
    """Return TradeStream's weighting, here on metrics of the net equity curve; from 0 to 1.

    0.25 N(Sharpe) + 0.20 (1 - maximum drawdown) + 0.20 win rate + 0.20 N(annual return) + 0.15 N(profit
    factor) with N(x) = clip((x + 1) / 3, 0, 1); an infinite ratio counts as one.
    """
    return (
        0.25 * _unit(_column(metrics, "sharpe"))
        + 0.20 * (1.0 - _column(metrics, "max_drawdown"))
        + 0.20 * _column(metrics, "win_rate")
        + 0.20 * _unit(_column(metrics, "cagr"))
        + 0.15 * _unit(_column(metrics, "profit_factor"))
    )


def sharpe_by_trades(metrics: FloatArray) -> FloatArray:
    """Return the Sharpe ratio shrunk towards zero: times trades / (trades + 30).

    The mean of n trades beside a prior of 30 trades that earn nothing: few good trades are more often luck.
    """
    trades = _column(metrics, "trades")
    return _column(metrics, "sharpe") * trades / (trades + PRIOR_TRADES)


def sharpe_less_drawdown(metrics: FloatArray) -> FloatArray:
    """Return the Sharpe ratio less twice the maximum drawdown."""
    return _column(metrics, "sharpe") - DRAWDOWN_PENALTY * _column(metrics, "max_drawdown")


def nsga2(metrics: FloatArray) -> FloatArray:
    """Return total return, the negative of the maximum drawdown and of the turnover: (genomes, 3)."""
    names = ("total_return", "max_drawdown", "turnover")
    values: FloatArray = np.column_stack([_column(metrics, name) for name in names])
    signed: FloatArray = values * np.array([1.0, -1.0, -1.0])
    return signed


OBJECTIVES: dict[str, Objective] = {
    "sharpe": _metric("sharpe"),
    "sortino": _metric("sortino"),
    "calmar": _metric("calmar"),
    "profit_factor": _metric("profit_factor"),
    "total_return": _metric("total_return"),
    "tradestream": tradestream,
    "sharpe_by_trades": sharpe_by_trades,
    "sharpe_less_drawdown": sharpe_less_drawdown,
}
"""One number a genome. Add an entry to search for something else."""

FRONT_OBJECTIVES: dict[str, Objective] = {"nsga2": nsga2}
"""Several numbers a genome, none of which is given up for another: the champions are the front."""


def objective_named(name: str) -> Objective:
    """Return an objective by name; raises ValueError that lists the names when it is not there."""
    known = OBJECTIVES | FRONT_OBJECTIVES
    if name not in known:
        raise ValueError(f"objective must be one of {', '.join(known)}, was {name!r}")
    return known[name]


def scores(objective: Objective, metrics: FloatArray, min_trades: int = 1) -> FloatArray:
    """Return one score a genome, never NaN: the first column of `fitness`."""
    first: FloatArray = fitness(objective, metrics, min_trades)[:, 0]
    return first


def fitness(objective: Objective, metrics: FloatArray, min_trades: int = 1) -> FloatArray:
    """Return (genomes, objectives), never NaN.

    A row is `WORST` with fewer trades than `min_trades` (at least one), and where an objective is not a finite
    number: an infinite ratio (no losing trade, no losing day) has nothing to divide by: it is the mark of a trade
    or two, not of a good strategy, so it may not win the search.
    """
    values = np.asarray(objective(metrics), dtype=np.float64)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != len(metrics):
        raise ValueError(f"objective must return one score for each of {len(metrics)} genomes, was {values.shape}")
    good = np.isfinite(values).all(axis=1) & (_column(metrics, "trades") >= max(min_trades, 1))
    return np.where(good[:, None], values, WORST)
