"""Search strategies on one market's stored candles, now, and store what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.checkpoint import Checkpoint
from alpharay.discovery.evaluation import Executor, SerialExecutor
from alpharay.discovery.search import DiscoveryReport, OnGeneration, SearchSettings, discover_all
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.settings import Settings
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles, newest_open_time
from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, DatabasePool, open_pool
from alpharay.strategies.strategy import Strategy
from ray_jobs.discovery_messages import carried_rules, discovery_request
from ray_jobs.stored_market import find_market
from ray_jobs.stored_states import go_on


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketDiscovery:
    """What to search: strategies on one stored market.

    `days` bounds the window, which ends with the newest candle; None takes all. `workers` is None for what
    suits the cluster, 0 for this process without Ray.
    """

    symbol: str
    timeframe: str
    exchange: str | None
    days: int | None
    strategies: tuple[Strategy, ...]
    search: SearchSettings
    costs: Costs
    frictions: Frictions | None = None
    workers: int | None
    time_budget_s: float | None


def read_market(settings: Settings, asked: MarketDiscovery) -> Candles:
    """Read the candles of the window, once; raises MarketMissingError when there are none."""
    with discovery_pool(settings) as pool, pool.connection() as connection:
        market = find_market(connection, asked.symbol, asked.timeframe, asked.exchange)
        return load_window(connection, market, asked.days)


def load_window(connection: Connection[TupleRow], market: Market, days: int | None) -> Candles:
    """Return the market's candles of the last `days` days before its newest candle, or all."""
    if days is None:
        return load_candles(connection, market)
    newest = newest_open_time(connection, market)
    return load_candles(connection, market, start_ms=None if newest is None else newest - days * DAY_MS + 1)


def search_market(
    asked: MarketDiscovery,
    candles: Candles,
    executor: Executor,
    on_generation: OnGeneration,
    *,
    resume: Checkpoint | None = None,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> list[DiscoveryReport]:
    """Search every strategy; Ctrl-C and the time budget keep what was found.

    A checkpoint of another configuration (its candles were corrected since, say) is not gone on from.
    """
    return go_on(
        resume,
        lambda state: discover_all(
            asked.strategies,
            candles,
            asked.search,
            executor=executor,
            on_generation=on_generation,
            costs=asked.costs,
            frictions=asked.frictions,
            time_budget_s=asked.time_budget_s,
            resume=state,
            on_checkpoint=on_checkpoint,
        ),
    )


def requests_for(asked: MarketDiscovery, candles: Candles) -> list[DiscoveryRequest]:
    """Return the request of each whole search on these candles, in the order in which `search_market` reports them."""
    return [
        discovery_request(
            Market(candles.exchange, candles.symbol, candles.timeframe),
            start_time=int(candles.open_time[0]),
            end_time=int(candles.open_time[-1]) + timeframe_ms(candles.timeframe),
            strategy_name=strategy.name,
            settings=replace(asked.search, timeframes=(timeframe,)),
            costs=asked.costs,
            rules=carried_rules(strategy),
            frictions=asked.frictions,
        )
        for strategy in asked.strategies
        for timeframe in asked.search.timeframes or (candles.timeframe,)
    ]


@contextmanager
def discovery_pool(settings: Settings) -> Iterator[DatabasePool]:
    """Open a small pool whose statements may take as long as reading a year of minutes."""
    with open_pool(
        settings.require("database_url"),
        application="discovery",
        max_connections=2,
        statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S,
    ) as pool:
        yield pool


@contextmanager
def open_executor(workers: int | None, settings: Settings) -> Iterator[Executor]:
    """Open the executor for a number of workers; 0 is this process, without Ray."""
    if workers == 0:
        yield SerialExecutor()
        return
    # Ray takes a second to import, which a search in this process need not wait for.
    from ray_jobs.backtest_worker import open_workers

    with open_workers(workers, settings) as executor:
        yield executor
