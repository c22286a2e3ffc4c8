"""Low-rate topics into PostgreSQL: one message after the other, each dropped when its id was seen before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.codec import MessageDecoder, Refusal
from alpharay.store.database import DatabasePool
from alpharay.store.topic_sink import OriginOf, Prepared
from alpharay.telemetry.origin import Origin, caused_by

Message = TypeVar("Message", bound=msgspec.Struct)

log = structlog.get_logger(__name__)


class RefusedMessageError(ValueError):
    """The message contradicts what is stored and can never be accepted; the text says why."""


@dataclass(frozen=True, slots=True)
class MessageBatch(Generic[Message]):
    """Decoded messages, their places in the batch as it came, and what caused each."""

    messages: Sequence[Message]
    indexes: Sequence[int]
    origins: Sequence[Origin | None]


class MessageWriter(Generic[Message]):
    """Hands each message of a topic to `store` (a `BatchWriter` for `TopicSink`).

    `message_id` names what makes a message the same as an earlier one. `store` works in the batch's
    transaction; a RefusedMessageError of its, or values that the database cannot hold, send that message
    alone to dead letters.
    """

    def __init__(
        self,
        topic: str,
        consumer: str,
        message_type: type[Message],
        *,
        message_id: Callable[[Message], str],
        store: Callable[[Connection[TupleRow], Message], None],
    ) -> None:
        self.topic = topic
        self.consumer = consumer
        self._decoder = MessageDecoder(message_type)
        self._message_id = message_id
        self._store = store

    def decode(self, values: Sequence[bytes], origin_of: OriginOf = lambda _: None) -> Prepared[MessageBatch[Message]]:
        """Decode the values; nothing here waits for anything."""
        decoded = self._decoder.decode_batch(values)
        batch = MessageBatch(decoded.messages, decoded.indexes, [origin_of(index) for index in decoded.indexes])
        return Prepared(batch, len(decoded.messages), tuple(decoded.refusals), decoded.newer_at)

    def prepare(self, pool: DatabasePool, batch: MessageBatch[Message]) -> None:
        """Nothing has to be committed before the batch."""

    def write(self, connection: Connection[TupleRow], batch: MessageBatch[Message]) -> Sequence[Refusal]:
        """Store the messages whose ids are new; return those that can never be accepted."""
        refusals = []
        for index, message, origin in zip(batch.indexes, batch.messages, batch.origins, strict=True):
            try:
                # What it stores, sends and logs tells of what caused the message.
                with caused_by(origin), connection.transaction():
                    message_id = self._message_id(message)
                    if self._is_new(connection, message_id):
                        self._store(connection, message)
                        log.info("message.stored", consumer=self.consumer, topic=self.topic, message_id=message_id)
            except (RefusedMessageError, psycopg.DataError, psycopg.IntegrityError) as error:
                refusals.append(Refusal(index, str(error)))
        return refusals

    def _is_new(self, connection: Connection[TupleRow], message_id: str) -> bool:
        added = connection.execute(
            "INSERT INTO consumed_messages (consumer, message_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (self.consumer, message_id),
        )
        return added.rowcount == 1
