"""Discovery runs as a queue: workers claim them with a lease, renew it, and finish each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.messages import DiscoveredStrategy, DiscoveryRequest
from alpharay.bus.topics import DISCOVERED_STRATEGIES
from alpharay.store import lease_queue
from alpharay.store.checkpoints import forget_checkpoint
from alpharay.store.lease_queue import LEASE_S, MAX_ATTEMPTS, Lease, LeaseLostError, LeaseQueue
from alpharay.store.outbox import add_to_outbox

RUNS = LeaseQueue("discovery_runs", "run_id")

__all__ = ["LEASE_S", "MAX_ATTEMPTS", "RUNS", "ClaimedRun", "LeaseLostError", "RunState"]


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that the lease's owner may work on until the lease ends."""

    lease: Lease
    request: DiscoveryRequest

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.lease.key

    @property
    def attempt(self) -> int:
        """Above one when a worker vanished with it before."""
        return self.lease.attempt


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as it stands: `status` is QUEUED, RUNNING, DONE, FAILED or CANCELLED."""

    run_id: str
    request: DiscoveryRequest
    status: str
    attempts: int
    slices: int
    """How often it has given way to others, to go on later from its checkpoint."""
    progress: Mapping[str, object] | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


def enqueue_run(connection: Connection[TupleRow], request: DiscoveryRequest, *, priority: int = 0) -> bool:
    """Queue a run; False when its `run_id` is known, and then nothing changes. Higher priorities go first."""
    return lease_queue.enqueue(connection, RUNS, request.run_id, request, priority=priority)


def claim_runs(
    connection: Connection[TupleRow],
    owner: str,
    *,
    limit: int,
    lease_s: float = LEASE_S,
    max_attempts: int = MAX_ATTEMPTS,
    held: Collection[tuple[str, str]] = (),
) -> list[ClaimedRun]:
    """Claim at most `limit` runs of one data set; see `alpharay.store.lease_queue.claim`."""
    claims = lease_queue.claim(
        connection, RUNS, owner, limit=limit, lease_s=lease_s, max_attempts=max_attempts, held=held
    )
    return [_claimed(claim) for claim in claims]


def claim_run(
    connection: Connection[TupleRow],
    owner: str,
    run_id: str,
    *,
    lease_s: float = LEASE_S,
    gone: Sequence[str] = (),
) -> ClaimedRun | None:
    """Claim one run by its id; None when another worker has it or it has ended.

    `gone` names owners that are known to be dead, whose leases need not be waited for.
    """
    claim = lease_queue.claim_one(connection, RUNS, owner, run_id, lease_s=lease_s, gone=gone)
    return None if claim is None else _claimed(claim)


def note_progress(connection: Connection[TupleRow], progress: Mapping[str, Mapping[str, object]]) -> None:
    """Store how far runs have come, by run id; only for people to look at."""
    connection.execute(
        "UPDATE discovery_runs r SET progress = told.progress::jsonb "
        "FROM unnest(%s::text[], %s::text[]) AS told (run_id, progress) "
        "WHERE r.run_id = told.run_id AND r.status = 'RUNNING'",
        (list(progress), [msgspec.json.encode(one).decode() for one in progress.values()]),
    )


def yield_runs(connection: Connection[TupleRow], runs: Sequence[ClaimedRun]) -> set[str]:
    """Put runs that have had their share of time at the end of the queue; return the ids of those still held."""
    given = lease_queue.give_back(connection, RUNS, [run.lease for run in runs])
    connection.execute("UPDATE discovery_runs SET slices = slices + 1 WHERE run_id = ANY(%s)", (list(given),))
    return given


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
    if progress is not None:
        note_progress(connection, {run.run_id: progress})
    lease_queue.end(connection, RUNS, run.lease, "DONE")
    forget_checkpoint(connection, run.run_id)
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
    lease_queue.end(connection, RUNS, run.lease, "FAILED", error=error)
    forget_checkpoint(connection, run.run_id)


def cancel_run(connection: Connection[TupleRow], run_id: str) -> bool:
    """Cancel a run that is not finished.

    Its worker notices at the next renewal. False when there is nothing to cancel.
    """
    cancelled = lease_queue.cancel(connection, RUNS, run_id)
    if cancelled:
        forget_checkpoint(connection, run_id)
    return cancelled


def reopen_run(connection: Connection[TupleRow], run_id: str) -> bool:
    """Queue a run again that failed or was cancelled; False when it did not."""
    reopened = connection.execute(
        "UPDATE discovery_runs SET status = 'QUEUED', attempts = 0, error = NULL, finished_at = NULL, "
        "queued_at = clock_timestamp() WHERE run_id = %s AND status IN ('FAILED', 'CANCELLED')",
        (run_id,),
    )
    return reopened.rowcount == 1


def withdraw_run(connection: Connection[TupleRow], run: ClaimedRun) -> bool:
    """Remove a run that nobody wants finished, as if it had not been asked for; False when it is another's."""
    held = (run.run_id, run.lease.owner, run.lease.epoch)
    mine = "run_id = %s AND lease_owner = %s AND lease_epoch = %s AND status = 'RUNNING'"
    if connection.execute(f"SELECT 1 FROM discovery_runs WHERE {mine} FOR UPDATE", held).fetchone() is None:
        return False
    forget_checkpoint(connection, run.run_id)
    connection.execute("DELETE FROM discovery_runs WHERE run_id = %s", (run.run_id,))
    return True


def owner_of(connection: Connection[TupleRow], run_id: str) -> str | None:
    """Return who holds a run now, or None."""
    row = connection.execute("SELECT lease_owner FROM discovery_runs WHERE run_id = %s", (run_id,)).fetchone()
    return None if row is None else row[0]


def run_state(connection: Connection[TupleRow], run_id: str) -> RunState | None:
    """Return a run as it stands, or None when the id is unknown."""
    row = connection.execute(
        "SELECT run_id, request, status, attempts, slices, progress, error, created_at, finished_at "
        "FROM discovery_runs WHERE run_id = %s",
        (run_id,),
    ).fetchone()
    if row is None:
        return None
    return RunState(row[0], msgspec.convert(row[1], DiscoveryRequest), *row[2:])


def _claimed(claim: lease_queue.Claim) -> ClaimedRun:
    return ClaimedRun(claim.lease, msgspec.convert(claim.request, DiscoveryRequest))
