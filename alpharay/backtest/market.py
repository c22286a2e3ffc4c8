"""One data set made ready for backtests."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from alpharay.backtest.columns import ColumnSlab
from alpharay.backtest.costs import Costs
from alpharay.backtest.holdings import StopSearch
from alpharay.backtest.stops import Stops
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.backtest.walk import stop_search_of
from alpharay.market.candles import Candles

MEMORY_BUDGET = 192 * 1024 * 1024
"""Bytes for indicator columns; a batch's comparisons get as much again at most."""

STOP_SEARCHES = 4
"""Settings of stops that are remembered: a search keeps to one."""


@dataclass(frozen=True, slots=True)
class Market:
    """One data set ready for backtests: its price tables and the columns computed so far. Not for several threads."""

    tables: PriceTables
    columns: ColumnSlab
    stop_searches: OrderedDict[tuple[Stops, Costs, bool], StopSearch] = field(default_factory=OrderedDict)

    @property
    def candles(self) -> Candles:
        """The candles under it."""
        return self.tables.candles

    def stop_search(self, stops: Stops, costs: Costs, *, both_sides: bool) -> StopSearch:
        """Return what a walk needs to find these stops, worked out once."""
        key = (stops, costs, both_sides)
        if key not in self.stop_searches:
            self.stop_searches[key] = stop_search_of(stops, self.candles, costs, both_sides=both_sides)
            if len(self.stop_searches) > STOP_SEARCHES:
                self.stop_searches.popitem(last=False)
        return self.stop_searches[key]


def open_market(candles: Candles, memory_budget: int = MEMORY_BUDGET) -> Market:
    """Prepare `candles` for backtests; raises ValueError when a price is not finite and positive."""
    return Market(price_tables(candles), ColumnSlab(len(candles), memory_budget))
