"""What could not be processed.

Set aside with its reason, listed, and published again after the cause is mended.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from confluent_kafka import TopicPartition

from alpharay.bus.codec import MessageDecoder, NewerVersionError, UndecodableError
from alpharay.bus.consumer import describe_topic, end_offset, first_offset, open_consumer
from alpharay.bus.messages import DeadLetter
from alpharay.bus.producer import MessageProducer
from alpharay.bus.topics import DEAD_LETTERS

READ_TIMEOUT_S = 30.0
READ_MESSAGES = 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter and its place in the topic."""

    partition: int
    offset: int
    letter: DeadLetter


def refuse(
    producer: MessageProducer,
    value: bytes,
    *,
    reason: str,
    source: str,
    topic: str | None,
    key: str | None,
    correlation: str | None = None,
) -> None:
    """Queue a refused value for `dead-letters`.

    Flush the producer before the refused message's offset advances.
    """
    try:
        text, encoding = value.decode(), "text"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(value).decode(), "base64"
    letter = DeadLetter(
        reason=reason,
        source=source,
        topic=topic,
        key=key,
        value=text,
        encoding=encoding,
        correlation_id=correlation,
        refused_at=time.time_ns() // 1_000_000,
    )
    log.warning("message.refused", source=source, topic=topic, key=key, reason=reason)
    producer.publish(DEAD_LETTERS, letter, key=key or source, correlation_id=correlation)


def refused_value(letter: DeadLetter) -> bytes:
    """Return the bytes that were refused.

    Raises ValueError when the letter's encoding is unknown or broken.
    """
    if letter.encoding == "text":
        return letter.value.encode()
    if letter.encoding == "base64":
        try:
            return base64.b64decode(letter.value, validate=True)
        except binascii.Error as error:
            raise ValueError(f"value is no base64: {error}") from error
    raise ValueError(f"encoding must be text or base64, was {letter.encoding!r}")


def read_dead_letters(
    bootstrap_servers: str,
    *,
    source: str | None = None,
    topic: str | None = None,
    since_ms: int | None = None,
    timeout_s: float = READ_TIMEOUT_S,
) -> Iterator[StoredDeadLetter]:
    """Yield the letters that Kafka holds now, oldest first in each partition.

    `source` (who refused), `topic` (where it came from) and `since_ms` (refused at or after, UTC) filter.
    Raises TimeoutError when Kafka gives nothing for `timeout_s`.
    """
    layout = describe_topic(bootstrap_servers, DEAD_LETTERS)
    decoder = MessageDecoder(DeadLetter)
    consumer = open_consumer(bootstrap_servers, "dead-letters-reader")
    try:
        ends = {number: end_offset(consumer, DEAD_LETTERS, number) for number in layout.partitions}
        starts = {number: first_offset(consumer, DEAD_LETTERS, number) for number in layout.partitions}
        unread = {number for number in layout.partitions if starts[number] < ends[number]}
        consumer.assign([TopicPartition(DEAD_LETTERS, number, starts[number]) for number in unread])
        give_up_at = time.monotonic() + timeout_s
        while unread:
            messages = consumer.consume(READ_MESSAGES, timeout=0.5)
            if messages:
                give_up_at = time.monotonic() + timeout_s
            elif time.monotonic() > give_up_at:
                raise TimeoutError(
                    f"Kafka gave no dead letter for {timeout_s:.0f} s; partitions unread: {sorted(unread)}"
                )
            for message in messages:
                if message.error() is not None or message.offset() >= ends[message.partition()]:
                    continue
                if message.offset() == ends[message.partition()] - 1:
                    unread.discard(message.partition())
                letter = _read(decoder, message.value() or b"", message.partition(), message.offset())
                if letter is not None and _wanted(letter, source, topic, since_ms):
                    yield StoredDeadLetter(message.partition(), message.offset(), letter)
    finally:
        consumer.close()


def replay(producer: MessageProducer, stored: StoredDeadLetter) -> str:
    """Queue the refused value for the topic that it came from, and return that topic.

    Flush the producer afterwards. Every consumer drops what it has seen already, so replaying twice is
    harmless. Raises ValueError for a letter that names no topic.
    """
    letter = stored.letter
    if letter.topic is None:
        raise ValueError(f"dead letter {stored.partition}:{stored.offset} names no topic to replay to")
    producer.publish_bytes(letter.topic, refused_value(letter), key=letter.key, correlation_id=letter.correlation_id)
    return letter.topic


def _read(decoder: MessageDecoder[DeadLetter], value: bytes, partition: int, offset: int) -> DeadLetter | None:
    try:
        return decoder.decode(value)
    except (UndecodableError, NewerVersionError) as error:
        log.warning("dead_letter.unreadable", partition=partition, offset=offset, error=str(error))
        return None


def _wanted(letter: DeadLetter, source: str | None, topic: str | None, since_ms: int | None) -> bool:
    return (
        (source is None or letter.source == source)
        and (topic is None or letter.topic == topic)
        and (since_ms is None or letter.refused_at >= since_ms)
    )
