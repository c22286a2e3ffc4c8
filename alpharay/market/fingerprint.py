"""What candles are, in one line."""

from __future__ import annotations

import hashlib

import numpy as np

from alpharay.market.candles import VALUE_COLUMNS, Candles


def fingerprint(candles: Candles) -> str:
    """Return what candles are, in words and as a hash of their values."""
    digest = hashlib.sha256()
    for name in ("open_time", *VALUE_COLUMNS):
        digest.update(np.ascontiguousarray(getattr(candles, name)).data)
    return f"{len(candles)} of {candles.exchange} {candles.symbol} {candles.timeframe}, {digest.hexdigest()[:16]}"
