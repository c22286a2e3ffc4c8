"""What a search maximises: named functions over a table of metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.market.candles import FloatArray

Objective = Callable[[FloatArray], FloatArray]
"""Takes (genomes, len(METRIC_NAMES)) metrics, returns one score a genome; higher is better."""

WORST = -np.inf


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


OBJECTIVES: dict[str, Objective] = {
    "sharpe": _metric("sharpe"),
    "sortino": _metric("sortino"),
    "calmar": _metric("calmar"),
    "profit_factor": _metric("profit_factor"),
    "total_return": _metric("total_return"),
    "tradestream": tradestream,
}
"""Add an entry to search for something else."""


def objective_named(name: str) -> Objective:
    """Return an objective by name; raises ValueError that lists the names when it is not there."""
    if name not in OBJECTIVES:
        raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, was {name!r}")
    return OBJECTIVES[name]


def scores(objective: Objective, metrics: FloatArray, min_trades: int = 1) -> FloatArray:
    """Return one score a genome, never NaN.

    It is `WORST` with fewer trades than `min_trades` (at least one), and where the objective is not a finite
    number: an infinite ratio (no losing trade, no losing day) has nothing to divide by: it is the mark of a trade
    or two, not of a good strategy, so it may not win the search.
    """
    values = np.asarray(objective(metrics), dtype=np.float64)
    if values.shape != (len(metrics),):
        raise ValueError(f"objective must return one score for each of {len(metrics)} genomes, was {values.shape}")
    good = np.isfinite(values) & (_column(metrics, "trades") >= max(min_trades, 1))
    return np.where(good, values, WORST)
