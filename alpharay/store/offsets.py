"""How far each consumer of Kafka has come, kept beside what it wrote and advanced in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow


class PartitionTakenError(RuntimeError):
    """Another consumer has advanced this partition: what this one was about to commit is stale."""


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """One consumer's partition of one topic; a topic that was made anew has another id and so starts anew."""

    consumer: str
    topic: str
    topic_id: str
    partition: int


def read_offset(connection: Connection[TupleRow], key: PartitionKey) -> int | None:
    """Return the offset of the next message to process, or None when the partition was never read."""
    row = connection.execute(
        "SELECT next_offset FROM consumer_offsets WHERE consumer = %s AND topic_id = %s AND partition = %s",
        (key.consumer, key.topic_id, key.partition),
    ).fetchone()
    return None if row is None else int(row[0])


def all_offsets(connection: Connection[TupleRow]) -> dict[PartitionKey, int]:
    """Return the stored offset of every consumer's every partition."""
    rows = connection.execute(
        "SELECT consumer, topic, topic_id, partition, next_offset FROM consumer_offsets"
    ).fetchall()
    return {PartitionKey(*row[:4]): int(row[4]) for row in rows}


def start_offset(connection: Connection[TupleRow], key: PartitionKey, first: int) -> int:
    """Return the stored offset; where none is stored, store and return `first`."""
    connection.execute(
        "INSERT INTO consumer_offsets (consumer, topic_id, partition, next_offset, topic) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (key.consumer, key.topic_id, key.partition, first, key.topic),
    )
    stored = read_offset(connection, key)
    assert stored is not None, f"offset of {key} vanished inside a transaction"
    return stored


def advance_offset(connection: Connection[TupleRow], key: PartitionKey, *, last_read: int, next_offset: int) -> None:
    """Move the stored offset from `last_read` to `next_offset`, or raise PartitionTakenError.

    Call it first in the batch's transaction: it locks the row, so a rival waits here, and then finds the
    offset moved.
    """
    assert next_offset > last_read, f"offset of {key} must grow, {last_read} -> {next_offset}"
    updated = connection.execute(
        "UPDATE consumer_offsets SET next_offset = %s, updated_at = now() "
        "WHERE consumer = %s AND topic_id = %s AND partition = %s AND next_offset = %s",
        (next_offset, key.consumer, key.topic_id, key.partition, last_read),
    )
    if updated.rowcount != 1:
        raise PartitionTakenError(
            f"{key.consumer} lost {key.topic}[{key.partition}] to a rival: the offset was not {last_read}"
        )
