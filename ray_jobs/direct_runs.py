"""Searches that a person has asked for now, as runs: what is killed can be gone on with, by anyone.

A direct search holds its runs like a worker of the queue does. When its process is killed, the same command goes on
from the checkpoints at once, and a worker of the queue does when the leases have ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeVar

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.checkpoint import Checkpoint
from alpharay.discovery.report import Generation
from alpharay.store.checkpoints import StoredCheckpoint, load_checkpoints, save_checkpoints
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.runs import (
    LEASE_S,
    RUNS,
    ClaimedRun,
    claim_run,
    enqueue_run,
    finish_run,
    note_progress,
    owner_of,
    reopen_run,
    withdraw_run,
)
from ray_jobs.discovery_messages import generation_progress, searched_timeframe
from ray_jobs.lease_keeper import LeaseKeeper
from ray_jobs.lease_owner import is_gone, owner_name
from ray_jobs.queued_discovery import CHECKPOINT_S
from ray_jobs.request_search import Found
from ray_jobs.stored_states import ContentOf, contents_of_search, stored_search

Outcome = Literal["stored", "known"]
Report = TypeVar("Report")

log = structlog.get_logger(__name__)


class DirectRuns(AbstractContextManager["DirectRuns"]):
    """The runs of one direct search; use it in a `with`, and call `store` with what was found.

    A run that is done, or that another process is searching now, is left to it: the search here gives the same
    champions, and they are not stored twice.
    """

    def __init__(self, pool: DatabasePool, requests: Sequence[DiscoveryRequest], *, lease_s: float = LEASE_S) -> None:
        self._pool = pool
        self._progress: dict[str, dict[str, object]] = {}
        self._requests = {_search_of(request): request for request in requests}
        self._runs = {
            _search_of(run.request): run
            for request in requests
            if (run := in_transaction(pool, lambda connection, request=request: _claim(connection, request, lease_s)))  # type: ignore[misc]
        }
        leases = [run.lease for run in self._runs.values()]
        self._keeper = LeaseKeeper(pool, RUNS, leases, lease_s, lambda held: note_progress(held, dict(self._progress)))
        self._saved_at = time.monotonic()

    def __enter__(self) -> DirectRuns:
        self._keeper.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._keeper.__exit__(None, None, None)

    @property
    def stored(self) -> dict[str, StoredCheckpoint]:
        """What an earlier process that was killed has left of these runs, by run id."""
        with self._pool.connection() as connection:
            return load_checkpoints(connection, [run.run_id for run in self._runs.values()])

    def save(self, content_of: ContentOf) -> None:
        """Store how far the searches are, but not more often than every `CHECKPOINT_S`.

        While the database cannot be reached the search goes on without.
        """
        if time.monotonic() - self._saved_at < CHECKPOINT_S:
            return
        content = [
            (run.lease, content_of(run.request)) for run in self._runs.values() if self._keeper.held([run.lease])
        ]
        try:
            with self._pool.connection() as connection:
                save_checkpoints(connection, content)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("discovery.checkpoint_not_stored", runs=len(content), error=str(error))
        self._saved_at = time.monotonic()

    def note(self, generation: Generation) -> None:
        """Take a generation as the progress of its run."""
        run = self._runs.get((generation.strategy_name, generation.timeframe))
        if run is not None:
            self._progress[run.run_id] = generation_progress(generation)

    def store(self, found: Sequence[Found]) -> list[Outcome]:
        """Store each search as a finished run with its champions in the outbox; tell which were known before."""
        return [in_transaction(self._pool, self._storing(item)) for item in found]

    def withdraw(self) -> None:
        """Remove the runs, which have found nothing to store."""
        for run in self._runs.values():
            in_transaction(self._pool, lambda connection, run=run: withdraw_run(connection, run))  # type: ignore[misc]

    def _storing(self, found: Found) -> Callable[[Connection[TupleRow]], Outcome]:
        request = found.request
        run = self._runs.get(_search_of(request))

        def store(connection: Connection[TupleRow]) -> Outcome:
            done = run
            if run is None or run.run_id != request.run_id:
                # Cut short: it is a shorter search, with an id of its own.
                if run is not None:
                    withdraw_run(connection, run)
                if not found.generations or not enqueue_run(connection, request):
                    return "known"
                done = claim_run(connection, owner_name(), request.run_id)
            assert done is not None, "a run that this transaction has queued can be claimed"
            finish_run(connection, done, found.messages, progress=found.progress)
            return "stored"

        return store


def search_as_runs(
    pool: DatabasePool,
    requests: Sequence[DiscoveryRequest],
    search: Callable[[DirectRuns, Checkpoint | None], list[Report]],
    found: Callable[[DiscoveryRequest, Report], Found],
    tell: Callable[[str], None],
) -> tuple[list[Report], list[Outcome]]:
    """Search as runs of the store, from where an earlier process was killed, and store what was found.

    `search` gets the runs and that state, and reports in the order of the requests; `found` makes of a request and its
    report what is stored.
    """
    with DirectRuns(pool, requests) as runs:
        before = stored_search(runs.stored)
        if before is not None:
            tell(f"going on with {len(before.searches)} searches that were cut off")
        reports = search(runs, before)
        return reports, runs.store([found(*pair) for pair in zip(requests, reports, strict=True)])


def followed(
    progress: Callable[[Generation], None], runs: DirectRuns | None, interrupted: threading.Event
) -> Callable[[Generation], None]:
    """Return what is told of each generation: the display, and its run where there is one.

    It raises KeyboardInterrupt after the generation in which `interrupted` was set: what was raised then is lost.
    """

    def tell(generation: Generation) -> None:
        progress(generation)
        if runs is not None:
            runs.note(generation)
        if interrupted.is_set():
            raise KeyboardInterrupt

    return tell


def checkpoint_keeper(runs: DirectRuns | None) -> Callable[[Checkpoint], None] | None:
    """Return what keeps a search's state in its runs; None without runs."""
    return None if runs is None else lambda checkpoint: runs.save(contents_of_search(checkpoint))


def _search_of(request: DiscoveryRequest) -> tuple[str, str]:
    return request.strategy_name, searched_timeframe(request)


def _claim(connection: Connection[TupleRow], request: DiscoveryRequest, lease_s: float) -> ClaimedRun | None:
    if not enqueue_run(connection, request):
        # Whoever asks for it by name again wants it, whatever became of it before.
        reopen_run(connection, request.run_id)
    owner = owner_of(connection, request.run_id)
    gone = [owner] if owner is not None and is_gone(owner) else []
    return claim_run(connection, owner_name(), request.run_id, lease_s=lease_s, gone=gone)
