"""Which markets are ingested, how far each has come, and what the exchange was found not to have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.gaps import Gap
from alpharay.store.candle_rows import Market
from alpharay.store.kept_candles import kept_from

# An earlier start makes the history incomplete again.
_WANT = """
INSERT INTO ingested_markets AS wanted (exchange, symbol, timeframe, start_time)
VALUES (%s, %s, %s, %s)
ON CONFLICT (exchange, symbol, timeframe) DO UPDATE SET
    enabled = true,
    start_time = least(wanted.start_time, excluded.start_time),
    complete_until = CASE WHEN excluded.start_time >= wanted.start_time THEN wanted.complete_until END
"""


@dataclass(frozen=True, slots=True)
class IngestedMarket:
    """A market that is wanted from `start_ms` on, and its progress; times are UTC ms.

    Everything that the exchange has in `[start_ms, complete_until)` was published. During a back-fill
    `asked_until` says how far it has come. `error` is why the last round failed, None when it did not.
    """

    market: Market
    start_ms: int
    ingestor: str | None
    complete_until: int | None
    asked_until: int | None
    published_rows: int
    refused_rows: int
    error: str | None
    heartbeat_at: datetime | None


def want_market(connection: Connection[TupleRow], market: Market, start_ms: int) -> int:
    """Have a market ingested from `start_ms` on, or from earlier where that was wanted before.

    Never from before what retention keeps. Returns the start that was taken for the one that was asked for.
    """
    start = max(start_ms, kept_from(connection, market, lock=True) or start_ms)
    connection.execute(_WANT, (*market, start))
    return start


def wanted_markets(connection: Connection[TupleRow]) -> list[IngestedMarket]:
    """Return the markets to ingest, with their progress."""
    rows = connection.execute(
        "SELECT exchange, symbol, timeframe, start_time, ingestor, complete_until, asked_until, "
        "published_rows, refused_rows, error, heartbeat_at FROM ingested_markets WHERE enabled "
        "ORDER BY exchange, symbol, timeframe"
    ).fetchall()
    return [IngestedMarket(Market(*row[:3]), *row[3:]) for row in rows]


def report_progress(
    connection: Connection[TupleRow],
    market: Market,
    *,
    ingestor: str,
    asked_until: int | None = None,
    complete_until: int | None = None,
    published_rows: int = 0,
    refused_rows: int = 0,
    error: str | None = None,
) -> None:
    """Store a sign of life: the rows are added to those before, a time of None leaves the one before."""
    connection.execute(
        "UPDATE ingested_markets SET ingestor = %s, asked_until = coalesce(%s, asked_until), "
        "complete_until = coalesce(%s, complete_until), published_rows = published_rows + %s, "
        "refused_rows = refused_rows + %s, error = %s, heartbeat_at = now() "
        "WHERE exchange = %s AND symbol = %s AND timeframe = %s",
        (ingestor, asked_until, complete_until, published_rows, refused_rows, error, *market),
    )


def record_absent(connection: Connection[TupleRow], market: Market, gaps: Sequence[Gap]) -> None:
    """Remember that the exchange, asked twice, has no candle in these ranges."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO absent_candles AS stored (exchange, symbol, timeframe, start_time, end_time) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (exchange, symbol, timeframe, start_time) "
            "DO UPDATE SET end_time = greatest(stored.end_time, excluded.end_time), confirmed_at = now()",
            [(*market, gap.start_ms, gap.end_ms) for gap in gaps],
        )


def absent_ranges(connection: Connection[TupleRow], market: Market, *, start_ms: int, end_ms: int) -> tuple[Gap, ...]:
    """Return the recorded ranges that touch `[start_ms, end_ms)`, oldest first; they may overlap."""
    rows = connection.execute(
        "SELECT start_time, end_time FROM absent_candles WHERE exchange = %s AND symbol = %s "
        "AND timeframe = %s AND end_time > %s AND start_time < %s ORDER BY start_time",
        (*market, start_ms, end_ms),
    ).fetchall()
    return tuple(Gap(int(row[0]), int(row[1])) for row in rows)
