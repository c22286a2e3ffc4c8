"""One table of candles by its name: which markets it holds, what it takes, and statements that give up in time."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.store.candle_rows import Market
from alpharay.store.kept_candles import KeptCandles

OF_MARKETS = "(exchange, symbol, timeframe) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))"
"""For the columns of `market_columns`."""

# From one market's first row to the next market's, by the primary key: a step a market, not a row a candle.
_MARKETS = """
WITH RECURSIVE market AS (
    (SELECT exchange, symbol, timeframe FROM {table} ORDER BY exchange, symbol, timeframe LIMIT 1)
    UNION ALL
    SELECT following.*
    FROM market AS known
    CROSS JOIN LATERAL (
        SELECT exchange, symbol, timeframe FROM {table}
        WHERE (exchange, symbol, timeframe) > (known.exchange, known.symbol, known.timeframe)
        ORDER BY exchange, symbol, timeframe LIMIT 1
    ) AS following
)
SELECT exchange, symbol, timeframe FROM market
"""


def divided(
    connection: Connection[TupleRow], table: str, end_ms: int, kept: Sequence[KeptCandles]
) -> tuple[tuple[Market, ...], tuple[Market, ...]]:
    """Return the markets in a table whose candles before `end_ms` are over, and the others."""
    rows = connection.execute(sql.SQL(_MARKETS).format(table=sql.Identifier(table))).fetchall()
    markets = [Market(*row) for row in rows]
    ended = tuple(market for market in markets if any(one.ends(market, end_ms) for one in kept))
    return ended, tuple(market for market in markets if market not in ended)


def market_columns(markets: Sequence[Market]) -> tuple[list[str], list[str], list[str]]:
    """Return the three arrays that `OF_MARKETS` takes."""
    return (
        [market.exchange for market in markets],
        [market.symbol for market in markets],
        [market.timeframe for market in markets],
    )


def table_bytes(connection: Connection[TupleRow], name: str) -> int:
    """Return what a partition takes with its index."""
    row = connection.execute("SELECT pg_total_relation_size(to_regclass(%s))", (name,)).fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


def run_within(connection: Connection[TupleRow], statement: sql.Composed, *, lock_s: float, statement_s: float) -> bool:
    """Run a statement outside of a transaction; False when a lock or the statement took longer than it may."""
    limits = {"lock_timeout": lock_s, "statement_timeout": statement_s}
    for name, seconds in limits.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, f"{int(seconds * 1000)}ms"))
    try:
        connection.execute(statement)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        return False
    finally:
        if not connection.closed:
            for name in limits:
                connection.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))
    return True
