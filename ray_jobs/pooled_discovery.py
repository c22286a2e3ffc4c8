"""Search strategies on several stored markets at once, with one account; what is found is shown, not stored.

A stored strategy belongs to one market, where it is validated and served; a pool's parameters were chosen for an
account that shares its capital between several.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import typer
from rich.console import Console

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.pooled import PoolLimits
from alpharay.discovery.pooled import PooledReport, discover_pooled
from alpharay.discovery.pooled_leaderboard import pooled_json, pooled_table
from alpharay.discovery.progress import DiscoveryProgress
from alpharay.discovery.search import SearchSettings
from alpharay.market.candles import Candles
from alpharay.settings import Settings
from alpharay.strategies.strategy import Strategy
from ray_jobs.market_discovery import discovery_pool, load_window, open_executor
from ray_jobs.stored_market import find_market


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledDiscovery:
    """What to search: strategies on several stored markets of one time frame, with one account.

    The fields are those of `ray_jobs.market_discovery.MarketDiscovery`; the order of `symbols` is that of preference.
    """

    symbols: tuple[str, ...]
    timeframe: str
    exchange: str | None
    days: int | None
    strategies: tuple[Strategy, ...]
    search: SearchSettings
    limits: PoolLimits
    costs: Costs
    frictions: Frictions | None
    workers: int | None
    time_budget_s: float | None


def discover_pool(current: Settings, asked: PooledDiscovery, console: Console, *, as_json: bool) -> list[PooledReport]:
    """Search the pool now, show what was found and return it; Ctrl-C and the time budget keep what was found.

    Raises LookupError for a market without stored candles, ValueError where the pool cannot be searched.
    """
    candles = read_pool(current, asked)
    rows = ", ".join(f"{len(one):,} of {one.symbol}" for one in candles)
    console.print(f"candles of {asked.timeframe} read: {rows}")
    with (
        open_executor(asked.workers, current) as executor,
        DiscoveryProgress([strategy.name for strategy in asked.strategies], console) as progress,
    ):
        reports = discover_pooled(
            asked.strategies,
            candles,
            asked.search,
            limits=asked.limits,
            frictions=asked.frictions,
            executor=executor,
            on_generation=progress,
            costs=asked.costs,
            time_budget_s=asked.time_budget_s,
        )
    console.print(pooled_table(reports, a_search=1 if len(reports) > 1 else None))
    console.print("A pool's champions are not stored: a stored strategy belongs to one market.")
    if as_json:
        typer.echo(json.dumps({"searches": [pooled_json(report) for report in reports]}, indent=2))
    return reports


def read_pool(current: Settings, asked: PooledDiscovery) -> Sequence[Candles]:
    """Read the candles of every market, each up to its newest; raises MarketMissingError naming one without."""
    with discovery_pool(current) as pool, pool.connection() as connection:
        return [
            load_window(connection, find_market(connection, symbol, asked.timeframe, asked.exchange), asked.days)
            for symbol in asked.symbols
        ]
