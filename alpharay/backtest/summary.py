"""A backtest in few numbers: what is stored and sent of one, where its trades and its equity would be too much."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import Backtest
from alpharay.market.candles import FloatArray, IntArray

EQUITY_POINTS = 200
"""Points of a stored equity curve: as many as a small chart has columns."""


def backtest_json(result: Backtest, open_time: IntArray) -> dict[str, Any]:
    """Return metrics, a summary of the trades and a thinned equity curve as JSON values."""
    return {
        "metrics": metrics_json(result.metrics),
        "trades": trades_json(result.trades),
        "equity": equity_json(open_time, result.equity),
    }


def trades_json(trades: pl.DataFrame) -> dict[str, Any]:
    """Return counts by side and exit reason, the extreme and mean returns, and the mean bars held.

    Figures of no trades are null. Times are UTC ms.
    """
    returns, held = trades["return"], trades["exit_bar"] - trades["entry_bar"]
    return {
        "count": len(trades),
        "long": int((trades["side"] == "long").sum()),
        "short": int((trades["side"] == "short").sum()),
        "wins": int((returns > 0.0).sum()),
        "exit_reasons": dict(trades["exit_reason"].value_counts().sort("exit_reason").iter_rows()),
        "best_return": returns.max(),
        "worst_return": returns.min(),
        "mean_return": returns.mean(),
        "mean_bars_held": held.mean(),
        "first_entry_time": trades["entry_time"].min(),
        "last_exit_time": trades["exit_time"].max(),
    }


def equity_json(open_time: IntArray, equity: FloatArray, points: int = EQUITY_POINTS) -> dict[str, list[Any]]:
    """Return at most `points` of an equity curve, evenly spaced, the first and the last bar among them."""
    rows = np.unique(np.linspace(0, len(equity) - 1, min(points, len(equity))).round().astype(np.int64))
    return {"time": open_time[rows].tolist(), "equity": equity[rows].tolist()}
