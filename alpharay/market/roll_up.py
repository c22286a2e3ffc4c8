"""Which larger candles change when smaller ones come: what is resampled again, and no more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alpharay.market.candles import IntArray
from alpharay.market.timeframe import timeframe_ms


class TimeRange(NamedTuple):
    """The time `[start_ms, end_ms)`, UTC ms."""

    start_ms: int
    end_ms: int


class StoredEnds(NamedTuple):
    """The open times (UTC, ms) of a market's oldest and newest candle."""

    oldest: int
    newest: int


def joined_ends(before: StoredEnds | None, open_times: IntArray) -> StoredEnds:
    """Return the ends when candles with these open times, at least one, have come to those that were there before."""
    first, last = int(open_times.min()), int(open_times.max())
    return (
        StoredEnds(first, last) if before is None else StoredEnds(min(before.oldest, first), max(before.newest, last))
    )


def changed_ranges(
    open_times: IntArray, timeframe: str, *, before: StoredEnds | None, known: TimeRange
) -> list[TimeRange]:
    """Return where the coarser `timeframe` may change when finer candles come at `open_times`: whole candles, in order.

    These are the ones that the finer candles lie in, and those at the ends of what was stored `before`: they were left
    out because they were known in part, and may be whole now. Only those that lie in the `known` time, as `resample`
    has it; neighbours are joined.
    """
    length = timeframe_ms(timeframe)
    looked_at = [open_times]
    if before is not None and open_times.min() < before.oldest:
        looked_at.append(np.array([before.oldest], dtype=np.int64))
    if before is not None and open_times.max() > before.newest:
        looked_at.append(np.array([before.newest], dtype=np.int64))
    candles = np.unique(np.concatenate(looked_at) // length)
    candles = candles[(candles * length >= known.start_ms) & ((candles + 1) * length <= known.end_ms)]
    if len(candles) == 0:
        return []
    runs = np.split(candles, np.flatnonzero(np.diff(candles) > 1) + 1)
    return [TimeRange(int(run[0]) * length, (int(run[-1]) + 1) * length) for run in runs]
