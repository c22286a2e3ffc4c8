"""Backtests as a queue of rows: requests from Kafka or from a person, each answered once, its result kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.messages import BacktestRequest, BacktestResult
from alpharay.bus.topics import BACKTEST_RESULTS
from alpharay.store import lease_queue
from alpharay.store.lease_queue import LEASE_S, Lease, LeaseQueue
from alpharay.store.outbox import add_to_outbox

BACKTESTS = LeaseQueue("backtests", "request_id")

_END = """
UPDATE backtests r SET
    status = ended.status, result = ended.result::jsonb, error = ended.error, finished_at = now(),
    lease_owner = NULL, lease_until = NULL
FROM unnest(%(keys)s::text[], %(epochs)s::bigint[], %(statuses)s::text[], %(results)s::text[], %(errors)s::text[])
    AS ended (key, epoch, status, result, error)
WHERE r.request_id = ended.key AND r.lease_epoch = ended.epoch AND r.lease_owner = %(owner)s AND r.status = 'RUNNING'
RETURNING r.request_id
"""


@dataclass(frozen=True, slots=True)
class ClaimedBacktest:
    """A backtest that the lease's owner may run until the lease ends."""

    lease: Lease
    request: BacktestRequest


@dataclass(frozen=True, slots=True)
class BacktestEnding:
    """What came of a claimed backtest: its result (`alpharay.backtest.summary.backtest_json`), or why there is none."""

    claimed: ClaimedBacktest
    result: Mapping[str, Any] | None
    error: str | None = None

    @property
    def status(self) -> str:
        """DONE or FAILED."""
        return "FAILED" if self.result is None else "DONE"


@dataclass(frozen=True, slots=True)
class BacktestState:
    """A backtest as it stands: `status` is QUEUED, RUNNING, DONE, FAILED or CANCELLED."""

    request: BacktestRequest
    status: str
    attempts: int
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


def enqueue_backtest(connection: Connection[TupleRow], request: BacktestRequest, *, priority: int = 0) -> bool:
    """Queue a backtest; False when its `request_id` is known, and then nothing changes."""
    return lease_queue.enqueue(connection, BACKTESTS, request.request_id, request, priority=priority)


def claim_backtests(
    connection: Connection[TupleRow],
    owner: str,
    *,
    limit: int,
    lease_s: float = LEASE_S,
    held: Collection[tuple[str, str]] = (),
) -> list[ClaimedBacktest]:
    """Claim at most `limit` backtests of one data set; see `alpharay.store.lease_queue.claim`."""
    claims = lease_queue.claim(connection, BACKTESTS, owner, limit=limit, lease_s=lease_s, held=held)
    return [_claimed(claim) for claim in claims]


def claim_backtest(
    connection: Connection[TupleRow], owner: str, request_id: str, *, lease_s: float = LEASE_S
) -> ClaimedBacktest | None:
    """Claim one backtest by its id; None when another worker has it or it has ended."""
    claim = lease_queue.claim_one(connection, BACKTESTS, owner, request_id, lease_s=lease_s)
    return None if claim is None else _claimed(claim)


def end_backtests(connection: Connection[TupleRow], endings: Sequence[BacktestEnding]) -> set[str]:
    """Store what came of backtests of one owner and tell it on Kafka; return the ids of those it still held.

    Of one that another worker has claimed since, or that was cancelled, nothing is written.
    """
    if not endings:
        return set()
    leases = [ending.claimed.lease for ending in endings]
    rows = connection.execute(
        _END,
        {
            "keys": [lease.key for lease in leases],
            "epochs": [lease.epoch for lease in leases],
            "owner": leases[0].owner,
            "statuses": [ending.status for ending in endings],
            "results": [
                None if ending.result is None else msgspec.json.encode(ending.result).decode() for ending in endings
            ],
            "errors": [ending.error for ending in endings],
        },
    )
    ended = {row[0] for row in rows}
    for ending in endings:
        if ending.claimed.lease.key in ended:
            _tell(connection, ending)
    return ended


def backtest_state(connection: Connection[TupleRow], request_id: str) -> BacktestState | None:
    """Return a backtest as it stands, or None when the id is unknown."""
    row = connection.execute(
        "SELECT request, status, attempts, result, error, created_at, finished_at FROM backtests WHERE request_id = %s",
        (request_id,),
    ).fetchone()
    return None if row is None else BacktestState(msgspec.convert(row[0], BacktestRequest), *row[1:])


def reopen_backtest(connection: Connection[TupleRow], request_id: str) -> bool:
    """Queue a backtest again that failed or was cancelled; False when it did not."""
    reopened = connection.execute(
        "UPDATE backtests SET status = 'QUEUED', attempts = 0, error = NULL, finished_at = NULL, "
        "queued_at = clock_timestamp() WHERE request_id = %s AND status IN ('FAILED', 'CANCELLED')",
        (request_id,),
    )
    return reopened.rowcount == 1


def _tell(connection: Connection[TupleRow], ending: BacktestEnding) -> None:
    request = ending.claimed.request
    add_to_outbox(
        connection,
        BACKTEST_RESULTS,
        BacktestResult(
            request_id=request.request_id,
            symbol=request.symbol,
            status=ending.status,
            metrics={} if ending.result is None else ending.result["metrics"],
            error=ending.error,
        ),
        # A backtest that was queued again after it had failed is told again.
        message_id=f"backtest/{request.request_id}/{ending.claimed.lease.epoch}",
        key=request.symbol,
        correlation_id=request.request_id,
    )


def _claimed(claim: lease_queue.Claim) -> ClaimedBacktest:
    return ClaimedBacktest(claim.lease, msgspec.convert(claim.request, BacktestRequest))
