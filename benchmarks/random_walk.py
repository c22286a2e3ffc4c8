"""Candles of a random walk, the same in every run: what a benchmark uses when it is given no file."""

from __future__ import annotations

import numpy as np

from alpharay.market.candles import Candles


def random_walk(rows: int, seed: int = 0) -> Candles:
    """Return 1-minute candles of a random walk."""
    generator = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.0008, rows)))
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) * 1.0002, np.minimum(opened, close) * 0.9998
    times = np.arange(rows, dtype=np.int64) * 60_000
    return Candles("generated", "WALK/USD", "1m", times, opened, high, low, close, generator.random(rows) * 10.0)
