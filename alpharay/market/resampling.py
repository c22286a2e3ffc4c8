"""Coarser candles out of finer ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms


def resample(
    candles: Candles,
    timeframe: str,
    *,
    known_from_ms: int | None = None,
    known_until_ms: int | None = None,
) -> Candles:
    """Return the candles of the coarser `timeframe`.

    Each has the first open, the highest high, the lowest low, the last close and the summed volume. Target
    candles are aligned to the epoch, so `1d` is a UTC day. Only target candles that lie wholly inside the
    known time `[known_from_ms, known_until_ms)` are returned; the known time runs from the first candle's
    open to the last candle's close unless told. So a first or last target candle that the source covers in
    part is dropped: a caller who knows that no trade happened there says so with the two bounds. A target
    candle without a source candle has no row.

    Raises ValueError when `timeframe` is not a whole multiple of the source's.
    """
    source, target = timeframe_ms(candles.timeframe), timeframe_ms(timeframe)
    if target % source != 0:
        raise ValueError(f"timeframe must be a whole multiple of the candles' {candles.timeframe}, was {timeframe!r}")
    if len(candles) == 0:
        return replace(candles, timeframe=timeframe)
    known_from = int(candles.open_time[0]) if known_from_ms is None else known_from_ms
    known_until = int(candles.open_time[-1]) + source if known_until_ms is None else known_until_ms

    # Drop the partly known buckets first: what is left needs no case of its own.
    first_bucket = -(-known_from // target) * target
    end_bucket = known_until // target * target
    candles = candles.between(first_bucket, end_bucket)
    if len(candles) == 0:
        return replace(candles, timeframe=timeframe)

    bucket = candles.open_time // target
    starts = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
    last_rows = np.append(starts[1:], len(candles)) - 1
    return replace(
        candles,
        timeframe=timeframe,
        open_time=bucket[starts] * target,
        open=candles.open[starts],
        high=np.maximum.reduceat(candles.high, starts),
        low=np.minimum.reduceat(candles.low, starts),
        close=candles.close[last_rows],
        volume=np.add.reduceat(candles.volume, starts),
    )
