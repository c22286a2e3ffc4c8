"""Discovery runs as a queue of rows: workers claim one with a lease, renew it, and finish it once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.messages import DiscoveredStrategy, DiscoveryRequest
from alpharay.bus.topics import DISCOVERED_STRATEGIES
from alpharay.store.outbox import add_to_outbox

MAX_ATTEMPTS = 3
LEASE_S = 60.0

_FAIL_EXHAUSTED = """
UPDATE discovery_runs SET
    status = 'FAILED', finished_at = now(), lease_owner = NULL,
    error = 'the worker vanished ' || attempts || ' times; see its log, then queue the run under a new id'
WHERE status = 'RUNNING' AND lease_until < now() AND attempts >= %s
"""

# SKIP LOCKED: workers that claim at the same time each get another run, and none waits.
_CLAIM = """
UPDATE discovery_runs SET
    status = 'RUNNING', lease_owner = %(owner)s, attempts = attempts + 1,
    lease_until = now() + make_interval(secs => %(lease_s)s), started_at = coalesce(started_at, now())
WHERE run_id = (
    SELECT run_id FROM discovery_runs
    WHERE (status = 'QUEUED' OR (status = 'RUNNING' AND lease_until < now()))
      AND (%(run_id)s::text IS NULL OR run_id = %(run_id)s)
    ORDER BY priority DESC, created_at
    FOR UPDATE SKIP LOCKED LIMIT 1
)
RETURNING run_id, request, attempts, progress
"""


class LeaseLostError(RuntimeError):
    """The run was given to another worker, finished or cancelled.

    What this worker has found must be dropped.
    """


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that `owner` may work on until the lease ends.

    `attempt` counts the claims, so a late owner is told apart.
    """

    run_id: str
    request: DiscoveryRequest
    owner: str
    attempt: int
    progress: Mapping[str, object] | None
    """What the attempt before had last reported, to resume from."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as it stands: `status` is QUEUED, RUNNING, DONE, FAILED or CANCELLED."""

    run_id: str
    request: DiscoveryRequest
    status: str
    attempts: int
    progress: Mapping[str, object] | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


def enqueue_run(connection: Connection[TupleRow], request: DiscoveryRequest, *, priority: int = 0) -> bool:
    """Queue a run; False when its `run_id` is known, and then nothing changes. Higher priorities go first."""
    added = connection.execute(
        "INSERT INTO discovery_runs (run_id, request, priority) VALUES (%s, %s::jsonb, %s) ON CONFLICT DO NOTHING",
        (request.run_id, msgspec.json.encode(request).decode(), priority),
    )
    return added.rowcount == 1


def claim_run(
    connection: Connection[TupleRow],
    owner: str,
    *,
    lease_s: float = LEASE_S,
    max_attempts: int = MAX_ATTEMPTS,
    run_id: str | None = None,
) -> ClaimedRun | None:
    """Claim the most urgent, then oldest run that is queued or whose lease ended; None when there is none.

    `run_id` asks for one run only. A run whose lease ended `max_attempts` times kills its workers: it fails
    instead of being claimed again.
    """
    connection.execute(_FAIL_EXHAUSTED, (max_attempts,))
    row = connection.execute(_CLAIM, {"owner": owner, "lease_s": lease_s, "run_id": run_id}).fetchone()
    if row is None:
        return None
    return ClaimedRun(row[0], msgspec.convert(row[1], DiscoveryRequest), owner, int(row[2]), row[3])


def renew_lease(
    connection: Connection[TupleRow],
    run: ClaimedRun,
    *,
    lease_s: float = LEASE_S,
    progress: Mapping[str, object] | None = None,
) -> None:
    """Extend the lease and store the progress, if given.

    Raises LeaseLostError when the run is no longer this worker's.
    """
    renewed = connection.execute(
        "UPDATE discovery_runs SET lease_until = now() + make_interval(secs => %s), "
        "progress = coalesce(%s::jsonb, progress) "
        "WHERE run_id = %s AND lease_owner = %s AND attempts = %s AND status = 'RUNNING'",
        (lease_s, _json(progress), run.run_id, run.owner, run.attempt),
    )
    _require_lease(renewed.rowcount, run)


def finish_run(
    connection: Connection[TupleRow],
    run: ClaimedRun,
    champions: Sequence[DiscoveredStrategy],
    *,
    progress: Mapping[str, object] | None = None,
    correlation_id: str | None = None,
) -> None:
    """Mark the run DONE and put its champions into the outbox, in the connection's transaction.

    Raises LeaseLostError, and then nothing may be committed: another worker finishes the run.
    """
    _end(connection, run, "DONE", error=None, progress=progress)
    for champion in champions:
        add_to_outbox(
            connection,
            DISCOVERED_STRATEGIES,
            champion
            if champion.objective is not None
            else msgspec.structs.replace(champion, objective=run.request.objective),
            message_id=champion.message_id,
            key=champion.symbol,
            correlation_id=correlation_id or run.run_id,
        )


def fail_run(connection: Connection[TupleRow], run: ClaimedRun, error: str) -> None:
    """Mark the run FAILED for good, with the reason; raises LeaseLostError."""
    _end(connection, run, "FAILED", error=error, progress=None)


def cancel_run(connection: Connection[TupleRow], run_id: str) -> bool:
    """Cancel a run that is not finished.

    Its worker notices at the next renewal. False when there is nothing to cancel.
    """
    cancelled = connection.execute(
        "UPDATE discovery_runs SET status = 'CANCELLED', finished_at = now(), lease_owner = NULL "
        "WHERE run_id = %s AND status IN ('QUEUED', 'RUNNING')",
        (run_id,),
    )
    return cancelled.rowcount == 1


def run_state(connection: Connection[TupleRow], run_id: str) -> RunState | None:
    """Return a run as it stands, or None when the id is unknown."""
    row = connection.execute(
        "SELECT run_id, request, status, attempts, progress, error, created_at, finished_at "
        "FROM discovery_runs WHERE run_id = %s",
        (run_id,),
    ).fetchone()
    if row is None:
        return None
    return RunState(row[0], msgspec.convert(row[1], DiscoveryRequest), *row[2:])


def _end(
    connection: Connection[TupleRow],
    run: ClaimedRun,
    status: str,
    *,
    error: str | None,
    progress: Mapping[str, object] | None,
) -> None:
    ended = connection.execute(
        "UPDATE discovery_runs SET status = %s, error = %s, progress = coalesce(%s::jsonb, progress), "
        "finished_at = now(), lease_owner = NULL, lease_until = NULL "
        "WHERE run_id = %s AND lease_owner = %s AND attempts = %s AND status = 'RUNNING'",
        (status, error, _json(progress), run.run_id, run.owner, run.attempt),
    )
    _require_lease(ended.rowcount, run)


def _require_lease(rows: int, run: ClaimedRun) -> None:
    if rows != 1:
        raise LeaseLostError(
            f"run {run.run_id} is no longer attempt {run.attempt} of {run.owner}: "
            "its lease ended and another worker has it, or it was cancelled"
        )


def _json(value: Mapping[str, object] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
