"""Candles typed by hand, and trades on them."""

from __future__ import annotations

import numpy as np

from alpharay.backtest.single import backtest
from alpharay.market.candles import Candles

HOUR_MS = 3_600_000


def bars_of(*rows: tuple[float, float, float, float], step_ms: int = HOUR_MS) -> Candles:
    """Candles from (open, high, low, close)."""
    opened, high, low, close = np.array(rows, dtype=np.float64).T
    times = np.arange(len(rows), dtype=np.int64) * step_ms
    return Candles("test", "A/USD", "1h", times, opened, high, low, close, np.ones(len(rows)))


def flat_bars(*prices: float) -> Candles:
    """Candles that stand still inside and jump in between."""
    return bars_of(*((price, price, price, price) for price in prices))


def flags(bars: int, *places: int) -> np.ndarray:
    said = np.zeros(bars, dtype=np.bool_)
    said[list(places)] = True
    return said


def trade_long(candles: Candles, enter: int = 0, leave: int | None = None, **options):
    bars = len(candles)
    return backtest(candles, flags(bars, enter), flags(bars, *([] if leave is None else [leave])), **options)


def trade_short(candles: Candles, enter: int = 0, leave: int | None = None, **options):
    bars = len(candles)
    exits = flags(bars, *([] if leave is None else [leave]))
    return backtest(candles, flags(bars), flags(bars), short_entries=flags(bars, enter), short_exits=exits, **options)


def exits_of(result) -> list[tuple[int, float, str]]:
    return result.trades.select("exit_bar", "exit_price", "exit_reason").rows()
