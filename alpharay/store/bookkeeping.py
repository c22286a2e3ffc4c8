"""Rows that only keep books on work that is over: deleted some time after it, in small batches.

Nothing that explains a trade or a verdict is among them: orders, fills, the ledger, strategies, their evidence,
validations, the alpha ledger, runs and their requests stay for ever. Signals end in `alpharay.store.signals`, models in
`alpharay.store.model_registry`, marks of equity in `alpharay.store.equity_marks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import Connection, sql
from psycopg.rows import TupleRow

DELETED_AT_ONCE = 10_000
LEAST_DAYS = 14
"""Kafka keeps its topics for 7 days, and ids must be known as long: nothing older can be delivered again."""


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of a table that end; `over` is true of those whose work was over before `%(days)s` days."""

    name: str
    table: str
    over: LiteralString


PUBLISHED_MESSAGES = Records(
    "published messages",
    "outbox",
    "published_at IS NOT NULL AND published_at < now() - make_interval(days => %(days)s)",
)
CONSUMED_IDS = Records("ids of messages", "consumed_messages", "consumed_at < now() - make_interval(days => %(days)s)")

# One is left where a run's workers vanished too often. A run that is queued again without its checkpoint begins anew.
CHECKPOINTS = Records(
    "checkpoints of ended runs",
    "discovery_checkpoints",
    "updated_at < now() - make_interval(days => %(days)s) AND NOT EXISTS (SELECT FROM discovery_runs r "
    "WHERE r.run_id = discovery_checkpoints.run_id AND r.status IN ('QUEUED', 'RUNNING'))",
)
BACKTESTS = Records(
    "backtests",
    "backtests",
    "status IN ('DONE', 'FAILED', 'CANCELLED') AND finished_at < now() - make_interval(days => %(days)s)",
)


def end_records(connection: Connection[TupleRow], records: Records, *, days: int, limit: int = DELETED_AT_ONCE) -> int:
    """Delete rows whose work was over before so many days, at most `limit`; return how many went."""
    statement = sql.SQL(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {over} "
        "LIMIT %(limit)s FOR UPDATE SKIP LOCKED))"
    ).format(table=sql.Identifier(records.table), over=sql.SQL(records.over))
    return connection.execute(statement, {"days": days, "limit": limit}).rowcount


def count_records(connection: Connection[TupleRow], records: Records, *, days: int) -> int:
    """Return how many rows `end_records` would delete, all in all."""
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(records.table), sql.SQL(records.over))
    row = connection.execute(statement, {"days": days}).fetchone()
    return 0 if row is None else int(row[0])
