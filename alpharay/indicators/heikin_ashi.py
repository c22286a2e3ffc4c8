"""Heikin-Ashi candles (Valcu, Stocks & Commodities, February 2004)."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator
from alpharay.market.candles import FloatArray


@indicator(inputs=("open", "high", "low", "close"), warm_up=lambda: 0)
def heikin_ashi_close(opening: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Return the mean of the four prices."""
    return ((opening + close) + (high + low)) / 4.0


@indicator(inputs=("open", "high", "low", "close"), warm_up=lambda: 0, memory="recursive")
def heikin_ashi_open(opening: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Return the middle of the previous Heikin-Ashi body; first, and after a NaN, (open + close) / 2."""
    return _open_of_bodies((opening + close) / 2.0, heikin_ashi_close(opening, high, low, close))


@kernel
def _open_of_bodies(middle: FloatArray, close: FloatArray) -> FloatArray:
    out = np.full(middle.shape[0], np.nan)
    following = np.nan
    for t in range(middle.shape[0]):
        if close[t] == close[t]:
            out[t] = following if following == following else middle[t]
        following = (out[t] + close[t]) / 2.0
    return out
