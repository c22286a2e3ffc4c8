"""Months that leave `candles` whole: detached while others go on, then dropped; what was interrupted is finished."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import LiteralString

import numpy as np
import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.store.candle_partitions import PARTITION_LOCK, candle_partitions, ensure_partitions, months_of
from alpharay.store.candle_rows import COLUMNS
from alpharay.store.candle_tables import OF_MARKETS, divided, market_columns, run_within, table_bytes
from alpharay.store.kept_candles import KeptCandles

DETACH_PATIENCE_S = 300
"""So long a month's last readers are waited for (a back-up reads all of them); then the next run goes on."""

_ENDED = "ended by retention"
"""The comment on a table by which a later run knows that it was on its way out."""

_MOVE_BACK = """
INSERT INTO candles AS stored ({columns})
SELECT {columns} FROM {table}
WHERE {of_markets}
ORDER BY exchange, symbol, timeframe, open_time
ON CONFLICT (exchange, symbol, timeframe, open_time) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, revision = excluded.revision
WHERE stored.revision < excluded.revision
"""

_COMMENT = "SELECT obj_description(to_regclass(%s), 'pg_class')"

_LEFT_OVER = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'candles'::regclass)
  AND c.relkind = 'r' AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') = %s
ORDER BY c.relname
"""


def detach_partition(connection: Connection[TupleRow], name: str) -> bool:
    """Detach a partition while others go on reading and writing; needs autocommit.

    False when its last readers took longer than `DETACH_PATIENCE_S` (it is half detached then, and `finish_detaching`
    does the rest), when somebody is detaching another one, or when it is being vacuumed by hand.
    """
    try:
        _mark(connection, name, _ENDED)
        done = _patiently(connection, "ALTER TABLE candles DETACH PARTITION {} CONCURRENTLY", name)
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.LockNotAvailable):
        done = False
    if not done and name not in _half_detached(connection):
        with suppress(psycopg.errors.LockNotAvailable):
            _mark(connection, name, None)
    return done


def finish_detaching(connection: Connection[TupleRow]) -> bool:
    """Finish what an interrupted run has half detached; False when that is still being read. Needs autocommit."""
    return all(
        _patiently(connection, "ALTER TABLE candles DETACH PARTITION {} FINALIZE", name)
        for name in _half_detached(connection)
    )


def drop_detached(connection: Connection[TupleRow], kept: Sequence[KeptCandles]) -> dict[str, int]:
    """Drop the tables that were detached to be ended; return their names with the bytes that each gave back.

    What a sink has written into one of them at the last moment, and is to be kept, goes back into `candles` first.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITION_LOCK,))
    dropped = {}
    for name in left_over(connection):
        _move_back(connection, name, kept)
        dropped[name] = table_bytes(connection, name)
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return dropped


def left_over(connection: Connection[TupleRow]) -> tuple[str, ...]:
    """Return the tables that were detached to be ended and are still there; what a person detached is none of them."""
    return tuple(row[0] for row in connection.execute(_LEFT_OVER, (_ENDED,)).fetchall())


def _move_back(connection: Connection[TupleRow], name: str, kept: Sequence[KeptCandles]) -> None:
    table = sql.Identifier(name)
    row = connection.execute(sql.SQL("SELECT max(open_time) FROM {}").format(table)).fetchone()
    if row is None or row[0] is None:
        return
    _, staying = divided(connection, name, int(row[0]) + 1, kept)
    if not staying:
        return
    rows = connection.execute(
        sql.SQL("SELECT DISTINCT open_time FROM {} WHERE {}").format(table, sql.SQL(OF_MARKETS)),
        market_columns(staying),
    )
    ensure_partitions(connection, months_of(np.fromiter((row[0] for row in rows), np.int64)))
    connection.execute(
        sql.SQL(_MOVE_BACK).format(
            table=table, columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS)), of_markets=sql.SQL(OF_MARKETS)
        ),
        market_columns(staying),
    )


def _half_detached(connection: Connection[TupleRow]) -> list[str]:
    """Return the partitions that were to be ended and whose detaching has begun."""
    names = [one.name for one in candle_partitions(connection) if one.detaching]
    return [name for name in names if connection.execute(_COMMENT, (name,)).fetchone() == (_ENDED,)]


def _mark(connection: Connection[TupleRow], name: str, comment: str | None) -> None:
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(name), sql.Literal(comment)))


def _patiently(connection: Connection[TupleRow], statement: LiteralString, name: str) -> bool:
    return run_within(
        connection,
        sql.SQL(statement).format(sql.Identifier(name)),
        lock_s=DETACH_PATIENCE_S,
        statement_s=DETACH_PATIENCE_S,
    )
