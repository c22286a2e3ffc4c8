"""Run the queued backtests: claim many of one data set, read its candles once, store all results together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.summary import backtest_json
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.bus.messages import BacktestRequest
from alpharay.store.backtest_requests import (
    requested_costs,
    requested_frictions,
    requested_parameters,
    requested_rules,
    requested_stops,
)
from alpharay.store.backtests import BACKTESTS, BacktestEnding, ClaimedBacktest, claim_backtests, end_backtests
from alpharay.store.candle_cache import MAX_BYTES, CandleCache
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.kept_candles import require_kept
from alpharay.store.lease_queue import CHARGE_S, LEASE_S, LeaseQueue, earliest_start, give_back, settle
from ray_jobs.lease_keeper import LeaseKeeper

BACKTESTS_A_CLAIM = 500
"""Requests of one data set that a worker takes in one call; each takes about a millisecond for 10,000 candles."""

STORE_EVERY_S = 1.0
"""Results are stored together, but not held back longer than this."""

SLICE_S = CHARGE_S
"""After this a claim makes room: what it has not begun goes back to the queue."""

POLL_S = 0.5

log = structlog.get_logger(__name__)

OnEnd = Callable[[BacktestEnding], None]


@dataclass(frozen=True, slots=True)
class BacktestQueue:
    """The queue of backtests, for `ray_jobs.work_queue.work_on`."""

    queue: LeaseQueue = BACKTESTS
    candle_bytes: int = MAX_BYTES
    """Memory that each worker may use for candles."""
    name: str = "backtest"

    def __call__(
        self, pool: DatabasePool, owner: str, tell: Callable[[str], None], stop: threading.Event, *, forever: bool
    ) -> int:
        """Run backtests until the queue is empty, or until `stop` is set; return how many were ended."""

        def on_end(ending: BacktestEnding) -> None:
            request = ending.claimed.request
            tell(f"{request.request_id} {request.symbol} {request.strategy_name}: {ending_text(ending)}")

        return work_backtests(
            pool, owner, on_end=on_end, forever=forever, stop=stop, cache=CandleCache(self.candle_bytes)
        )


def work_backtests(
    pool: DatabasePool,
    owner: str,
    *,
    on_end: OnEnd = lambda _: None,
    forever: bool = False,
    stop: threading.Event | None = None,
    lease_s: float = LEASE_S,
    slice_s: float = SLICE_S,
    cache: CandleCache | None = None,
) -> int:
    """Run queued backtests until none is left (`forever`: until `stop` is set) and return how many were ended.

    `on_end` is told of each whose end is stored. One whose worker died is claimed again when its lease ends.
    """
    stop = stop or threading.Event()
    cache = cache or CandleCache()
    ended = 0
    while not stop.is_set():
        claimed = in_transaction(
            pool,
            lambda connection: claim_backtests(
                connection, owner, limit=BACKTESTS_A_CLAIM, lease_s=lease_s, held=cache.symbols
            ),
        )
        if claimed:
            ended += _work_claim(pool, claimed, cache, on_end, lease_s, slice_s, stop)
        elif not forever:
            break
        else:
            stop.wait(POLL_S)
    return ended


def run_backtest(pool: DatabasePool, claimed: ClaimedBacktest) -> BacktestEnding:
    """Run one claimed backtest and store its end; for a person who waits for it."""
    with LeaseKeeper(pool, BACKTESTS, [claimed.lease], LEASE_S):
        ending = _Runner(pool, CandleCache()).run(claimed)
        in_transaction(pool, lambda connection: end_backtests(connection, [ending]))
    return ending


def ending_text(ending: BacktestEnding) -> str:
    """Return what came of a backtest, in a few words."""
    if ending.result is None:
        return f"failed: {ending.error}"
    metrics = ending.result["metrics"]
    sharpe = metrics["sharpe"]
    return (
        f"return {metrics['total_return']:+.1%}, Sharpe {'infinite' if sharpe is None else format(sharpe, '.2f')}, "
        f"{ending.result['trades']['count']} trades"
    )


def _work_claim(
    pool: DatabasePool,
    claimed: Sequence[ClaimedBacktest],
    cache: CandleCache,
    on_end: OnEnd,
    lease_s: float,
    slice_s: float,
    stop: threading.Event,
) -> int:
    started = stored_at = time.monotonic()
    runner = _Runner(pool, cache)
    endings: list[BacktestEnding] = []
    ended = 0

    def store() -> int:
        told = list(endings)
        endings.clear()
        kept = in_transaction(pool, lambda connection: end_backtests(connection, told))
        for ending in told:
            if ending.claimed.lease.key in kept:
                on_end(ending)
                keeper.drop(ending.claimed.lease)
        return len(kept)

    try:
        with LeaseKeeper(pool, BACKTESTS, [item.lease for item in claimed], lease_s) as keeper:
            for item in claimed:
                if not keeper.held([item.lease]):
                    continue
                # At least one, so that the queue always moves.
                endings.append(runner.run(item))
                if stop.is_set() or time.monotonic() - started > slice_s:
                    break
                if time.monotonic() - stored_at > STORE_EVERY_S:
                    ended += store()
                    stored_at = time.monotonic()
            ended += store()
    finally:
        # What was not begun, or not stored because of Ctrl-C; of what has ended nothing changes.
        _release(pool, claimed, time.monotonic() - started)
    return ended


def _release(pool: DatabasePool, claimed: Sequence[ClaimedBacktest], used_s: float) -> None:
    try:
        with pool.connection() as connection:
            give_back(connection, BACKTESTS, [item.lease for item in claimed])
            settle(connection, BACKTESTS, claimed[0].lease, used_s)
    except (psycopg.Error, PoolTimeout) as error:
        log.warning("backtests.not_given_back", rows=len(claimed), error=str(error))


class _Runner:
    """Runs backtests of one claim; those of one window share its price tables."""

    def __init__(self, pool: DatabasePool, cache: CandleCache) -> None:
        self._pool = pool
        self._cache = cache
        self._window: tuple[Market, int, int] | None = None
        self._tables: PriceTables | None = None

    def run(self, claimed: ClaimedBacktest) -> BacktestEnding:
        """Return what comes of a backtest; an error of the request is its end, not the worker's."""
        request = claimed.request
        try:
            strategy = requested_rules(request)
            parameters = requested_parameters(request, strategy)
            costs, stops, frictions = requested_costs(request), requested_stops(request), requested_frictions(request)
            tables = self._tables_of(request)
            result = backtest_strategy(strategy, parameters, tables, costs=costs, stops=stops, frictions=frictions)
        except (ValueError, LookupError) as error:
            return BacktestEnding(claimed, None, str(error.args[0] if error.args else error))
        return BacktestEnding(claimed, backtest_json(result, tables.candles.open_time))

    def _tables_of(self, request: BacktestRequest) -> PriceTables:
        market = Market(request.exchange, request.symbol, request.timeframe)
        window = (market, request.start_time, request.end_time)
        if self._tables is None or window != self._window:
            with self._pool.connection() as connection:
                require_kept(connection, market, request.start_time)
                longest = earliest_start(connection, BACKTESTS, *market, request.end_time)
                candles = self._cache.window(
                    connection, market, request.start_time, request.end_time, longest_from_ms=longest
                )
            if len(candles) < 2:
                raise ValueError(
                    f"a backtest needs at least 2 candles, {len(candles)} of {request.exchange} {request.symbol} "
                    f"{request.timeframe} are stored in its window: ingest them, then ask again"
                )
            self._tables, self._window = price_tables(candles), window
        return self._tables
