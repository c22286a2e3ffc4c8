"""Search strategies on several stored markets at once, with one account, and store what was found.

A pool's run keeps the account's figures. Its champions become strategies of each market on which they are candidates by
themselves, with their figures there: a stored strategy belongs to one market, where it is validated, scored and served.
Validation searches that market alone as often as the run did. What it must beat was chosen for this very market, so it
is too strict with a pool's parameters, never too kind.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import typer
from rich.console import Console

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.pooled import PoolLimits
from alpharay.bus.messages import DiscoveryPool, DiscoveryRequest
from alpharay.discovery.checkpoint import Checkpoint
from alpharay.discovery.pooled import PooledReport, discover_pooled
from alpharay.discovery.pooled_leaderboard import pooled_json, pooled_table
from alpharay.discovery.progress import DiscoveryProgress
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.settings import Settings
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles, newest_open_time
from alpharay.strategies.strategy import Strategy
from ray_jobs.direct_runs import DirectRuns, Outcome, checkpoint_keeper, followed, search_as_runs
from ray_jobs.discovery_messages import carried_rules, discovery_request
from ray_jobs.interruption import interruptions
from ray_jobs.market_discovery import discovery_pool, open_executor
from ray_jobs.request_search import found_in_pool
from ray_jobs.stored_market import find_market
from ray_jobs.stored_states import go_on


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


def discover_pool(
    current: Settings, asked: PooledDiscovery, console: Console, *, store: bool, as_json: bool
) -> list[PooledReport]:
    """Search the pool now, show what was found, store it and return it; Ctrl-C and the time budget keep what there is.

    Raises LookupError for a market without stored candles, ValueError where the pool cannot be searched.
    """
    candles = read_pool(current, asked)
    rows = ", ".join(f"{len(one):,} of {one.symbol}" for one in candles)
    console.print(f"candles of {asked.timeframe} read: {rows}")
    requests = pool_requests(asked, candles)
    if store:
        reports, outcomes = _search_and_store(current, asked, requests, candles, console)
    else:
        reports, outcomes = _search(current, asked, candles, console), []
    console.print(pooled_table(reports, a_search=1 if len(reports) > 1 else None))
    if store:
        console.print(
            f"{outcomes.count('stored')} runs stored, {outcomes.count('known')} were stored before; each champion is "
            "on its way as a strategy of every market where it is a candidate by itself, with its figures there"
        )
    if as_json:
        ids = [found_in_pool(*pair).request.run_id for pair in zip(requests, reports, strict=True)]
        searches = [{"run_id": run_id, **pooled_json(report)} for run_id, report in zip(ids, reports, strict=True)]
        typer.echo(json.dumps({"searches": searches}, indent=2))
    return reports


def pool_requests(asked: PooledDiscovery, candles: Sequence[Candles]) -> list[DiscoveryRequest]:
    """Return the request of each search of a pool, in the order in which `discover_pooled` reports them."""
    pool = DiscoveryPool(
        markets=tuple((one.exchange, one.symbol) for one in candles),
        max_positions=asked.limits.max_positions,
        position_share=asked.limits.fraction,
    )
    return [
        discovery_request(
            Market(candles[0].exchange, candles[0].symbol, asked.timeframe),
            start_time=min(int(one.open_time[0]) for one in candles),
            end_time=max(int(one.open_time[-1]) for one in candles) + timeframe_ms(asked.timeframe),
            strategy_name=strategy.name,
            settings=replace(asked.search, timeframes=(timeframe,)),
            costs=asked.costs,
            rules=carried_rules(strategy),
            frictions=asked.frictions,
            pool=pool,
        )
        for strategy in asked.strategies
        for timeframe in asked.search.timeframes or (asked.timeframe,)
    ]


def _search_and_store(
    current: Settings,
    asked: PooledDiscovery,
    requests: Sequence[DiscoveryRequest],
    candles: Sequence[Candles],
    console: Console,
) -> tuple[list[PooledReport], list[Outcome]]:
    """Search as runs of the store: killed in the middle, the same command goes on from where they are."""
    with discovery_pool(current) as pool:
        return search_as_runs(
            pool,
            requests,
            lambda runs, before: _search(current, asked, candles, console, runs=runs, before=before),
            found_in_pool,
            console.print,
        )


def _search(
    current: Settings,
    asked: PooledDiscovery,
    candles: Sequence[Candles],
    console: Console,
    *,
    runs: DirectRuns | None = None,
    before: Checkpoint | None = None,
) -> list[PooledReport]:
    with (
        open_executor(asked.workers, current) as executor,
        DiscoveryProgress([strategy.name for strategy in asked.strategies], console) as progress,
        interruptions() as interrupted,
    ):
        return go_on(
            before,
            lambda state: discover_pooled(
                asked.strategies,
                candles,
                asked.search,
                limits=asked.limits,
                frictions=asked.frictions,
                executor=executor,
                on_generation=followed(progress, runs, interrupted),
                costs=asked.costs,
                time_budget_s=asked.time_budget_s,
                resume=state,
                on_checkpoint=checkpoint_keeper(runs),
            ),
        )


def read_pool(current: Settings, asked: PooledDiscovery) -> Sequence[Candles]:
    """Read the candles of every market, all of one window that ends with the newest candle of any.

    Raises MarketMissingError naming a market without candles.
    """
    with discovery_pool(current) as pool, pool.connection() as connection:
        markets = [find_market(connection, symbol, asked.timeframe, asked.exchange) for symbol in asked.symbols]
        newest = [newest_open_time(connection, market) for market in markets]
        start_ms = None
        if asked.days is not None:
            start_ms = max(time for time in newest if time is not None) - asked.days * DAY_MS + 1
        return [load_candles(connection, market, start_ms=start_ms) for market in markets]
