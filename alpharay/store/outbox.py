"""PostgreSQL to Kafka: a message is stored in the transaction that causes it, and published afterwards.

A crash between publishing and marking publishes again with the same message id, which consumers drop.
"""

from __future__ import annotations

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.codec import encode
from alpharay.bus.producer import MessageProducer
from alpharay.store.bookkeeping import CONSUMED_IDS, LEAST_DAYS, PUBLISHED_MESSAGES, end_records
from alpharay.store.database import DatabasePool
from alpharay.telemetry.origin import CORRELATION_ID, TRACEPARENT, caused_by, current_origin, origin_of_headers

MESSAGE_ID = "message-id"
BATCH_ROWS = 500
# One publisher at a time keeps the order; any constant that is used for nothing else.
OUTBOX_LOCK = 7_274_519_003


def add_to_outbox(
    connection: Connection[TupleRow],
    topic: str,
    message: msgspec.Struct,
    *,
    message_id: str,
    key: str,
    correlation_id: str | None = None,
) -> bool:
    """Store a message for publication in the connection's transaction.

    Its headers tell of the origin of the work under way, with `correlation_id` where one is given. False when the
    message's id is stored already.
    """
    headers = {MESSAGE_ID: message_id, **_told(correlation_id)}
    added = connection.execute(
        "INSERT INTO outbox (message_id, topic, key, value, headers) VALUES (%s, %s, %s, %s, %s::jsonb) "
        "ON CONFLICT (message_id) DO NOTHING",
        (message_id, topic, key, encode(message).decode(), msgspec.json.encode(headers).decode()),
    )
    return added.rowcount == 1


def publish_outbox(pool: DatabasePool, producer: MessageProducer, *, limit: int = BATCH_ROWS) -> int:
    """Publish the oldest waiting messages, at most `limit`, and return how many.

    It is 0 while another publisher works. Raises PublishError when Kafka did not acknowledge them all: none
    is marked then, so all are published again.
    """
    with pool.connection() as connection:
        held = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (OUTBOX_LOCK,)).fetchone()
        if held is None or not held[0]:
            return 0
        rows = connection.execute(
            "SELECT id, topic, key, value, headers FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT %s",
            (limit,),
        ).fetchall()
        if not rows:
            return 0
        for _, topic, key, value, headers in rows:
            with caused_by(origin_of_headers(headers)):
                producer.publish_bytes(topic, value.encode(), key=key, headers=headers)
        producer.flush()
        connection.execute("UPDATE outbox SET published_at = now() WHERE id = ANY(%s)", ([row[0] for row in rows],))
        return len(rows)


def _told(correlation_id: str | None) -> dict[str, str]:
    origin = current_origin()
    told = {}
    if correlation_id is not None:
        told[CORRELATION_ID] = correlation_id
    elif origin is not None:
        told[CORRELATION_ID] = origin.correlation_id
    if origin is not None and origin.traceparent is not None:
        told[TRACEPARENT] = origin.traceparent
    return told


def waiting_messages(connection: Connection[TupleRow]) -> int:
    """Return how many messages wait for publication."""
    row = connection.execute("SELECT count(*) FROM outbox WHERE published_at IS NULL").fetchone()
    return 0 if row is None else int(row[0])


def forget_old_messages(connection: Connection[TupleRow], *, days: int = LEAST_DAYS, limit: int = 10_000) -> int:
    """Delete published messages and consumed message ids older than `days`; return how many rows went.

    Keep them longer than Kafka keeps its topics (7 days here): nothing older can be delivered again.
    """
    return sum(
        end_records(connection, records, days=days, limit=limit) for records in (PUBLISHED_MESSAGES, CONSUMED_IDS)
    )
