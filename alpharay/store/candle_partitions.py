"""The monthly partitions of `candles`, made when a batch first needs them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.market.candles import IntArray

# Any constant; used for nothing else. Two sinks that need the same new month make it one after the other.
PARTITION_LOCK = 7_274_519_002


def months_of(open_times: IntArray) -> tuple[date, ...]:
    """Return the first day of every month (UTC) that holds one of the open times (ms), in order."""
    months = np.unique(open_times.astype("datetime64[ms]").astype("datetime64[M]"))
    return tuple(month.astype("datetime64[D]").item() for month in months)


def ensure_partitions(connection: Connection[TupleRow], months: tuple[date, ...]) -> None:
    """Make the partitions that are missing, in the connection's transaction.

    A partition is built beside the table and then attached: attaching leaves readers and writers of the other
    months alone, where CREATE TABLE … PARTITION OF would lock them all out.
    """
    missing = _missing(connection, months)
    if not missing:
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITION_LOCK,))
    for month in _missing(connection, months):
        name = sql.Identifier(partition_name(month))
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE candles INCLUDING ALL)").format(name))
        connection.execute(
            sql.SQL("ALTER TABLE candles ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                name, sql.Literal(_start_ms(month)), sql.Literal(_start_ms(_next_month(month)))
            )
        )


def partition_name(month: date) -> str:
    """Return the name of a month's partition, such as `candles_2024_01`."""
    return f"candles_{month.year:04d}_{month.month:02d}"


def _missing(connection: Connection[TupleRow], months: tuple[date, ...]) -> list[date]:
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL",
        ([partition_name(month) for month in months],),
    ).fetchall()
    names = {row[0] for row in rows}
    return [month for month in months if partition_name(month) in names]


def _next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _start_ms(month: date) -> int:
    return int(datetime(month.year, month.month, 1, tzinfo=UTC).timestamp()) * 1000
