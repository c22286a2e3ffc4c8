"""Periods without a candle: find them, and say what to do about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from alpharay.market.candles import Candles, IntArray
from alpharay.market.timeframe import timeframe_ms

GapPolicy = Literal["keep", "fill", "error"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing candles: those that would open in `[start_ms, end_ms)` (UTC, ms)."""

    start_ms: int
    end_ms: int

    def candles(self, timeframe: str) -> int:
        """Return how many candles are missing."""
        return (self.end_ms - self.start_ms) // timeframe_ms(timeframe)


class GapError(ValueError):
    """Candles are missing where the policy allows none."""


def find_gaps(open_time: IntArray, timeframe: str, start_ms: int, end_ms: int) -> tuple[Gap, ...]:
    """Return the gaps among the candles that should open in `[start_ms, end_ms)`, oldest first.

    `open_time` is in increasing order; what lies outside the range does not count. An open time inside a
    period counts for that period, so a candle that is not aligned makes no gap.
    """
    length = timeframe_ms(timeframe)
    first, end = -(-start_ms // length), -(-end_ms // length)
    if first >= end:
        return ()
    period = np.asarray(open_time, dtype=np.int64) // length
    period = period[(period >= first) & (period < end)]
    # A sentinel on both sides makes the range's borders ordinary neighbours.
    edges = np.concatenate(([first - 1], period, [end]))
    before = np.flatnonzero(np.diff(edges) > 1)
    return tuple(Gap((int(edges[row]) + 1) * length, int(edges[row + 1]) * length) for row in before)


def apply_gap_policy(candles: Candles, policy: GapPolicy) -> Candles:
    """Return the candles with their inner gaps treated as `policy` says.

    `keep` leaves them; `fill` puts a flat candle at the previous close with volume 0 into every missing
    period; `error` raises GapError. Before the first candle and after the last there is no gap.
    """
    if policy not in get_args(GapPolicy):
        raise ValueError(f"gap policy must be one of {', '.join(get_args(GapPolicy))}, was {policy!r}")
    if policy == "keep" or len(candles) < 2:
        return candles
    length = timeframe_ms(candles.timeframe)
    periods = np.diff(candles.open_time) // length
    if bool(np.all(periods <= 1)):
        return candles
    if policy == "error":
        row = int(np.argmax(periods > 1))
        missing = int(np.sum(np.maximum(periods - 1, 0)))
        raise GapError(
            f"{candles.symbol} {candles.timeframe} lacks {missing} candles; the first would open at "
            f"{int(candles.open_time[row]) + length} ms UTC; fetch them, or choose the policy keep or fill"
        )
    return _filled(candles, np.append(np.maximum(periods, 1), 1), length)


def _filled(candles: Candles, repeats: IntArray, length: int) -> Candles:
    """Return the candles with row i followed by `repeats[i] - 1` flat ones at its close."""
    source = np.repeat(np.arange(len(candles)), repeats)
    starts = np.cumsum(repeats) - repeats
    step = np.arange(len(source)) - starts[source]
    made = step > 0
    close = candles.close[source]
    return replace(
        candles,
        open_time=candles.open_time[source] + step * length,
        open=np.where(made, close, candles.open[source]),
        high=np.where(made, close, candles.high[source]),
        low=np.where(made, close, candles.low[source]),
        close=close,
        volume=np.where(made, 0.0, candles.volume[source]),
    )
