"""Several markets on one time line: the union of their open times, each bar in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from alpharay.backtest.tables import PriceTables, day_ends
from alpharay.market.candles import FloatArray, IntArray
from alpharay.market.timeframe import DAY_MS, timeframe_ms


class PoolPrices(NamedTuple):
    """Candles of all markets, one after the other, as the compiled code takes them; a step is a place in time."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    first_bar: IntArray
    """(markets + 1): where each market's bars begin, and the end."""
    step_of: IntArray
    """The step of each bar."""
    bar_at: IntArray
    """(markets, steps): each market's newest bar at each step, -1 before its first."""
    step_time: IntArray
    """Open time of each step, UTC milliseconds."""
    day_ends: IntArray
    """The last step of each UTC day, as in `PriceTables`."""
    bar_ms: int


@dataclass(frozen=True, slots=True)
class PoolTables:
    """Price tables of several markets of one time frame, on one time line."""

    markets: tuple[PriceTables, ...]
    prices: PoolPrices

    def __len__(self) -> int:
        return len(self.prices.step_time)

    @property
    def years(self) -> float:
        """Calendar time from the first open to the last close, in years of 365 days."""
        times = self.prices.step_time
        return (int(times[-1] - times[0]) + self.prices.bar_ms) / (365.0 * DAY_MS) if len(times) else 0.0


def pool_tables(markets: Sequence[PriceTables]) -> PoolTables:
    """Lay markets on one time line; raises ValueError when there is none or their time frames differ."""
    if not markets:
        raise ValueError("markets of a pool must be at least one, was none")
    timeframes = sorted({tables.candles.timeframe for tables in markets})
    if len(timeframes) > 1:
        raise ValueError(f"markets of a pool must have one time frame, was {timeframes}: resample them first")
    candles = [tables.candles for tables in markets]
    step_time = np.unique(np.concatenate([one.open_time for one in candles]))
    first_bar = np.concatenate([[0], np.cumsum([len(one) for one in candles])]).astype(np.int64)
    newest = [np.searchsorted(one.open_time, step_time, side="right") - 1 for one in candles]
    bar_at = np.stack([np.where(bars < 0, -1, bars + start) for bars, start in zip(newest, first_bar, strict=False)])
    prices = PoolPrices(
        open=np.concatenate([one.open for one in candles]),
        high=np.concatenate([one.high for one in candles]),
        low=np.concatenate([one.low for one in candles]),
        close=np.concatenate([one.close for one in candles]),
        volume=np.concatenate([one.volume for one in candles]),
        first_bar=first_bar,
        step_of=np.concatenate([np.searchsorted(step_time, one.open_time) for one in candles]).astype(np.int64),
        bar_at=bar_at.astype(np.int64),
        step_time=step_time,
        day_ends=day_ends(step_time),
        bar_ms=timeframe_ms(timeframes[0]),
    )
    return PoolTables(tuple(markets), prices)
