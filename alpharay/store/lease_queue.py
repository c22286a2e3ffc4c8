"""A table of requests as a queue: workers claim rows of one data set with a lease, renew it, and end each row once.

Claims are fair between symbols: the one that was given the least worker time has its turn. A claim is fenced by its
`epoch`, which grows with every claim: what a late worker writes finds another epoch and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.store.database import DatabasePool

MAX_ATTEMPTS = 3
LEASE_S = 60.0

CHARGE_S = 5.0
"""A claim costs its symbol so many worker seconds until `settle` says what it took; a claim that dies costs them."""

LEAD_S = 30.0
"""How far a symbol may be served before its turn, by workers that hold its candles or because it was idle, in seconds
of worker time."""

# Both kinds of open row that a worker may take.
_CLAIMABLE = "(r.status = 'QUEUED' OR (r.status = 'RUNNING' AND r.lease_until < now()))"

_FAIL_EXHAUSTED = """
UPDATE {table} SET
    status = 'FAILED', finished_at = now(), lease_owner = NULL,
    error = 'the worker vanished ' || attempts || ' times; see its log, then queue the request under a new id'
WHERE status = 'RUNNING' AND lease_until < now() AND attempts >= %s
"""

# The symbols with open rows, in the order of their turns.
_TURNS = """
SELECT o.exchange, o.symbol
FROM (
    SELECT exchange, symbol, max(priority) AS priority FROM {table} r WHERE {claimable} GROUP BY exchange, symbol
) o
LEFT JOIN served_symbols s ON s.queue = %(queue)s AND s.exchange = o.exchange AND s.symbol = o.symbol
ORDER BY o.priority DESC,
         coalesce(s.served_s, '-infinity')
         - CASE WHEN o.exchange || ' ' || o.symbol = ANY(%(held)s::text[]) THEN %(lead_s)s ELSE 0 END,
         o.exchange, o.symbol
"""

# SKIP LOCKED: workers that claim at the same time each get other rows, and none waits. A row whose worker vanished may
# be what killed it, so it is taken alone.
_CLAIM = """
WITH head AS (
    SELECT r.{key} AS key, r.timeframe, r.end_time, r.priority, r.attempts, r.request ->> 'start_time' AS start_time
    FROM {table} r
    WHERE r.exchange = %(exchange)s AND r.symbol = %(symbol)s AND {claimable}
    ORDER BY r.priority DESC, r.queued_at, r.{key}
    LIMIT 1 FOR UPDATE SKIP LOCKED
), mates AS (
    SELECT r.{key} AS key
    FROM {table} r JOIN head h USING (timeframe, end_time, priority)
    WHERE r.exchange = %(exchange)s AND r.symbol = %(symbol)s AND {claimable}
      AND r.{key} <> h.key AND r.attempts = 0 AND h.attempts = 0
    ORDER BY r.request ->> 'start_time' = h.start_time DESC, r.queued_at, r.{key}
    LIMIT %(mates)s FOR UPDATE OF r SKIP LOCKED
)
UPDATE {table} r SET
    status = 'RUNNING', lease_owner = %(owner)s, attempts = r.attempts + 1, lease_epoch = r.lease_epoch + 1,
    lease_until = now() + make_interval(secs => %(lease_s)s), started_at = coalesce(r.started_at, now())
FROM (SELECT key FROM head UNION ALL SELECT key FROM mates) chosen
WHERE r.{key} = chosen.key
RETURNING r.{key}, r.request, r.lease_epoch, r.attempts, r.exchange, r.symbol, r.queued_at
"""

_CLAIM_ONE = """
UPDATE {table} SET
    status = 'RUNNING', lease_owner = %(owner)s, attempts = attempts + 1, lease_epoch = lease_epoch + 1,
    lease_until = now() + make_interval(secs => %(lease_s)s), started_at = coalesce(started_at, now())
