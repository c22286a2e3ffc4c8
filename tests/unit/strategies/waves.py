"""Candles made to be traded: trends, ranges, breaks and bursts of volume, one after the other."""

from __future__ import annotations

import numpy as np

from alpharay.market.candles import Candles


def wave_candles(bars: int = 3_000, seed: int = 7, *, tick: float = 0.0) -> Candles:
    rng = np.random.default_rng(seed)
    time = np.arange(bars)
    trend = 0.25 * np.sin(2 * np.pi * time / 900) + 0.08 * np.sin(2 * np.pi * time / 120)
    shocks = np.cumsum(rng.normal(0.0, 0.002, bars)) + np.where(
        rng.random(bars) < 0.01, rng.normal(0.0, 0.05, bars), 0.0
    )
    close = 100.0 * np.exp(trend + shocks)
    opens = np.concatenate([close[:1], close[:-1]])[:bars] * np.exp(rng.normal(0.0, 0.0005, bars))
    high = np.maximum(opens, close) * (1.0 + np.abs(rng.normal(0.0, 0.002, bars)))
    low = np.minimum(opens, close) * (1.0 - np.abs(rng.normal(0.0, 0.002, bars)))
    if tick:
        opens, high, low, close = (np.round(values / tick) * tick for values in (opens, high, low, close))
    volume = rng.gamma(2.0, 50.0, bars) * np.where(rng.random(bars) < 0.05, 6.0, 1.0)
    volume[rng.random(bars) < 0.02] = 0.0
    open_time = 1_600_000_000_000 // 3_600_000 * 3_600_000 + time.astype(np.int64) * 3_600_000
    return Candles("test", "WAVE/USD", "1h", open_time, opens, high, low, close, volume)


def random_genomes(strategy, count: int, seed: int) -> np.ndarray:
    """Return valid parameter sets of a strategy, drawn and rejected."""
    from alpharay.strategies.strategy import Integer

    rng = np.random.default_rng(seed)
    rows = []
    while len(rows) < count:
        values = {
            p.name: int(rng.integers(p.low, p.high + 1))
            if isinstance(p, Integer)
            else float(rng.uniform(p.low, p.high))
            for p in strategy.parameters
        }
        try:
            strategy.check(values)
        except ValueError:
            continue
        rows.append(strategy.genome(values))
    return np.array(rows)
