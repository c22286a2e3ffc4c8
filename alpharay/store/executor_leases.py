"""One executor an account: it holds a lease whose epoch every transaction about an order checks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.store.lease_queue import LeaseLostError

LEASE_S = 30.0


@dataclass(frozen=True, slots=True)
class ExecutorLease:
    """The right of `owner` to execute an account's orders, until `lease_s` after its last transaction."""

    account_id: str
    owner: str
    epoch: int
    lease_s: float = LEASE_S


def take_lease(
    connection: Connection[TupleRow],
    account_id: str,
    owner: str,
    *,
    lease_s: float = LEASE_S,
    gone: Collection[str] = (),
) -> ExecutorLease | None:
    """Take an account's lease; None while somebody holds it, who may be this owner under an earlier epoch.

    `gone` names owners that are known to be dead, whose leases need not be waited for.
    """
    row = connection.execute(
        "INSERT INTO executor_leases AS held (account_id, owner, epoch, lease_until) "
        "VALUES (%(account)s, %(owner)s, 1, clock_timestamp() + make_interval(secs => %(lease_s)s)) "
        "ON CONFLICT (account_id) DO UPDATE SET "
        "owner = excluded.owner, epoch = held.epoch + 1, lease_until = excluded.lease_until "
        "WHERE held.lease_until < clock_timestamp() OR held.owner = ANY(%(gone)s) RETURNING epoch",
        {"account": account_id, "owner": owner, "lease_s": lease_s, "gone": list(gone)},
    ).fetchone()
    return None if row is None else ExecutorLease(account_id, owner, int(row[0]), lease_s)


def hold_lease(connection: Connection[TupleRow], lease: ExecutorLease) -> None:
    """Check a lease, extend it, and keep it from being taken until the transaction ends; raises LeaseLostError.

    One that has run out is lost, though nobody may have taken it: an executor that woke up late looks around first.
    """
    held = connection.execute(
        "UPDATE executor_leases SET lease_until = clock_timestamp() + make_interval(secs => %s) "
        "WHERE account_id = %s AND owner = %s AND epoch = %s AND lease_until >= clock_timestamp()",
        (lease.lease_s, lease.account_id, lease.owner, lease.epoch),
    )
    if held.rowcount == 0:
        raise LeaseLostError(f"epoch {lease.epoch} of the executor of account {lease.account_id} is over")


def give_up_lease(connection: Connection[TupleRow], lease: ExecutorLease) -> bool:
    """End a lease, so that the next executor need not wait; False when it is another's."""
    ended = connection.execute(
        "UPDATE executor_leases SET lease_until = '-infinity' WHERE account_id = %s AND owner = %s AND epoch = %s",
        (lease.account_id, lease.owner, lease.epoch),
    )
    return ended.rowcount == 1


def lease_owner(connection: Connection[TupleRow], account_id: str) -> str | None:
    """Return who took an account's lease last, or None when nobody ever has."""
    row = connection.execute("SELECT owner FROM executor_leases WHERE account_id = %s", (account_id,)).fetchone()
    return None if row is None else str(row[0])
