"""What every backtest on the same candles shares: range tables of prices, prefix sums of returns, day ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.market.timeframe import DAY_MS, timeframe_ms

BLOCK_LEVELS = 7
"""Range tables over single bars reach 2^6 = 64 bars; longer ranges go over blocks of 64."""


@dataclass(frozen=True, slots=True)
class PriceTables:
    """Candles with what the kernel looks up in them. Build once per data set, share between all backtests."""

    candles: Candles
    close_ranges: FloatArray
    """(7, bars, 2): minimum and maximum close of the 2^k bars from each bar."""
    close_blocks: FloatArray
    """(levels, blocks, 2): the same over 2^k blocks of 64 bars."""
    return_sums: FloatArray
    """(bars + 1, 3): sums before each bar of close-to-close return, its square, its square where negative."""
    day_ends: IntArray
    """The last bar of each UTC day from the first to the last; a day without a candle repeats the bar before."""

    def __len__(self) -> int:
        return len(self.candles)

    @property
    def years(self) -> float:
        """Calendar time from the first open to the last close, in years of 365 days."""
        if len(self.candles) == 0:
            return 0.0
        span = int(self.candles.open_time[-1] - self.candles.open_time[0]) + timeframe_ms(self.candles.timeframe)
        return span / (365.0 * DAY_MS)


def price_tables(candles: Candles) -> PriceTables:
    """Build the tables of `candles`; raises ValueError when a price is not finite and positive."""
    for name in ("open", "high", "low", "close"):
        column = getattr(candles, name)
        bad = np.flatnonzero(~(np.isfinite(column) & (column > 0.0)))
        if len(bad):
            bar = int(bad[0])
            raise ValueError(
                f"{name} of candle {bar} (open_time {int(candles.open_time[bar])}) must be finite and positive, "
                f"was {column[bar]}"
            )
    close_ranges = _range_table(candles.close)
    return PriceTables(
        candles=candles,
        close_ranges=close_ranges,
        close_blocks=_block_table(close_ranges),
        return_sums=_return_sums(candles.close),
        day_ends=day_ends(candles.open_time),
    )


def day_ends(open_time: IntArray) -> IntArray:
    """Return the index of the last candle that opens on or before each UTC day from the first to the last."""
    if len(open_time) == 0:
        return np.empty(0, dtype=np.int64)
    first, last = int(open_time[0]) // DAY_MS, int(open_time[-1]) // DAY_MS
    next_midnights = np.arange(first + 1, last + 2, dtype=np.int64) * DAY_MS
    return np.searchsorted(open_time, next_midnights).astype(np.int64) - 1


@njit(cache=True)
def _range_table(close: FloatArray) -> FloatArray:
    bars = len(close)
    table = np.empty((BLOCK_LEVELS, bars, 2))
    for bar in range(bars):
        table[0, bar, 0] = close[bar]
        table[0, bar, 1] = close[bar]
    for level in range(1, BLOCK_LEVELS):
        half = 1 << (level - 1)
        for bar in range(bars):
            other = min(bar + half, bars - 1)
            table[level, bar, 0] = min(table[level - 1, bar, 0], table[level - 1, other, 0])
            table[level, bar, 1] = max(table[level - 1, bar, 1], table[level - 1, other, 1])
    return table


@njit(cache=True)
def _block_table(ranges: FloatArray) -> FloatArray:
    blocks = (ranges.shape[1] + 63) // 64
    levels = 1
    while (1 << levels) <= blocks:
        levels += 1
    table = np.empty((levels, blocks, 2))
    for block in range(blocks):
        table[0, block, 0] = ranges[BLOCK_LEVELS - 1, block * 64, 0]
        table[0, block, 1] = ranges[BLOCK_LEVELS - 1, block * 64, 1]
    for level in range(1, levels):
        half = 1 << (level - 1)
        for block in range(blocks):
            other = min(block + half, blocks - 1)
            table[level, block, 0] = min(table[level - 1, block, 0], table[level - 1, other, 0])
            table[level, block, 1] = max(table[level - 1, block, 1], table[level - 1, other, 1])
    return table


@njit(cache=True)
def _return_sums(close: FloatArray) -> FloatArray:
    sums = np.zeros((len(close) + 1, 3))
    for bar in range(len(close)):
        change = close[bar] / close[bar - 1] - 1.0 if bar > 0 else 0.0
        sums[bar + 1, 0] = sums[bar, 0] + change
        sums[bar + 1, 1] = sums[bar, 1] + change * change
        sums[bar + 1, 2] = sums[bar, 2] + (change * change if change < 0.0 else 0.0)
    return sums
