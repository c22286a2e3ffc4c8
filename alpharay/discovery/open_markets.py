"""Markets kept open between searches: one on candles that were searched before finds their columns computed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields

from alpharay.backtest.market import MEMORY_BUDGET, Market, open_market
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.fingerprint import fingerprint

COLUMNS_SHARE = 4
"""A worker's columns get a fourth of its memory: comparisons, candles, tables and what a batch needs take the rest."""


def column_bytes(worker_memory_mb: int) -> int:
    """Return what of a worker's memory its indicator columns may take: one data set's at least."""
    return max(worker_memory_mb * 1024 * 1024 // COLUMNS_SHARE, MEMORY_BUDGET)


class OpenMarkets:
    """The markets that were opened last, in at most `most_bytes` of columns, tables and candles.

    One that is opened may grow to its whole budget, so others make room for that before. Candles are told by their
    values: corrected ones are other candles. Not for several threads.
    """

    def __init__(self, most_bytes: int = 2 * MEMORY_BUDGET) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Market] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def open(self, candles: Candles, memory_budget: int = MEMORY_BUDGET) -> Market:
        """Return `candles` ready for backtests, with the columns that earlier searches have computed.

        `memory_budget` is that of the columns, where the market is not open yet. Raises ValueError as `open_market`.
        """
        key = fingerprint(candles)
        market = self._kept.pop(key, None)
        others = sum(map(market_bytes, self._kept.values()))
        while self._kept and others + memory_budget > self._most_bytes:
            _, dropped = self._kept.popitem(last=False)
            others -= market_bytes(dropped)
            # Before the next is opened: its columns take over the memory of these.
            del dropped
        if market is None:
            market = open_market(candles, memory_budget)
        self._kept[key] = market
        return market


def market_bytes(market: Market) -> int:
    """Return the memory that an open market has used so far."""
    tables, candles = market.tables, market.candles
    arrays = [getattr(tables, field.name) for field in fields(tables) if field.name != "candles"]
    arrays += [getattr(candles, name) for name in ("open_time", *VALUE_COLUMNS)]
    return market.columns.used_bytes + sum(int(array.nbytes) for array in arrays)
