"""Candles into the `candles` table: one row an identity, the highest revision wins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.store.candle_partitions import months_of
from alpharay.store.candle_rows import COLUMNS, CandleRows, encode_binary_copy, market_slices

_COLUMN_LIST = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
_COPY = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
_COPY_CANDLES = _COPY.format(sql.Identifier("candles"), _COLUMN_LIST)
_COPY_BATCH = _COPY.format(sql.Identifier("candle_batch"), _COLUMN_LIST)

_CREATE_BATCH = "CREATE TEMPORARY TABLE IF NOT EXISTS candle_batch (LIKE candles) ON COMMIT DELETE ROWS"

# Sorted, so that two writers lock rows that both have in the same order: they wait, they do not deadlock.
_UPSERT = """
INSERT INTO candles AS stored
    (exchange, symbol, timeframe, open_time, open, high, low, close, volume, revision)
SELECT exchange, symbol, timeframe, open_time, open, high, low, close, volume, revision
FROM candle_batch
ORDER BY exchange, symbol, timeframe, open_time
ON CONFLICT (exchange, symbol, timeframe, open_time) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, revision = excluded.revision
WHERE stored.revision < excluded.revision
  AND (stored.open, stored.high, stored.low, stored.close, stored.volume)
      IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
"""

# The outer range is known when the statement is planned and prunes the partitions.
_ANY_STORED = """
SELECT EXISTS (
    SELECT 1
    FROM unnest(
        %(exchange)s::text[], %(symbol)s::text[], %(timeframe)s::text[],
        %(first)s::bigint[], %(last)s::bigint[]
    ) AS batch (exchange, symbol, timeframe, first, last)
    JOIN candles AS stored USING (exchange, symbol, timeframe)
    WHERE stored.open_time BETWEEN %(start)s AND %(end)s
      AND stored.open_time BETWEEN batch.first AND batch.last
)
"""


@dataclass(frozen=True, slots=True)
class CandleBatch:
    """Rows ready to be written.

    One an identity, sorted, with their binary form and the partitions they need.
    """

    rows: CandleRows
    binary: bytes
    months: tuple[date, ...]


def candle_batch(rows: CandleRows) -> CandleBatch:
    """Return rows, sorted and one an identity, ready to be written."""
    return CandleBatch(rows, encode_binary_copy(rows), months_of(rows.open_time))


def write_candles(connection: Connection[TupleRow], batch: CandleBatch) -> None:
    """Insert the rows, or update where the stored revision is lower and the values differ.

    A batch of which the table holds nothing yet, the usual case, is copied straight into it: half the cost of
    copying it into a staging table and inserting from there. Should a rival insert one of the rows between
    the look and the copy, the copy fails on the primary key and the batch takes the other way.
    """
    if not len(batch.rows):
        return
    if not _any_stored(connection, batch.rows):
        try:
            with connection.transaction():
                _copy(connection, _COPY_CANDLES, batch.binary)
        except psycopg.errors.UniqueViolation:
            pass
        else:
            return
    connection.execute(_CREATE_BATCH)
    _copy(connection, _COPY_BATCH, batch.binary)
    connection.execute(_UPSERT)
    connection.execute("TRUNCATE candle_batch")


def _any_stored(connection: Connection[TupleRow], rows: CandleRows) -> bool:
    slices = market_slices(rows)
    markets = [rows.markets[place] for place, _, _ in slices]
    # Sorted by market, then time: a market's first and last rows are its earliest and latest.
    first = rows.open_time[[start for _, start, _ in slices]]
    last = rows.open_time[[stop - 1 for _, _, stop in slices]]
    row = connection.execute(
        _ANY_STORED,
        {
            "exchange": [market.exchange for market in markets],
            "symbol": [market.symbol for market in markets],
            "timeframe": [market.timeframe for market in markets],
            "first": first.tolist(),
            "last": last.tolist(),
            "start": int(first.min()),
            "end": int(last.max()),
        },
    ).fetchone()
    assert row is not None, "SELECT EXISTS answers one row"
    return bool(row[0])


def _copy(connection: Connection[TupleRow], statement: sql.Composed, binary: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(binary)
