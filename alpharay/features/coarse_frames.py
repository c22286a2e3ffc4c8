"""The newest closed bar of a coarser time frame, as it was known at each candle's close."""

from __future__ import annotations

import numpy as np

from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.market.resampling import resample
from alpharay.market.timeframe import timeframe_ms, timeframe_of


def coarse_candles(candles: Candles, factor: int) -> Candles:
    """Return the closed candles of the time frame that is `factor` times as long; the same candles for 1."""
    if factor == 1:
        return candles
    return resample(candles, timeframe_of(factor * timeframe_ms(candles.timeframe)))


def newest_closed(candles: Candles, coarse: Candles) -> IntArray:
    """Return for each candle the row of the newest coarse candle that had closed when it closed; -1 for none."""
    closed_at = coarse.open_time + timeframe_ms(coarse.timeframe)
    known_at = candles.open_time + timeframe_ms(candles.timeframe)
    return np.searchsorted(closed_at, known_at, side="right") - 1


def at_rows(values: FloatArray, rows: IntArray) -> FloatArray:
    """Return `values` at `rows`; NaN where a row is -1."""
    found = np.full(len(rows), np.nan)
    known = rows >= 0
    found[known] = values[rows[known]]
    return found
