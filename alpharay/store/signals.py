"""Signals from Kafka into the `signals` table: checked, one row an id; and what is read of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from alpharay.bus.codec import MessageDecoder, Refusal
from alpharay.bus.messages import OPEN_TIME_RANGE, SignalMessage
from alpharay.bus.topics import SIGNALS
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.database import DatabasePool
from alpharay.store.topic_sink import OriginOf, Prepared
from alpharay.telemetry.origin import Origin

ACTIONS = ("BUY", "SELL", "HOLD")
LONGEST_NAME = 64
LONGEST_ID = 256
MOST_STRATEGIES = 1_000
PRUNED_AT_ONCE = 10_000

# Sorted, so that two writers lock what both have in the same order. A HOLD has no outcome: nothing of it is open.
_INSERT = """
INSERT INTO signals (
    signal_id, request_id, correlation_id, exchange, symbol, timeframe, action, confidence, price, candle_time,
    candle_close, set_id, exchange_time, generated_at, settled
)
SELECT *, action = 'HOLD'
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[],
    %s::bigint[], %s::float8[], %s::text[], %s::bigint[], %s::bigint[]
) AS batch (
    signal_id, request_id, correlation_id, exchange, symbol, timeframe, action, confidence, price, candle_time,
    candle_close, set_id, exchange_time, generated_at
)
ORDER BY signal_id
ON CONFLICT (signal_id) DO NOTHING
RETURNING signal_id
"""

# Used within a day is used: what is written with every batch would be a row that all writers wait for.
_INSERT_SET = """
INSERT INTO strategy_sets AS known (set_id, strategy_ids, strategy_sides) VALUES (%s, %s, %s)
ON CONFLICT (set_id) DO UPDATE SET used_at = now() WHERE known.used_at < now() - interval '1 day'
"""

_SAME = """
SELECT signal_id, request_id, exchange, symbol, timeframe, action, generated_at FROM signals WHERE signal_id = ANY(%s)
"""

_SIGNAL = """
SELECT s.signal_id, s.request_id, s.correlation_id, s.exchange, s.symbol, s.timeframe, s.action, s.confidence, s.price,
    s.candle_time, s.candle_close, coalesce(g.strategy_ids, '{}') AS strategy_ids, g.strategy_sides, s.exchange_time,
    s.generated_at, s.stored_at, s.settled
FROM signals AS s LEFT JOIN strategy_sets AS g USING (set_id)
"""

_PRUNE = """
DELETE FROM signals WHERE signal_id IN (
    SELECT signal_id FROM signals WHERE stored_at < now() - make_interval(secs => %s) ORDER BY stored_at LIMIT %s
)
"""

_PRUNE_SETS = """
DELETE FROM strategy_sets WHERE set_id IN (
    SELECT set_id FROM strategy_sets WHERE used_at < now() - make_interval(secs => %s, days => 2) LIMIT %s
)
"""


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """A signal as it was given; times are UTC ms, `exchange_time` by the exchange's clock."""

    signal_id: str
    request_id: str
    correlation_id: str | None
    exchange: str
    symbol: str
    timeframe: str
    action: str
    confidence: float
    price: float
    candle_time: int
    candle_close: float
    strategy_ids: list[str]
    strategy_sides: list[int] | None
    exchange_time: int
    generated_at: int
    stored_at: datetime
    settled: bool


@dataclass(frozen=True, slots=True)
class SignalBatch:
    """Good messages, their places in the batch as it came, and their correlation ids."""

    messages: Sequence[SignalMessage]
    indexes: Sequence[int]
    correlations: Sequence[str | None]


class SignalWriter:
    """Writes the `signals` topic into the table `signals` (a `BatchWriter` for `TopicSink`).

    A signal whose id is stored already is dropped when it is the same, and refused when it is another one: a client
    may use its own id again after the service has forgotten it.
    """

    consumer = "signals-consumer"

    def __init__(self, topic: str = SIGNALS) -> None:
        self.topic = topic
        self._decoder = MessageDecoder(SignalMessage)

    def decode(self, values: Sequence[bytes], origin_of: OriginOf) -> Prepared[SignalBatch]:
        """Decode and check the values; nothing here waits for anything."""
        decoded = self._decoder.decode_batch(values)
        refusals = list(decoded.refusals)
        messages: list[SignalMessage] = []
        indexes: list[int] = []
        for index, message in zip(decoded.indexes, decoded.messages, strict=True):
            problem = broken_rule(message)
            if problem is None:
                messages.append(message)
                indexes.append(index)
            else:
                refusals.append(Refusal(index, problem))
        batch = SignalBatch(messages, indexes, [_correlation_id(origin_of(index)) for index in indexes])
        return Prepared(batch, len(messages), tuple(refusals), decoded.newer_at)

    def prepare(self, pool: DatabasePool, batch: SignalBatch) -> None:
        """Nothing has to be committed before the batch."""

    def write(self, connection: Connection[TupleRow], batch: SignalBatch) -> Sequence[Refusal]:
        """Store the signals whose ids are new; refuse those whose id belongs to another signal."""
        return store_signals(connection, batch)


