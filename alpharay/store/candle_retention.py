"""Old candles end: which months are over, and what of them.

A month that holds nothing to be kept is detached and dropped (`detached_months`). From one that also holds candles to
be kept, the others are deleted (`ended_candles`). What is kept is decided and committed before (`kept_candles`), so
that ingestion fetches nothing again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.store.candle_partitions import (
    RETENTION_LOCK,
    Partition,
    candle_partitions,
    missing_months,
    month_at,
    month_start_ms,
    months_ahead,
    partition_name,
)
from alpharay.store.candle_rows import Market
from alpharay.store.candle_tables import OF_MARKETS, divided, market_columns
from alpharay.store.candles import newest_open_time
from alpharay.store.changes import list_markets
from alpharay.store.database import DatabasePool
from alpharay.store.detached_months import left_over
from alpharay.store.kept_candles import KeptCandles


@dataclass(frozen=True, slots=True)
class EndedMonth:
    """A month with candles that are over, by market, and the markets whose candles it keeps."""

    partition: Partition
    ended: tuple[Market, ...]
    kept: tuple[Market, ...]


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What a run has to do: `kept` is decided, `missing` months are made, `months` are ended.

    `unfinished` are tables that an interrupted run has left on their way out.
    """

    kept: tuple[KeptCandles, ...]
    missing: tuple[str, ...]
    unfinished: tuple[str, ...]
    months: tuple[EndedMonth, ...]


def kept_since(now_ms: int, keep_days: int) -> int:
    """Return from when on (UTC ms) candles are kept: the month in which `keep_days` ago lies is kept whole."""
    return month_start_ms(month_at(now_ms - keep_days * DAY_MS))


@contextmanager
def alone(pool: DatabasePool) -> Iterator[Connection[TupleRow] | None]:
    """Hold the lock of retention on a connection that commits by itself; None while another run holds it."""
    with pool.connection() as connection:
        connection.autocommit = True
        try:
            held = connection.execute("SELECT pg_try_advisory_lock(%s)", (RETENTION_LOCK,)).fetchone()
            if held is None or not held[0]:
                yield None
                return
            try:
                yield connection
            finally:
                if not connection.closed:
                    connection.execute("SELECT pg_advisory_unlock(%s)", (RETENTION_LOCK,))
        finally:
            if not connection.closed:
                connection.autocommit = False


def plan_retention(
    connection: Connection[TupleRow], *, keep_days: int, shorter_than: int, ahead: int, now_ms: int
) -> RetentionPlan:
    """Return what is to be done now; nothing is changed.

    Candles shorter than `shorter_than` (ms) are kept for `keep_days` (0: for ever), longer ones for ever. An exchange's
    age is counted from its newest stored candle, never from after `now_ms`: a replay of old years keeps its last days.
    """
    newest: dict[str, int] = {}
    for market in list_markets(connection):
        opened = newest_open_time(connection, market)
        if opened is not None:
            closed = min(opened + timeframe_ms(market.timeframe), now_ms)
            newest[market.exchange] = max(closed, newest.get(market.exchange, closed))
    kept = tuple(
        KeptCandles(exchange, kept_since(closed, keep_days) if keep_days else None, shorter_than)
        for exchange, closed in sorted(newest.items())
    )
    partitions = candle_partitions(connection)
    unused_before = kept_since(now_ms, keep_days) if keep_days else None
    months = [ended_month(connection, one, kept, unused_before) for one in partitions if not one.detaching]
    return RetentionPlan(
        kept=kept,
        missing=tuple(map(partition_name, missing_months(connection, months_ahead(now_ms, ahead)))),
        unfinished=(*(one.name for one in partitions if one.detaching), *left_over(connection)),
        months=tuple(month for month in months if month is not None),
    )


def ended_month(
    connection: Connection[TupleRow], partition: Partition, kept: Sequence[KeptCandles], unused_before: int | None
) -> EndedMonth | None:
    """Return what is over in a partition; None where nothing is.

    An empty one is over when it ends before `unused_before` (UTC ms).
    """
    floors = [one.kept_from for one in kept if one.kept_from is not None]
    if unused_before is None or partition.end_ms > max([unused_before, *floors]):
        return None
    ended, staying = divided(connection, partition.name, partition.end_ms, kept)
    if not ended and (staying or partition.end_ms > unused_before):
        return None
    return EndedMonth(partition, ended, staying)


def count_ended(connection: Connection[TupleRow], month: EndedMonth) -> int:
    """Return how many candles of a month are over."""
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(month.partition.name), sql.SQL(OF_MARKETS)),
        market_columns(month.ended),
    ).fetchone()
    return 0 if row is None else int(row[0])
