"""The history of a newly rolled-up market: made in small transactions, then kept in step by the candle sink."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.roll_up import TimeRange
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.rolled_candles import Piece, kept_candles, known_time, roll, stored_ends
from alpharay.store.rolled_markets import RolledMarket, follow_strategies, locked_markets, note_filled

SMALLER_AT_ONCE = 50_000
"""So many smaller candles, were none missing, are read in one transaction."""

LOOK_S = 30.0
FILL_S = 2.0

log = structlog.get_logger(__name__)


def fill_next(connection: Connection[TupleRow], market: Market) -> bool:
    """Make the next candles of a market's first filling, or those missing at its end; tell whether that was all.

    In the connection's transaction; nothing is to be done for a market that is not rolled up.
    """
    rolled = next((one for one in locked_markets(connection, [market]) if one.wanted), None)
    if rolled is None:
        return True
    piece = _next_piece(connection, rolled)
    if piece is not None:
        roll(connection, [piece])
    done = piece is None or piece.range.end_ms + rolled.length > piece.known.end_ms
    if rolled.filling_from is not None:
        note_filled(connection, market, None if piece is None or done else piece.range.end_ms)
    return done


def _next_piece(connection: Connection[TupleRow], rolled: RolledMarket) -> Piece | None:
    """Return the next stretch that has smaller candles; None at the end."""
    length = rolled.length
    stored = stored_ends(connection, [rolled.source, rolled.market])
    if rolled.source not in stored:
        return None
    whole = replace(rolled, filling_from=None)
    known = known_time(whole, stored[rolled.source], kept_candles(connection, [rolled.market.exchange]))
    start = -(-known.start_ms // length) * length
    if rolled.filling_from is not None:
        start = max(start, rolled.filling_from)
    elif rolled.market in stored:
        start = max(start, stored[rolled.market].newest + length)
    # What is missing is skipped in one step.
    row = connection.execute(
        "SELECT min(open_time) FROM candles WHERE exchange = %s AND symbol = %s AND timeframe = %s AND open_time >= %s",
        (*rolled.source, start),
    ).fetchone()
    if row is None or row[0] is None:
        return None
    start = int(row[0]) // length * length
    end = known.end_ms // length * length
    if start >= end:
        return None
    at_once = max(SMALLER_AT_ONCE * timeframe_ms(rolled.source_timeframe) // length, 1) * length
    return Piece(whole, TimeRange(start, min(start + at_once, end)), known)


def fill_market(pool: DatabasePool, market: Market) -> None:
    """Make a rolled-up market's candles to their end, in one small transaction after the other."""
    while not in_transaction(pool, partial(fill_next, market=market)):
        pass


class RolledFilling:
    """What a candle sink does before a batch: it looks for new markets now and then, and fills them bit by bit."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._unfilled: list[Market] = []

    def go_on(self, pool: DatabasePool) -> None:
        """Look for new markets every `LOOK_S`, and fill those that are there for at most `FILL_S`."""
        with self._lock:
            began = self._clock()
            try:
                if began >= self._look_at:
                    self._look_at = began + LOOK_S
                    with pool.connection() as connection:
                        self._unfilled = follow_strategies(connection)
                while self._unfilled and self._clock() < began + FILL_S:
                    with pool.connection() as connection:
                        done = fill_next(connection, self._unfilled[0])
                    if done:
                        log.info("sink.rolled_market_filled", market=" ".join(self._unfilled.pop(0)))
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
                # Somebody is at it, or a batch takes long: candles are not held up for that.
                log.warning("sink.rolling_put_off", error=str(error))