WHERE {key} = (
    SELECT {key} FROM {table} r
    WHERE {key} = %(wanted)s AND ({claimable} OR (r.status = 'RUNNING' AND r.lease_owner = ANY(%(gone)s)))
    FOR UPDATE SKIP LOCKED
)
RETURNING {key}, request, lease_epoch, attempts, exchange, symbol, queued_at
"""

# Who was idle, or is new, is at most a lead behind the least served of the others that have open work.
_CHARGE = """
INSERT INTO served_symbols AS s (queue, exchange, symbol, served_s)
SELECT %(queue)s, %(exchange)s, %(symbol)s, coalesce(least_served, 0) + %(charge_s)s
FROM (
    SELECT min(o.served_s) AS least_served FROM served_symbols o
    WHERE o.queue = %(queue)s AND (o.exchange, o.symbol) <> (%(exchange)s, %(symbol)s) AND EXISTS (
        SELECT 1 FROM {table} r
        WHERE r.exchange = o.exchange AND r.symbol = o.symbol AND r.status IN ('QUEUED', 'RUNNING')
    )
) others
ON CONFLICT (queue, exchange, symbol) DO UPDATE SET
    served_s = greatest(s.served_s, excluded.served_s - %(charge_s)s - %(lead_s)s) + %(charge_s)s
"""

_RENEW = """
UPDATE {table} r SET lease_until = now() + make_interval(secs => %(lease_s)s)
FROM unnest(%(keys)s::text[], %(epochs)s::bigint[]) AS held (key, epoch)
WHERE r.{key} = held.key AND r.lease_epoch = held.epoch AND r.lease_owner = %(owner)s AND r.status = 'RUNNING'
RETURNING r.{key}
"""

_GIVE_BACK = """
UPDATE {table} r SET
    status = 'QUEUED', lease_owner = NULL, lease_until = NULL, attempts = r.attempts - 1,
    queued_at = clock_timestamp()
FROM unnest(%(keys)s::text[], %(epochs)s::bigint[]) AS held (key, epoch)
WHERE r.{key} = held.key AND r.lease_epoch = held.epoch AND r.lease_owner = %(owner)s AND r.status = 'RUNNING'
RETURNING r.{key}
"""

_END = """
UPDATE {table} SET status = %(status)s, error = %(error)s, finished_at = now(), lease_owner = NULL, lease_until = NULL
WHERE {key} = %(wanted)s AND lease_owner = %(owner)s AND lease_epoch = %(epoch)s AND status = 'RUNNING'
"""


class LeaseLostError(RuntimeError):
    """The row was given to another worker, finished or cancelled.

    What this worker has found must be dropped.
    """


@dataclass(frozen=True, slots=True)
class LeaseQueue:
    """A table with the columns of a queue (see the migration 0002) and the name of its key."""

    table: str
    key: str

    def statement(self, text: str) -> sql.Composed:
        """Return a statement about this table."""
        names = {"table": sql.Identifier(self.table), "key": sql.Identifier(self.key)}
        return sql.SQL(text).format(**names, claimable=sql.SQL(_CLAIMABLE))


@dataclass(frozen=True, slots=True)
class Lease:
    """A row that `owner` may work on until its lease ends."""

    key: str
    owner: str
    epoch: int
    """Grows with every claim of the row."""
    attempt: int
    """Claims that were not given back: above one, a worker vanished with the row before."""
    exchange: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased row and its request, as JSON values."""

    lease: Lease
    request: dict[str, Any]


def enqueue(
    connection: Connection[TupleRow], queue: LeaseQueue, key: str, request: msgspec.Struct, *, priority: int = 0
) -> bool:
    """Add a row; False when its key is known, and then nothing changes. Higher priorities go first."""
    added = connection.execute(
        queue.statement(
            "INSERT INTO {table} ({key}, request, priority, queued_at) VALUES (%s, %s::jsonb, %s, clock_timestamp()) "
            "ON CONFLICT DO NOTHING"
        ),
        (key, msgspec.json.encode(request).decode(), priority),
    )
    return added.rowcount == 1


