"""Candle series made for validation's tests."""

from __future__ import annotations

import numpy as np

from alpharay.market.candles import Candles

HOUR_MS = 3_600_000


def candles_of(close: np.ndarray, *, timeframe_ms: int = HOUR_MS, timeframe: str = "1h", start: int = 0) -> Candles:
    """Candles that open at the close before them."""
    opened = np.concatenate([close[:1], close[:-1]])
    times = start + np.arange(len(close), dtype=np.int64) * timeframe_ms
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    return Candles("test", "AAA/USD", timeframe, times, opened, high, low, close, np.full(len(close), 100.0))


def random_walk(bars: int, seed: int = 0, deviation: float = 0.01, drift: float = 0.0) -> Candles:
    """Hourly candles without an edge."""
    moves = np.random.default_rng(seed).normal(drift, deviation, bars)
    return candles_of(100.0 * np.exp(np.cumsum(moves)))


def waves(bars: int, seed: int = 0, period: int = 240, height: float = 0.2, noise: float = 0.004) -> Candles:
    """Hourly candles that go up and down in waves: a trend follower earns on them at any cost."""
    wave = height * np.sin(2.0 * np.pi * np.arange(bars) / period)
    return candles_of(100.0 * np.exp(wave + np.random.default_rng(seed).normal(0.0, noise, bars)))
