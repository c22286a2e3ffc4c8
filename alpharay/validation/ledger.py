"""The alpha ledger: which candles of a market have been used as unseen ones, and what is left.

Candles are unseen once. A strategy that is judged on them may fail, and whatever is chosen after that look has been
chosen with their help. So an interval of a market is drawn by one validation, for ever, whatever the time frame: the
minutes and the days of one month are the same month. `alpharay.store.alpha_ledger` keeps the draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alpharay.market.candles import Candles, IntArray
from alpharay.market.timeframe import DAY_MS, timeframe_ms


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """Time from `start` to `end` (exclusive), UTC ms."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"start of an interval must be before its end {self.end}, was {self.start}")

    @property
    def days(self) -> float:
        """Its length in days."""
        return (self.end - self.start) / DAY_MS

    def overlaps(self, other: Interval) -> bool:
        """Tell whether the two share a moment."""
        return self.start < other.end and other.start < self.end


def unused(used: Iterable[Interval], within: Interval) -> list[Interval]:
    """Return what is left of `within`, oldest first."""
    left: list[Interval] = []
    at = within.start
    for interval in sorted(used):
        if interval.end <= at:
            continue
        if interval.start >= within.end:
            break
        if interval.start > at:
            left.append(Interval(at, interval.start))
        at = interval.end
    if at < within.end:
        left.append(Interval(at, within.end))
    return left


def interval_of(candles: Candles) -> Interval:
    """Return the time that `candles`, at least one, cover."""
    return Interval(int(candles.open_time[0]), int(candles.open_time[-1]) + timeframe_ms(candles.timeframe))


def shortest_enough(
    left: Sequence[Interval], exit_times: IntArray, *, days: float, trades: int, timeframe: str
) -> Interval | None:
    """Return the shortest beginning of an interval with enough days and enough trades inside, or None.

    `exit_times` are the open times (UTC ms, sorted) of the candles in which trades end, as far as they are known; how
    they ended plays no part. What is not needed stays unseen. The first interval that has enough is taken.
    """
    length = timeframe_ms(timeframe)
    for interval in left:
        inside = exit_times[(exit_times >= interval.start) & (exit_times < interval.end)]
        if len(inside) < trades:
            continue
        end = max(int(inside[trades - 1]) + length if trades else interval.start, interval.start + int(days * DAY_MS))
        # Whole candles: what begins in an interval also ends there.
        end = -(-end // length) * length
        if end <= interval.end:
            return Interval(interval.start, end)
    return None
