"""Candles that end in months which stay, for what else is in them: deleted in small batches, the space given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.store.candle_partitions import candle_partitions
from alpharay.store.candle_rows import Market
from alpharay.store.candle_tables import OF_MARKETS, market_columns, run_within
from alpharay.store.kept_candles import KeptCandles

DELETED_AT_ONCE = 10_000
REWRITE_S = 5
"""Shorter than any reader's lock timeout: a reader of a month that is being rewritten waits, it does not fail."""

HOLLOW_FROM_BYTES = 1024 * 1024
HOLLOW_ROW_BYTES = 500
"""A stored candle takes about 120 bytes; a file above this size and so much for each of them is mostly empty."""

# Locked in the order in which sinks write: they wait, they do not deadlock.
_DELETE = """
WITH gone AS (
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table}
        WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
          AND open_time >= %(after)s
        ORDER BY open_time LIMIT %(limit)s FOR UPDATE
    )) RETURNING open_time
)
SELECT count(*), max(open_time) FROM gone
"""


def delete_some(
    connection: Connection[TupleRow], partition: str, market: Market, *, after_ms: int, limit: int = DELETED_AT_ONCE
) -> tuple[int, int | None]:
    """Delete a market's oldest candles of a partition that open at `after_ms` or later, at most `limit`.

    Returns how many went, and where to go on; None when these were the last.
    """
    statement = sql.SQL(_DELETE).format(table=sql.Identifier(partition))
    row = connection.execute(statement, {**market._asdict(), "after": after_ms, "limit": limit}).fetchone()
    assert row is not None, "a count answers one row"
    return int(row[0]), int(row[1]) + 1 if row[0] == limit else None


def hollow_partitions(connection: Connection[TupleRow], kept: Sequence[KeptCandles]) -> tuple[str, ...]:
    """Return the partitions of ended months whose files are mostly what deleted candles have left."""
    before_ms = max((one.kept_from for one in kept if one.kept_from is not None), default=None)
    if before_ms is None:
        return ()
    return tuple(
        one.name
        for one in candle_partitions(connection)
        if one.end_ms <= before_ms and not one.detaching and _is_hollow(connection, one.name)
    )


def rewrite_partition(connection: Connection[TupleRow], name: str) -> bool:
    """Give a partition's empty space back to the disk (VACUUM FULL); needs autocommit.

    Nobody can read this month meanwhile, so it is given up, False, when others read it for a second or when it would
    take longer than `REWRITE_S`.
    """
    statement = sql.SQL("VACUUM (FULL, ANALYZE) {}").format(sql.Identifier(name))
    return run_within(connection, statement, lock_s=1, statement_s=REWRITE_S)


def forget_absent(connection: Connection[TupleRow], kept: Sequence[KeptCandles]) -> int:
    """Delete the ranges that exchanges had no candles in, where nothing is looked for any more; return how many."""
    return sum(
        connection.execute(
            f"DELETE FROM absent_candles WHERE end_time <= %s AND {OF_MARKETS}",
            (one.kept_from, *market_columns(markets)),
        ).rowcount
        for one, markets in _absent_markets(connection, kept).items()
    )


def _absent_markets(
    connection: Connection[TupleRow], kept: Sequence[KeptCandles]
) -> Mapping[KeptCandles, tuple[Market, ...]]:
    rows = connection.execute("SELECT DISTINCT exchange, symbol, timeframe FROM absent_candles").fetchall()
    markets = [Market(*row) for row in rows]
    return {
        one: tuple(market for market in markets if one.ends(market, one.kept_from))
        for one in kept
        if one.kept_from is not None
    }


def _is_hollow(connection: Connection[TupleRow], name: str) -> bool:
    table = sql.Identifier(name)
    size = connection.execute("SELECT pg_relation_size(to_regclass(%s))", (name,)).fetchone()
    if size is None or size[0] is None or size[0] <= HOLLOW_FROM_BYTES:
        return False
    rows = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    return rows is not None and size[0] > HOLLOW_FROM_BYTES + HOLLOW_ROW_BYTES * rows[0]
