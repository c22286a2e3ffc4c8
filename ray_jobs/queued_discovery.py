"""Search the queued runs: claim those of one data set, keep their leases, store how far they are, finish each once.

A claim has a slice of time. When it is over and other runs wait, its runs go to the end of the queue with their
checkpoints, so that a long one holds no short one up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.backtest.market import MEMORY_BUDGET
from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.evaluation import Executor, SerialExecutor
from alpharay.discovery.open_markets import OpenMarkets
from alpharay.discovery.report import Generation
from alpharay.market.candles import Candles
from alpharay.store.candle_cache import MAX_BYTES, CandleCache
from alpharay.store.candle_rows import Market
from alpharay.store.checkpoints import load_checkpoints, save_checkpoints
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.kept_candles import require_kept
from alpharay.store.lease_queue import CHARGE_S, LeaseQueue, earliest_start, settle, waiting
from alpharay.store.runs import (
    LEASE_S,
    RUNS,
    ClaimedRun,
    LeaseLostError,
    claim_runs,
    fail_run,
    finish_run,
    note_progress,
    yield_runs,
)
from ray_jobs.discovery_messages import generation_progress
from ray_jobs.lease_keeper import LeaseKeeper
from ray_jobs.request_search import Course, Found, requested_markets, search_requests
from ray_jobs.stored_states import ContentOf

RUNS_A_CLAIM = 64
"""Runs of one data set, at most so many at a time: all strategies of the catalogue on one window."""

SLICE_S = CHARGE_S
"""Time that a claim has before its runs make room for others that wait."""

CHECKPOINT_S = 1.0
"""A search is stored after each round, but not more often than this: a shorter one is sooner done again."""

POLL_S = 1.0

log = structlog.get_logger(__name__)

OnRun = Callable[[ClaimedRun, str], None]
OnGeneration = Callable[[Generation], None]
Ending = tuple[ClaimedRun, str, Callable[[Connection[TupleRow]], None]]
"""A run, how it ended in words, and what writes it down."""


class _SliceOver(Exception):  # noqa: N818 - not an error: the way out of a search that makes room
    """The runs are stored as far as they are; others have their turn."""


@dataclass(slots=True)
class _Slice:
    """The time of one claim; it grows while no other run waits, and ends when the worker is asked to stop."""

    pool: DatabasePool
    seconds: float
    stop: threading.Event
    ends_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.ends_at = time.monotonic() + self.seconds

    def is_over(self) -> bool:
        """Tell whether others wait and the time has passed, or the worker shall stop."""
        if self.stop.is_set():
            return True
        if time.monotonic() < self.ends_at:
            return False
        try:
            with self.pool.connection() as connection:
                if waiting(connection, RUNS, 1):
                    return True
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("discovery.queue_not_seen", error=str(error))
        self.ends_at = time.monotonic() + self.seconds
        return False


@dataclass(frozen=True, slots=True)
class SearchQueue:
    """The queue of discovery runs, for `ray_jobs.work_queue.work_on`; each worker searches whole runs by itself."""

    queue: LeaseQueue = RUNS
    candle_bytes: int = MAX_BYTES
    """Memory that each worker may use for candles."""
    column_bytes: int = 2 * MEMORY_BUDGET
    """Memory that each worker may use for columns; 0 keeps none between two claims."""
    name: str = "discovery"

    def __call__(
        self, pool: DatabasePool, owner: str, tell: Callable[[str], None], stop: threading.Event, *, forever: bool
    ) -> int:
        """Search until the queue is empty, or until `stop` is set; return how many runs were ended."""

        def on_run(run: ClaimedRun, text: str) -> None:
            tell(f"{run.run_id} {run.request.symbol} {run.request.strategy_name}: {text}")

        return work_queue(
            pool,
            SerialExecutor(),
            owner,
            on_run=on_run,
            forever=forever,
            stop=stop,
            cache=CandleCache(self.candle_bytes),
            markets=OpenMarkets(self.column_bytes) if self.column_bytes else None,
        )


def work_queue(
    pool: DatabasePool,
    executor: Executor,
    owner: str,
    *,
    on_run: OnRun,
    on_generation: OnGeneration = lambda _: None,
    forever: bool = False,
    stop: threading.Event | None = None,
    lease_s: float = LEASE_S,
    slice_s: float = SLICE_S,
    checkpoint_s: float = CHECKPOINT_S,
    cache: CandleCache | None = None,
    markets: OpenMarkets | None = None,
) -> int:
    """Search queued runs until none is left (`forever`: until `stop` is set) and return how many were ended.

    `on_run` is told how each run ended. A run whose worker died is claimed again when its lease ends, goes on from
    its checkpoint and gives the same champions. KeyboardInterrupt gives the runs in hand back to the queue. `markets`
    keeps the columns of one claim for the next.
    """
    stop = stop or threading.Event()
    cache = cache or CandleCache()
    ended = 0
    while not stop.is_set():
        runs = in_transaction(
            pool,
            lambda connection: claim_runs(connection, owner, limit=RUNS_A_CLAIM, lease_s=lease_s, held=cache.symbols),
        )
        if not runs:
            if not forever:
                break
            stop.wait(POLL_S)
            continue
        slice_ = _Slice(pool, slice_s, stop)
        worker = _ClaimWorker(
            pool, executor, runs, cache, markets, on_run, on_generation, slice_, checkpoint_s, lease_s
        )
        ended += worker.work()
    return ended


class _ClaimWorker:
    """Searches the runs of one claim."""

    def __init__(
        self,
        pool: DatabasePool,
        executor: Executor,
        runs: Sequence[ClaimedRun],
        cache: CandleCache,
        markets: OpenMarkets | None,
        on_run: OnRun,
        on_generation: OnGeneration,
        slice_: _Slice,
        checkpoint_s: float,
        lease_s: float,
    ) -> None:
        self._pool = pool
        self._executor = executor
        self._runs = list(runs)
        self._cache = cache
        self._markets = markets
        self._on_run = on_run
        self._on_generation = on_generation
        self._checkpoint_s = checkpoint_s
        self._slice = slice_
        self._progress: dict[str, dict[str, object]] = {}
        self._keeper = LeaseKeeper(pool, RUNS, [run.lease for run in runs], lease_s, self._note_progress)

    def work(self) -> int:
        """Search until all runs have ended or the slice is over; return how many ended, DONE or FAILED."""
        started = time.monotonic()
        ended = 0
        try:
            with self._keeper:
                for group in _groups(self._runs):
                    ended += self._search(group)
                    if self._slice.is_over():
                        break
            self._yield()
        except _SliceOver:
            self._yield()
        except KeyboardInterrupt:
            self._yield()
            raise
        finally:
            used_s = (time.monotonic() - started) * self._executor.workers
            in_transaction(self._pool, lambda connection: settle(connection, RUNS, self._runs[0].lease, used_s))
        return ended

    def _yield(self) -> None:
        """Put what has not ended at the end of the queue."""
        in_transaction(self._pool, lambda connection: yield_runs(connection, self._runs))

    def _search(self, group: Sequence[ClaimedRun]) -> int:
        try:
            found = self._search_together(group)
        except LeaseLostError:
            return 0
        except (ValueError, LookupError) as error:
            if len(group) > 1:
                # It may be the fault of one of them: each is searched alone, and fails or does not.
                return sum(self._search([run]) for run in group)
            reason = str(error.args[0] if error.args else error)
            return self._end([(run, f"failed: {reason}", partial(fail_run, run=run, error=reason)) for run in group])
        if any(item.stop_reason == "interrupted" for item in found):
            raise KeyboardInterrupt
        endings = []
        for run, item in zip(group, found, strict=True):
            end = partial(finish_run, run=run, champions=item.messages, progress=item.progress)
            endings.append((run, f"{len(item.messages)} champions of {item.evaluations:,} backtests", end))
        return self._end(endings)

    def _search_together(self, group: Sequence[ClaimedRun]) -> list[Found]:
        """Search runs that differ in their strategy only."""
        saver = _CheckpointSaver(self._pool, self._keeper, group, self._slice, self._checkpoint_s)

        def watched(generation: Generation) -> None:
            for run in group:
                if run.request.strategy_name == generation.strategy_name:
                    self._progress[run.run_id] = generation_progress(generation)
            self._on_generation(generation)

        requests = [run.request for run in group]
        with self._pool.connection() as connection:
            candles = [self._candles(connection, market, requests[0]) for market in requested_markets(requests[0])]
            stored = load_checkpoints(connection, [run.run_id for run in group])
        course = Course(
            executor=self._executor, on_generation=watched, on_state=saver, stored=stored, markets=self._markets
        )
        return search_requests(requests, candles, course)

    def _candles(self, connection: Connection[TupleRow], market: Market, request: DiscoveryRequest) -> Candles:
        require_kept(connection, market, request.start_time)
        return self._cache.window(
            connection,
            market,
            request.start_time,
            request.end_time,
            longest_from_ms=earliest_start(connection, RUNS, *market, request.end_time),
        )

    def _end(self, endings: Sequence[Ending]) -> int:
        """End runs in one transaction; what another worker has since is left to it."""

        def end_all(connection: Connection[TupleRow]) -> list[str]:
            told = []
            for _, _, end in endings:
                try:
                    with connection.transaction():
                        end(connection)
                except LeaseLostError as error:
                    told.append(str(error))
                else:
                    told.append("")
            return told

        lost = in_transaction(self._pool, end_all)
        for (run, text, _), reason in zip(endings, lost, strict=True):
            self._on_run(run, reason or text)
            self._keeper.drop(run.lease)
            self._progress.pop(run.run_id, None)
        return lost.count("")

    def _note_progress(self, connection: Connection[TupleRow]) -> None:
        note_progress(connection, dict(self._progress))


class _CheckpointSaver:
    """Stores how far searches are after each round, and ends them when their slice is over."""

    def __init__(
        self, pool: DatabasePool, keeper: LeaseKeeper, group: Sequence[ClaimedRun], slice_: _Slice, interval_s: float
    ) -> None:
        self._pool = pool
        self._keeper = keeper
        self._group = group
        self._slice = slice_
        self._interval_s = interval_s
        self._saved_at = time.monotonic()

    def __call__(self, content_of: ContentOf) -> None:
        held = self._keeper.held([run.lease for run in self._group])
        if not held:
            raise LeaseLostError("all runs of the group were cancelled or given to another worker")
        over = self._slice.is_over()
        if not over and time.monotonic() - self._saved_at < self._interval_s:
            return
        content = [(run.lease, content_of(run.request)) for run in self._group if run.lease in held]
        try:
            with self._pool.connection() as connection:
                save_checkpoints(connection, content)
        except (psycopg.Error, PoolTimeout) as error:
            # The search goes on without: what is lost is time, should its worker be killed now.
            log.warning("discovery.checkpoint_not_stored", runs=len(content), error=str(error))
            over = False
        self._saved_at = time.monotonic()
        if over:
            raise _SliceOver


def _groups(runs: Sequence[ClaimedRun]) -> list[list[ClaimedRun]]:
    """Return runs that differ in their strategy only together; those that carry rules of their own by these rules."""
    groups: dict[bytes, list[ClaimedRun]] = {}
    for run in runs:
        carried = run.request.strategy is not None
        alike = msgspec.structs.replace(
            run.request, run_id="", strategy_name=run.request.strategy_name if carried else ""
        )
        groups.setdefault(msgspec.json.encode(alike, order="sorted"), []).append(run)
    return list(groups.values())