def claim(
    connection: Connection[TupleRow],
    queue: LeaseQueue,
    owner: str,
    *,
    limit: int = 1,
    lease_s: float = LEASE_S,
    max_attempts: int = MAX_ATTEMPTS,
    held: Collection[tuple[str, str]] = (),
) -> list[Claim]:
    """Claim at most `limit` rows of one data set (market and window end); an empty list when none is open.

    The data set is that of the most urgent rows, of the symbol that was served least; among its rows, those of the
    oldest one's window go first. `held` names the (exchange, symbol) pairs whose candles this worker has in memory:
    they may be served a bounded time before their turn. A row whose lease ended `max_attempts` times kills its
    workers: it fails instead of being claimed again.
    """
    connection.execute(queue.statement(_FAIL_EXHAUSTED), (max_attempts,))
    turns = connection.execute(
        queue.statement(_TURNS),
        {"queue": queue.table, "lead_s": LEAD_S, "held": [f"{exchange} {symbol}" for exchange, symbol in held]},
    ).fetchall()
    for exchange, symbol in turns:
        asked = {"owner": owner, "lease_s": lease_s, "mates": limit - 1, "exchange": exchange, "symbol": symbol}
        rows = connection.execute(queue.statement(_CLAIM), asked).fetchall()
        # None: others have claimed all of this symbol's since.
        if rows:
            charge(connection, queue, exchange, symbol, CHARGE_S)
            return [_claim(row, owner) for row in sorted(rows, key=lambda row: (row[6], row[0]))]
    return []


def claim_one(
    connection: Connection[TupleRow],
    queue: LeaseQueue,
    owner: str,
    key: str,
    *,
    lease_s: float = LEASE_S,
    gone: Sequence[str] = (),
) -> Claim | None:
    """Claim one row by its key, outside of all turns; None when another worker has it or it has ended.

    `gone` names owners that are known to be dead, whose leases need not be waited for.
    """
    row = connection.execute(
        queue.statement(_CLAIM_ONE), {"owner": owner, "lease_s": lease_s, "wanted": key, "gone": list(gone)}
    ).fetchone()
    return None if row is None else _claim(row, owner)


def charge(connection: Connection[TupleRow], queue: LeaseQueue, exchange: str, symbol: str, seconds: float) -> None:
    """Count worker time for a symbol; negative to give back what was charged too much."""
    connection.execute(
        queue.statement(_CHARGE),
        {"queue": queue.table, "exchange": exchange, "symbol": symbol, "charge_s": seconds, "lead_s": LEAD_S},
    )


def settle(connection: Connection[TupleRow], queue: LeaseQueue, lease: Lease, used_s: float) -> None:
    """Replace the charge of the claim that `lease` is part of by the worker seconds that it took."""
    charge(connection, queue, lease.exchange, lease.symbol, used_s - CHARGE_S)


def renew(
    connection: Connection[TupleRow], queue: LeaseQueue, leases: Sequence[Lease], *, lease_s: float = LEASE_S
) -> set[str]:
    """Extend leases of one owner; return the keys of those that are still held."""
    return _of_held(connection, queue, _RENEW, leases, lease_s=lease_s)


def give_back(connection: Connection[TupleRow], queue: LeaseQueue, leases: Sequence[Lease]) -> set[str]:
    """Put rows at the end of the queue, as if they had not been claimed; return the keys of those still held."""
    return _of_held(connection, queue, _GIVE_BACK, leases)


def release_owners(connection: Connection[TupleRow], queue: LeaseQueue, prefix: str, *, but: str) -> int:
    """End the leases of owners that are known to be dead, so that their rows are claimed at once; return how many.

    They are those whose name begins with `prefix`, other than `but`.
    """
    released = connection.execute(
        queue.statement(
            "UPDATE {table} SET lease_until = now() - interval '1 ms' "
            "WHERE status = 'RUNNING' AND starts_with(lease_owner, %s) AND lease_owner <> %s"
        ),
        (prefix, but),
    )
    return released.rowcount


