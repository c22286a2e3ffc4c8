"""Candle series made for the tests."""

from __future__ import annotations

import numpy as np

from alpharay.market.candles import Candles


def random_walk(bars: int, seed: int = 0, timeframe_minutes: int = 60) -> Candles:
    """Return hourly candles whose closes are a random walk."""
    generator = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, bars)))
    opened = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opened, close) * (1.0 + generator.random(bars) * 0.003)
    low = np.minimum(opened, close) * (1.0 - generator.random(bars) * 0.003)
    times = np.arange(bars, dtype=np.int64) * timeframe_minutes * 60_000
    return Candles("test", "AAA/USD", "1h", times, opened, high, low, close, generator.random(bars) * 100.0)
