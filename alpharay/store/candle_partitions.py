"""The monthly partitions of `candles`: made when a batch first needs them, known by bounds, not by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count

import numpy as np
import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.market.candles import IntArray

# Any constants; used for nothing else. Two sinks that need the same new month make it one after the other.
PARTITION_LOCK = 7_274_519_002
# Held by a run of retention from its beginning to its end.
RETENTION_LOCK = 7_274_519_004

_PARTITIONS = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), i.inhdetachpending
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'candles'::regclass
"""

_BOUNDS = re.compile(r"FROM \('?(-?\d+)'?\) TO \('?(-?\d+)'?\)")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of candles that open in `[start_ms, end_ms)`, UTC ms.

    One whose detaching was interrupted is `detaching`: nobody can read or write it, and no other can take its place.
    """

    name: str
    start_ms: int
    end_ms: int
    detaching: bool = False

    @property
    def month(self) -> date:
        """The first day of the month in which it begins."""
        return month_at(self.start_ms)


def months_of(open_times: IntArray) -> tuple[date, ...]:
    """Return the first day of every month (UTC) that holds one of the open times (ms), in order."""
    months = np.unique(open_times.astype("datetime64[ms]").astype("datetime64[M]"))
    return tuple(month.astype("datetime64[D]").item() for month in months)


def months_ahead(now_ms: int, ahead: int) -> tuple[date, ...]:
    """Return the first day of the month (UTC) of a time, and of so many months after it."""
    months = [month_at(now_ms)]
    while len(months) <= ahead:
        months.append(_next_month(months[-1]))
    return tuple(months)


def month_at(time_ms: int) -> date:
    """Return the first day of the month (UTC) that a time is in."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).date().replace(day=1)


def month_start_ms(month: date) -> int:
    """Return when a month begins, UTC ms."""
    return int(datetime(month.year, month.month, 1, tzinfo=UTC).timestamp()) * 1000


def candle_partitions(connection: Connection[TupleRow]) -> tuple[Partition, ...]:
    """Return the partitions of `candles`, oldest first."""
    found = []
    for name, bounds, detaching in connection.execute(_PARTITIONS).fetchall():
        if match := _BOUNDS.search(bounds):
            found.append(Partition(name, int(match[1]), int(match[2]), detaching))
    return tuple(sorted(found, key=lambda one: one.start_ms))


def ensure_partitions(connection: Connection[TupleRow], months: tuple[date, ...]) -> tuple[str, ...]:
    """Make the partitions that are missing, in the connection's transaction; return their names.

    A partition is built beside the table and then attached: attaching leaves readers and writers of the other
    months alone, where CREATE TABLE … PARTITION OF would lock them all out. Raises psycopg's
    ObjectNotInPrerequisiteState while retention takes such a month away: it can be made when that is done.
    """
    if not missing_months(connection, months):
        return ()
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITION_LOCK,))
    made = []
    for month in missing_months(connection, months):
        _finish_detaching(connection, month)
        name = _free_name(connection, month)
        table = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE candles INCLUDING ALL)").format(table))
        connection.execute(
            sql.SQL("ALTER TABLE candles ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                table, sql.Literal(month_start_ms(month)), sql.Literal(month_start_ms(_next_month(month)))
            )
        )
        made.append(name)
    return tuple(made)


def missing_months(connection: Connection[TupleRow], months: tuple[date, ...]) -> tuple[date, ...]:
    """Return those of the months whose candles could not be stored now."""
    partitions = [one for one in candle_partitions(connection) if not one.detaching]
    return tuple(
        month for month in months if not any(one.start_ms <= month_start_ms(month) < one.end_ms for one in partitions)
    )


def finalize_detach(connection: Connection[TupleRow], name: str) -> None:
    """Finish the interrupted detaching of a partition; waits for the transactions that may still read it."""
    connection.execute(sql.SQL("ALTER TABLE candles DETACH PARTITION {} FINALIZE").format(sql.Identifier(name)))


def partition_name(month: date) -> str:
    """Return the name of a month's partition, such as `candles_2024_01`."""
    return f"candles_{month.year:04d}_{month.month:02d}"


def _finish_detaching(connection: Connection[TupleRow], month: date) -> None:
    """Let go of a partition of this month that retention has left half detached, so that another can be attached."""
    for partition in candle_partitions(connection):
        if not partition.detaching or partition.month != month:
            continue
        free = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (RETENTION_LOCK,)).fetchone()
        if free is None or not free[0]:
            raise psycopg.errors.ObjectNotInPrerequisiteState(
                f"{partition.name} is being detached by ray_jobs.retain; its month can be made when that is done"
            )
        finalize_detach(connection, partition.name)


def _free_name(connection: Connection[TupleRow], month: date) -> str:
    """Return the month's name, or that with a number where a detached table still has it."""
    for number in count(1):
        name = partition_name(month) + ("" if number == 1 else f"_{number}")
        row = connection.execute("SELECT to_regclass(%s) IS NULL", (name,)).fetchone()
        if row is not None and row[0]:
            return name
    raise AssertionError("numbers do not end")


def _next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
