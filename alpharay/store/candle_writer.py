"""Candle messages into the `candles` table: checked, one row an identity, the highest revision wins."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.bus.codec import MessageDecoder, Refusal
from alpharay.bus.messages import CandleMessage
from alpharay.bus.topics import CANDLES
from alpharay.market.candles import VALUE_COLUMNS
from alpharay.market.quality import check_candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.candle_partitions import ensure_partitions, months_of
from alpharay.store.candle_rows import (
    COLUMNS,
    CandleRows,
    Market,
    candle_rows,
    encode_binary_copy,
    market_slices,
    newest_revisions,
    parse_candle_rows,
)
from alpharay.store.database import DatabasePool
from alpharay.store.topic_sink import OriginOf, Prepared

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


class CandleWriter:
    """Writes the `candles` topic into the `candles` table (a `BatchWriter` for `TopicSink`)."""

    consumer = "candle-sink"

    def __init__(self, topic: str = CANDLES) -> None:
        self.topic = topic
        self._decoder = MessageDecoder(CandleMessage)
        self._known_months: frozenset[date] = frozenset()
        self._lock = threading.Lock()

    def decode(self, values: Sequence[bytes], _: OriginOf | None = None) -> Prepared[CandleBatch]:
        """Decode, check and encode a batch; nothing here waits for anything."""
        parsed = parse_candle_rows(values, self._decoder.known_version)
        if parsed is not None:
            rows = newest_revisions(parsed)
            if _all_good(rows):
                return Prepared(_batch(rows), len(rows), ())
        # Something in the batch is not as it should be: decode singly to learn what.
        decoded = self._decoder.decode_batch(values)
        rows, broken = keep_good_candles(decoded.messages)
        refusals = (*decoded.refusals, *(Refusal(decoded.indexes[one.index], one.reason) for one in broken))
        return Prepared(_batch(rows), len(rows), refusals, decoded.newer_at)

    def prepare(self, pool: DatabasePool, batch: CandleBatch) -> None:
        """Make the monthly partitions that the batch needs, in a transaction of their own."""
        with self._lock:
            unknown = tuple(month for month in batch.months if month not in self._known_months)
        if unknown:
            with pool.connection() as connection:
                ensure_partitions(connection, unknown)
            with self._lock:
                self._known_months |= set(unknown)

    def write(self, connection: Connection[TupleRow], batch: CandleBatch) -> Sequence[Refusal]:
        """Write the rows in the connection's transaction. No candle is refused here."""
        try:
            write_candles(connection, batch)
        except psycopg.errors.CheckViolation:
            # A partition that this process had seen was dropped since: look again on the next attempt.
            with self._lock:
                self._known_months = frozenset()
            raise
        return ()


def keep_good_candles(messages: Sequence[CandleMessage]) -> tuple[CandleRows, list[Refusal]]:
    """Return the newest revision of each good candle, and the places of the messages that break a rule."""
    refusals = [
        Refusal(index, reason) for index, message in enumerate(messages) if (reason := broken_rule(message)) is not None
    ]
    refused = {refusal.index for refusal in refusals}
    good = [message for index, message in enumerate(messages) if index not in refused]
    return newest_revisions(candle_rows(good)), refusals


def broken_rule(message: CandleMessage) -> str | None:
    """Return the sentence that says which rule a candle breaks, or None."""
    market = Market(message.exchange, message.symbol, message.timeframe)
    problem = _market_problem(market)
    if problem is not None:
        return problem
    row = (message.open_time, message.open, message.high, message.low, message.close, message.volume)
    checked = check_candles([row], exchange=market.exchange, symbol=market.symbol, timeframe=market.timeframe)
    return checked.refused[0].reason if checked.refused else None


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


def _batch(rows: CandleRows) -> CandleBatch:
    return CandleBatch(rows, encode_binary_copy(rows), months_of(rows.open_time))


def _all_good(rows: CandleRows) -> bool:
    """Tell whether every row, sorted and one an identity, keeps the rules."""
    for place, start, stop in market_slices(rows):
        market, chosen = rows.markets[place], rows.part(start, stop)
        if _market_problem(market) is not None:
            return False
        matrix = np.column_stack((chosen.open_time, *(getattr(chosen, name) for name in VALUE_COLUMNS)))
        if check_candles(matrix, **market._asdict()).refused:
            return False
    return True


def _market_problem(market: Market) -> str | None:
    for name, text in zip(Market._fields, market, strict=True):
        # Control characters, and a NUL above all, are what PostgreSQL's text cannot hold.
        if not (0 < len(text) <= 64 and text.isprintable()):
            return f"{name} must be 1 to 64 printable characters, was {text[:80]!r}"
    try:
        timeframe_ms(market.timeframe)
    except ValueError as error:
        return str(error)
    return None
