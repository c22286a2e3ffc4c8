"""Candle messages into the `candles` table: checked, one row an identity, the highest revision wins."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date

import numpy as np
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.codec import MessageDecoder, Refusal
from alpharay.bus.messages import CandleMessage
from alpharay.bus.topics import CANDLES
from alpharay.market.candles import VALUE_COLUMNS
from alpharay.market.quality import check_candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.candle_partitions import ensure_partitions
from alpharay.store.candle_rows import (
    CandleRows,
    Market,
    candle_rows,
    market_slices,
    newest_revisions,
    parse_candle_rows,
)
from alpharay.store.candle_upsert import CandleBatch, candle_batch, write_candles
from alpharay.store.database import DatabasePool
from alpharay.store.rolled_candles import begin_rolling, roll_batch
from alpharay.store.rolled_filling import RolledFilling
from alpharay.store.topic_sink import OriginOf, Prepared


class CandleWriter:
    """Writes the `candles` topic into the `candles` table (a `BatchWriter` for `TopicSink`)."""

    consumer = "candle-sink"

    def __init__(self, topic: str = CANDLES) -> None:
        self.topic = topic
        self._decoder = MessageDecoder(CandleMessage)
        self._known_months: frozenset[date] = frozenset()
        self._filling = RolledFilling()
        self._lock = threading.Lock()

    def decode(self, values: Sequence[bytes], _: OriginOf | None = None) -> Prepared[CandleBatch]:
        """Decode, check and encode a batch; nothing here waits for anything."""
        parsed = parse_candle_rows(values, self._decoder.known_version)
        if parsed is not None:
            rows = newest_revisions(parsed)
            if _all_good(rows):
                return Prepared(candle_batch(rows), len(rows), ())
        # Something in the batch is not as it should be: decode singly to learn what.
        decoded = self._decoder.decode_batch(values)
        rows, broken = keep_good_candles(decoded.messages)
        refusals = (*decoded.refusals, *(Refusal(decoded.indexes[one.index], one.reason) for one in broken))
        return Prepared(candle_batch(rows), len(rows), refusals, decoded.newer_at)

    def prepare(self, pool: DatabasePool, batch: CandleBatch) -> None:
        """Make the monthly partitions that the batch needs, and fill what is newly rolled up, in own transactions."""
        with self._lock:
            unknown = tuple(month for month in batch.months if month not in self._known_months)
        if unknown:
            with pool.connection() as connection:
                ensure_partitions(connection, unknown)
            with self._lock:
                self._known_months |= set(unknown)
        self._filling.go_on(pool)

    def write(self, connection: Connection[TupleRow], batch: CandleBatch) -> Sequence[Refusal]:
        """Write the rows, and the larger candles that are made from them, in the connection's transaction.

        No candle is refused here.
        """
        try:
            rolling = begin_rolling(connection, batch.rows)
            write_candles(connection, batch)
            roll_batch(connection, rolling, batch.rows)
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
