"""Search the queued runs: claim them with a lease, keep it while they are searched, finish each once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.evaluation import Executor
from alpharay.discovery.search import DiscoveryReport, Generation, discover_all
from alpharay.store.candles import load_candles
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.runs import LEASE_S, ClaimedRun, LeaseLostError, claim_run, fail_run, finish_run
from ray_jobs.discovery_messages import champion_messages, requested_strategy, run_progress, search_settings
from ray_jobs.lease_keeper import LeaseKeeper
from ray_jobs.market_discovery import search_request

RUNS_A_CLAIM = 16
"""Runs of one market, window and settings are searched side by side, at most so many."""

POLL_S = 1.0


def work_queue(
    pool: DatabasePool,
    executor: Executor,
    owner: str,
    *,
    on_run: Callable[[ClaimedRun, str], None],
    on_generation: Callable[[Generation], None] = lambda _: None,
    forever: bool = False,
    stop: threading.Event | None = None,
    lease_s: float = LEASE_S,
) -> int:
    """Search queued runs until none is left (`forever`: until `stop` is set) and return how many were ended.

    `on_run` is told how each run ended. A run whose worker died is claimed again when its lease ends, and
    gives the same champions. KeyboardInterrupt leaves the runs in hand to their leases: another worker begins
    them anew.
    """
    stop = stop or threading.Event()
    ended = 0
    while not stop.is_set():
        runs = _claim(pool, owner, lease_s)
        if not runs:
            if not forever:
                break
            stop.wait(POLL_S)
            continue
        with LeaseKeeper(pool, runs, lease_s) as keeper:
            for group in _groups(runs):
                ended += _search_group(pool, executor, group, keeper, on_run, on_generation)
    return ended


def _claim(pool: DatabasePool, owner: str, lease_s: float) -> list[ClaimedRun]:
    runs: list[ClaimedRun] = []
    while len(runs) < RUNS_A_CLAIM:
        run = in_transaction(pool, lambda connection: claim_run(connection, owner, lease_s=lease_s))
        if run is None:
            break
        runs.append(run)
        if run.attempt > 1:
            break
    return runs


def _groups(runs: Sequence[ClaimedRun]) -> list[list[ClaimedRun]]:
    """Return runs that differ in their strategy only together.

    One that was begun before is alone: it may be what killed its worker.
    """
    groups: dict[object, list[ClaimedRun]] = {}
    for run in runs:
        alike: object = msgspec.structs.replace(run.request, run_id="", strategy_name="", strategy=None)
        groups.setdefault(run.run_id if run.attempt > 1 else alike, []).append(run)
    return list(groups.values())


def _search_group(
    pool: DatabasePool,
    executor: Executor,
    group: Sequence[ClaimedRun],
    keeper: LeaseKeeper,
    on_run: Callable[[ClaimedRun, str], None],
    on_generation: Callable[[Generation], None],
) -> int:
    """Search one group, and return how many of its runs were ended here, DONE or FAILED."""

    def watched(generation: Generation) -> None:
        if not keeper.holds_any(group):
            raise LeaseLostError("all runs of the group were cancelled or given to another worker")
        keeper.note(generation)
        on_generation(generation)

    endings: list[tuple[ClaimedRun, str, Callable[[Connection[TupleRow]], None]]] = []
    try:
        reports = search_runs(pool, executor, [run.request for run in group], watched)
    except LeaseLostError:
        return 0
    except (ValueError, LookupError) as error:
        if len(group) > 1:
            # It may be the fault of one of them: each is searched alone, and fails or does not.
            return sum(_search_group(pool, executor, [run], keeper, on_run, on_generation) for run in group)
        reason = str(error.args[0] if error.args else error)
        endings = [(run, f"failed: {reason}", partial(fail_run, run=run, error=reason)) for run in group]
    else:
        if any(report.stop_reason == "interrupted" for report in reports):
            raise KeyboardInterrupt
        for run, report in zip(group, reports, strict=True):
            found = champion_messages(run.request, report)
            text = f"{len(found)} champions of {report.evaluations:,} backtests"
            progress = run_progress(report)
            endings.append((run, text, partial(finish_run, run=run, champions=found, progress=progress)))
    ended = 0
    for run, text, end in endings:
        try:
            in_transaction(pool, end)
        except LeaseLostError as error:
            on_run(run, str(error))
        else:
            on_run(run, text)
            ended += 1
        keeper.drop(run)
    return ended


def search_runs(
    pool: DatabasePool,
    executor: Executor,
    requests: Sequence[DiscoveryRequest],
    on_generation: Callable[[Generation], None],
) -> list[DiscoveryReport]:
    """Search requests that differ in their strategy only; raises ValueError or LookupError when that cannot be done."""
    market, costs = search_request(requests[0])
    strategies = [requested_strategy(request) for request in requests]
    with pool.connection() as connection:
        candles = load_candles(connection, market, start_ms=requests[0].start_time, end_ms=requests[0].end_time)
    settings = search_settings(requests[0])
    return discover_all(strategies, candles, settings, executor=executor, on_generation=on_generation, costs=costs)