def store_signals(connection: Connection[TupleRow], batch: SignalBatch) -> list[Refusal]:
    """Store a batch in the connection's transaction, and return the places of those that contradict what is stored."""
    first: dict[str, int] = {}
    for place, message in enumerate(batch.messages):
        first.setdefault(message.signal_id, place)
    chosen = [(batch.messages[place], batch.correlations[place]) for place in first.values()]
    if not chosen:
        return []
    sets = {_set_id(message): message for message, _ in chosen}
    with connection.cursor() as cursor:
        cursor.executemany(
            _INSERT_SET,
            [
                (set_id, list(message.strategy_ids), _optional_list(message.strategy_sides))
                for set_id, message in sorted(sets.items())
            ],
        )
    rows = [_row(message, correlation) for message, correlation in chosen]
    added = {row[0] for row in connection.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])}
    if len(added) == len(batch.messages):
        return []
    known = {row[0]: row[1:] for row in connection.execute(_SAME, (list(first),)).fetchall()}
    return [
        Refusal(index, f"signal_id {message.signal_id[:100]!r} was stored for another signal: {' '.join(stored[1:5])}")
        for index, message in zip(batch.indexes, batch.messages, strict=True)
        if (stored := known.get(message.signal_id)) is not None and stored != _identity(message)
    ]


def stored_signal(connection: Connection[TupleRow], signal_id: str) -> StoredSignal | None:
    """Return the signal with an id; None when none is stored."""
    with connection.cursor(row_factory=class_row(StoredSignal)) as cursor:
        return cursor.execute(f"{_SIGNAL} WHERE s.signal_id = %s", (signal_id,)).fetchone()


def newest_signals(
    connection: Connection[TupleRow], *, symbol: str | None = None, action: str | None = None, limit: int = 100
) -> list[StoredSignal]:
    """Return the signals that were stored last, newest first, of one symbol and action or of all."""
    with connection.cursor(row_factory=class_row(StoredSignal)) as cursor:
        return cursor.execute(
            f"{_SIGNAL} WHERE (%(symbol)s::text IS NULL OR s.symbol = %(symbol)s) "
            "AND (%(action)s::text IS NULL OR s.action = %(action)s) "
            "ORDER BY s.stored_at DESC, s.signal_id LIMIT %(limit)s",
            {"symbol": symbol, "action": action, "limit": limit},
        ).fetchall()


def prune_signals(connection: Connection[TupleRow], *, keep_s: float, limit: int = PRUNED_AT_ONCE) -> int:
    """Delete signals stored more than `keep_s` ago with their outcomes, at most `limit`; return how many went.

    Keep them longer than Kafka keeps its topics, or a signal that is delivered again is stored again.
    """
    pruned = connection.execute(_PRUNE, (keep_s, limit)).rowcount
    connection.execute(_PRUNE_SETS, (keep_s, limit))
    return pruned


def broken_rule(message: SignalMessage) -> str | None:
    """Return the sentence that says why a signal can never be stored, or None."""
    problem = _text_problem(message)
    if problem is not None:
        return problem
    if message.action not in ACTIONS:
        return f"action must be one of {', '.join(ACTIONS)}, was {message.action[:50]!r}"
    if not 0.0 <= message.confidence <= 1.0:
        return f"confidence must be in [0, 1], was {message.confidence}"
    for name, price in (("price", message.price), ("candle_close", message.candle_close)):
        if not (math.isfinite(price) and price > 0.0):
            return f"{name} must be a finite number above 0, was {price}"
    if not OPEN_TIME_RANGE[0] <= message.generated_at <= OPEN_TIME_RANGE[1]:
        return f"generated_at must be UTC ms from 1900 to 2100, was {str(message.generated_at)[:50]}"
    sides = message.strategy_sides
    if sides is not None and (len(sides) != len(message.strategy_ids) or not set(sides) <= {-1, 0, 1}):
        return f"strategy_sides must be -1, 0 or 1 for each of {len(message.strategy_ids)} strategy_ids"
    try:
        timeframe_ms(message.timeframe)
    except ValueError as error:
        return str(error)
    return None


def _text_problem(message: SignalMessage) -> str | None:
    # Control characters, and a NUL above all, are what PostgreSQL's text cannot hold.
    named = [(name, getattr(message, name), LONGEST_NAME) for name in ("exchange", "symbol", "timeframe")]
    named += [(name, getattr(message, name), LONGEST_ID) for name in ("signal_id", "request_id")]
    if len(message.strategy_ids) > MOST_STRATEGIES:
        return f"strategy_ids must be at most {MOST_STRATEGIES}, were {len(message.strategy_ids)}"
    named += [("strategy_ids", one, LONGEST_ID) for one in message.strategy_ids]
    for name, text, longest in named:
        if not (0 < len(text) <= longest and text.isprintable()):
            return f"{name} must be 1 to {longest} printable characters, was {text[:50]!r}"
    return None


def _correlation_id(origin: Origin | None) -> str | None:
    return None if origin is None else origin.correlation_id


def _set_id(message: SignalMessage) -> str:
    text = "\n".join([*message.strategy_ids, repr(message.strategy_sides)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _optional_list(values: tuple[int, ...] | None) -> list[int] | None:
    return None if values is None else list(values)


def _row(message: SignalMessage, correlation: str | None) -> tuple[object, ...]:
    exchange_time = message.generated_at if message.exchange_time is None else message.exchange_time
    return (
        message.signal_id, message.request_id, correlation, message.exchange, message.symbol, message.timeframe,
        message.action, message.confidence, message.price, message.candle_time, message.candle_close,
        _set_id(message), exchange_time, message.generated_at,
    )  # fmt: skip


def _identity(message: SignalMessage) -> tuple[object, ...]:
    return (
        message.request_id, message.exchange, message.symbol, message.timeframe, message.action, message.generated_at,
    )  # fmt: skip
