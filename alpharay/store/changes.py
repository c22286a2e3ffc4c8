"""Tell cheaply what changed: what a reader that keeps data in memory asks every second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.topics import CANDLES
from alpharay.store.candle_rows import Market


class DataVersion(NamedTuple):
    """Two of these are equal when nothing was written in between by the sinks."""

    candle_offsets: int
    """The candle sink's offsets, summed: it grows with every batch."""
    strategies: str
    """A digest of every stored strategy's identity, status and time of evaluation, and of every ensemble's time."""


# Reads a few rows of offsets, the strategies and an ensemble a market, no candle.
_VERSION = """
SELECT
    (SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets WHERE topic = %s),
    (
        SELECT coalesce(sum(hashtextextended(strategy_id || status || last_evaluated_at, 0)), 0) || ':' || count(*)
        FROM strategies
    ) || ':' || (
        SELECT coalesce(sum(hashtextextended(exchange || symbol || timeframe || chosen_at, 0)), 0) FROM ensembles
    )
"""

# From one market's first row to the next market's, by the primary key: a step a market, not a row a candle.
_MARKETS = """
WITH RECURSIVE market AS (
    (SELECT exchange, symbol, timeframe FROM candles ORDER BY exchange, symbol, timeframe LIMIT 1)
    UNION ALL
    SELECT following.*
    FROM market AS known
    CROSS JOIN LATERAL (
        SELECT exchange, symbol, timeframe
        FROM candles
        WHERE (exchange, symbol, timeframe) > (known.exchange, known.symbol, known.timeframe)
        ORDER BY exchange, symbol, timeframe
        LIMIT 1
    ) AS following
)
SELECT exchange, symbol, timeframe FROM market
"""

# The lower bound leaves all older partitions alone.
_NEWER = """
SELECT known.exchange, known.symbol, known.timeframe, (
    SELECT max(open_time) FROM candles
    WHERE exchange = known.exchange AND symbol = known.symbol AND timeframe = known.timeframe
      AND open_time > known.newest
)
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS known (exchange, symbol, timeframe, newest)
"""


def data_version(connection: Connection[TupleRow]) -> DataVersion:
    """Return the version of candles and strategies as the sinks left them."""
    row = connection.execute(_VERSION, (CANDLES,)).fetchone()
    assert row is not None, "a query without FROM has one row"
    return DataVersion(int(row[0]), str(row[1]))


def list_markets(connection: Connection[TupleRow]) -> list[Market]:
    """Return the markets that have candles, in order, without reading all candles."""
    return [Market(*row) for row in connection.execute(_MARKETS).fetchall()]


def markets_with_newer_candles(connection: Connection[TupleRow], newest: Mapping[Market, int]) -> Sequence[Market]:
    """Return those of the markets that have a candle after the open time (UTC, ms) given for each."""
    if not newest:
        return []
    columns = [list(column) for column in zip(*newest, strict=True)]
    rows = connection.execute(_NEWER, (*columns, list(newest.values()))).fetchall()
    return [Market(*row[:3]) for row in rows if row[3] is not None]
