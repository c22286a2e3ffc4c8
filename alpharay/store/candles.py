"""Read stored candles."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.market.candles import VALUE_COLUMNS, Candles, IntArray
from alpharay.store.binary_copy import read_numbers
from alpharay.store.candle_rows import Market

_COLUMNS = {"open_time": "i8", **dict.fromkeys(VALUE_COLUMNS, "f8")}


def load_candles(
    connection: Connection[TupleRow],
    market: Market,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Candles:
    """Return a market's candles that open in `[start_ms, end_ms)`, oldest first; a bound of None is open."""
    query = sql.SQL("SELECT open_time, open, high, low, close, volume FROM candles WHERE {} ORDER BY open_time").format(
        _window(market, start_ms, end_ms)
    )
    return Candles(*market, **read_numbers(connection, query, _COLUMNS))  # type: ignore[arg-type] # as _COLUMNS says


def load_newest_candles(connection: Connection[TupleRow], market: Market, rows: int) -> Candles:
    """Return the market's newest `rows` candles, oldest first; fewer where fewer are stored."""
    oldest = connection.execute(
        "SELECT min(open_time) FROM (SELECT open_time FROM candles WHERE exchange = %s AND symbol = %s "
        "AND timeframe = %s ORDER BY open_time DESC LIMIT %s) AS newest",
        (*market, rows),
    ).fetchone()
    if oldest is None or oldest[0] is None:
        return load_candles(connection, market, start_ms=0, end_ms=0)
    return load_candles(connection, market, start_ms=int(oldest[0]))


class NewestClose(NamedTuple):
    """The close of a symbol's newest stored candle, and when that candle opened (UTC, ms)."""

    open_time: int
    close: float


def newest_candle_closes(
    connection: Connection[TupleRow], exchange: str, timeframe: str, symbols: Collection[str]
) -> dict[str, NewestClose]:
    """Return the newest stored close of each symbol with its candle's time; one without candles is missing."""
    rows = connection.execute(
        "SELECT s.symbol, c.open_time, c.close FROM unnest(%s::text[]) AS s (symbol) CROSS JOIN LATERAL ("
        "SELECT open_time, close FROM candles WHERE exchange = %s AND symbol = s.symbol AND timeframe = %s "
        "ORDER BY open_time DESC LIMIT 1) c",
        (list(symbols), exchange, timeframe),
    ).fetchall()
    return {symbol: NewestClose(int(open_time), float(close)) for symbol, open_time, close in rows}


def load_open_times(connection: Connection[TupleRow], market: Market, *, start_ms: int, end_ms: int) -> IntArray:
    """Return the open times (UTC, ms) stored in `[start_ms, end_ms)`, in order.

    What gaps are looked for in.
    """
    rows = connection.execute(
        sql.SQL("SELECT open_time FROM candles WHERE {} ORDER BY open_time").format(_window(market, start_ms, end_ms))
    ).fetchall()
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def newest_open_time(connection: Connection[TupleRow], market: Market) -> int | None:
    """Return the open time (UTC, ms) of the market's newest candle, or None when it has none."""
    row = connection.execute(
        "SELECT max(open_time) FROM candles WHERE exchange = %s AND symbol = %s AND timeframe = %s", market
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def oldest_open_time(connection: Connection[TupleRow], market: Market) -> int | None:
    """Return the open time (UTC, ms) of the market's oldest candle, or None when it has none."""
    row = connection.execute(
        "SELECT min(open_time) FROM candles WHERE exchange = %s AND symbol = %s AND timeframe = %s", market
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def count_candles(connection: Connection[TupleRow], market: Market) -> int:
    """Return how many candles of a market are stored."""
    row = connection.execute(
        "SELECT count(*) FROM candles WHERE exchange = %s AND symbol = %s AND timeframe = %s", market
    ).fetchone()
    return 0 if row is None else int(row[0])


def stored_markets(connection: Connection[TupleRow]) -> list[tuple[Market, int, int, int]]:
    """Return every market with its number of candles and its oldest and newest open time (UTC, ms)."""
    rows = connection.execute(
        "SELECT exchange, symbol, timeframe, count(*), min(open_time), max(open_time) FROM candles "
        "GROUP BY exchange, symbol, timeframe ORDER BY exchange, symbol, timeframe"
    ).fetchall()
    return [(Market(*row[:3]), int(row[3]), int(row[4]), int(row[5])) for row in rows]


def _window(market: Market, start_ms: int | None, end_ms: int | None) -> sql.Composed:
    # COPY takes no parameters: the values are quoted into the statement.
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in market._asdict().items()
    ]
    if start_ms is not None:
        conditions.append(sql.SQL("open_time >= {}").format(sql.Literal(start_ms)))
    if end_ms is not None:
        conditions.append(sql.SQL("open_time < {}").format(sql.Literal(end_ms)))
    return sql.SQL(" AND ").join(conditions)