def end(
    connection: Connection[TupleRow], queue: LeaseQueue, lease: Lease, status: str, *, error: str | None = None
) -> None:
    """Mark a row DONE or FAILED; raises LeaseLostError, and then nothing may be committed."""
    ended = connection.execute(
        queue.statement(_END),
        {"status": status, "error": error, "wanted": lease.key, "owner": lease.owner, "epoch": lease.epoch},
    )
    require_lease(ended.rowcount, queue, lease)


def cancel(connection: Connection[TupleRow], queue: LeaseQueue, key: str) -> bool:
    """Cancel a row that is not finished.

    Its worker notices at the next renewal. False when there is nothing to cancel.
    """
    cancelled = connection.execute(
        queue.statement(
            "UPDATE {table} SET status = 'CANCELLED', finished_at = now(), lease_owner = NULL "
            "WHERE {key} = %s AND status IN ('QUEUED', 'RUNNING')"
        ),
        (key,),
    )
    return cancelled.rowcount == 1


def waiting(connection: Connection[TupleRow], queue: LeaseQueue, limit: int) -> int:
    """Return how many rows wait for a worker, counting no further than `limit`."""
    row = connection.execute(
        queue.statement("SELECT count(*) FROM (SELECT 1 FROM {table} WHERE status = 'QUEUED' LIMIT %s) AS found"),
        (limit,),
    ).fetchone()
    return 0 if row is None else int(row[0])


def earliest_start(
    connection: Connection[TupleRow], queue: LeaseQueue, exchange: str, symbol: str, timeframe: str, end_time: int
) -> int | None:
    """Return where the longest window begins that open rows ask for on one data set, UTC ms; None without rows."""
    row = connection.execute(
        queue.statement(
            "SELECT min((request ->> 'start_time')::bigint) FROM {table} WHERE exchange = %s AND symbol = %s "
            "AND timeframe = %s AND end_time = %s AND status IN ('QUEUED', 'RUNNING')"
        ),
        (exchange, symbol, timeframe, end_time),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


class RoomInQueue:
    """Tells whether more rows may be queued: no longer at `limit` waiting rows, again at four fifths of them.

    It is what stops the consumer of requests from filling a table faster than workers empty it.
    """

    def __init__(self, queue: LeaseQueue, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"the limit of waiting rows must be at least 1, was {limit}")
        self._queue = queue
        self._limit = limit
        self._open = True

    def __call__(self, pool: DatabasePool) -> bool:
        """Ask the database."""
        with pool.connection() as connection:
            rows = waiting(connection, self._queue, self._limit)
        self._open = rows < (self._limit if self._open else self._limit * 4 // 5)
        return self._open


def require_lease(rows: int, queue: LeaseQueue, lease: Lease) -> None:
    """Raise LeaseLostError unless one row was changed under the lease."""
    if rows != 1:
        raise LeaseLostError(
            f"{lease.key} in {queue.table} is no longer attempt {lease.attempt} (epoch {lease.epoch}) of "
            f"{lease.owner}: its lease ended and another worker has it, or it was cancelled"
        )


def _of_held(
    connection: Connection[TupleRow], queue: LeaseQueue, text: str, leases: Sequence[Lease], **values: Any
) -> set[str]:
    if not leases:
        return set()
    fields: Mapping[str, Any] = {
        **values,
        "keys": [lease.key for lease in leases],
        "epochs": [lease.epoch for lease in leases],
        "owner": leases[0].owner,
    }
    return {row[0] for row in connection.execute(queue.statement(text), fields)}


def _claim(row: TupleRow, owner: str) -> Claim:
    return Claim(Lease(row[0], owner, int(row[2]), int(row[3]), row[4], row[5]), row[1])
