"""One data set made ready for backtests."""

from __future__ import annotations

from dataclasses import dataclass

from alpharay.backtest.columns import ColumnSlab
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.market.candles import Candles

MEMORY_BUDGET = 192 * 1024 * 1024
"""Bytes for indicator columns; a batch's comparisons get as much again at most."""


@dataclass(frozen=True, slots=True)
class Market:
    """One data set ready for backtests: its price tables and the columns computed so far. Not for several threads."""

    tables: PriceTables
    columns: ColumnSlab

    @property
    def candles(self) -> Candles:
        """The candles under it."""
        return self.tables.candles


def open_market(candles: Candles, memory_budget: int = MEMORY_BUDGET) -> Market:
    """Prepare `candles` for backtests; raises ValueError when a price is not finite and positive."""
    return Market(price_tables(candles), ColumnSlab(len(candles), memory_budget))
