"""The time frames of a search: coarser candles of the same window, cut at the same moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alpharay.discovery.settings import SearchSettings
from alpharay.discovery.split import Split, split
from alpharay.market.candles import Candles
from alpharay.market.resampling import resample
from alpharay.market.timeframe import timeframe_ms

LEAST_TRAIN_CANDLES = 100
"""A coarser time frame needs so many candles to train on: fewer have no room for the indicators and ten trades."""


def timeframe_splits(candles: Candles, settings: SearchSettings) -> list[Split]:
    """Return the candles cut in two for each time frame of the settings; their own when there is none.

    Raises ValueError naming the first time frame that is no multiple of the candles', or leaves too few candles.
    """
    parts = split(candles, settings.train_fraction)
    found = []
    for timeframe in settings.timeframes or (candles.timeframe,):
        coarse = resampled_split(parts, timeframe, parts.train_end_time)
        check_train_rows(coarse, resampled=timeframe != candles.timeframe)
        found.append(coarse)
    return found


def check_train_rows(parts: Split, *, resampled: bool) -> None:
    """Raise ValueError when a split leaves too few candles to train on: 2, or more in a coarser time frame."""
    least = LEAST_TRAIN_CANDLES if resampled else 2
    if parts.at < least:
        candles = parts.candles
        raise ValueError(
            f"{candles.symbol} {candles.timeframe} has {parts.at} candles to train on, at least {least} are needed: "
            "leave the time frame out (see `long_enough`), or ask for a longer window"
        )


def long_enough(candles: Candles, timeframes: Sequence[str], train_fraction: float) -> tuple[str, ...]:
    """Return those of the time frames that leave enough candles to train on, in their order."""
    parts = split(candles, train_fraction)
    return tuple(
        timeframe
        for timeframe in timeframes
        if timeframe == candles.timeframe
        or resampled_split(parts, timeframe, parts.train_end_time).at >= LEAST_TRAIN_CANDLES
    )


def resampled_split(parts: Split, timeframe: str, cut: int) -> Split:
    """Return the split in a coarser time frame: it trains on the candles that had closed at `cut` (UTC, ms).

    A candle over the cut is unseen: it belongs to the test part.
    """
    if timeframe == parts.candles.timeframe:
        return parts
    coarse = resample(parts.candles, timeframe)
    return Split(coarse, int(np.searchsorted(coarse.open_time + timeframe_ms(timeframe), cut, "right")))
