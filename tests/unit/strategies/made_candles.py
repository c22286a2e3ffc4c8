"""For each strategy, candles made so that it enters and leaves: waves, or a market with what it waits for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from waves import wave_candles

from alpharay.market.candles import Candles


def gapped_candles(bars: int = 3_000, seed: int = 7) -> Candles:
    """Return waves that open elsewhere every 48 bars, as a market that is closed at night does."""
    candles = wave_candles(bars, seed)
    jumps = np.random.default_rng(seed).choice([0.97, 0.98, 1.02, 1.03], size=bars // 48 + 1)
    scale = np.cumprod(jumps)[np.arange(bars) // 48]
    columns = {name: getattr(candles, name) * scale for name in ("open", "high", "low", "close")}
    return replace(candles, **columns)


MAKERS = {"PRICE_GAP": gapped_candles}


def candles_made_for(name: str) -> Candles:
    return MAKERS.get(name, wave_candles)()
