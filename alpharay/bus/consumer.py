"""Read Kafka partitions at offsets that this system keeps itself."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from alpharay.bus.connection import broker_connection
from alpharay.telemetry.origin import CORRELATION_ID, Origin, origin_of_headers

REQUEST_TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


class TopicMissingError(LookupError):
    """The topic does not exist (yet)."""


@dataclass(frozen=True, slots=True)
class TopicLayout:
    """A topic as it is now.

    A topic that was deleted and made again has the same name and another `topic_id`.
    """

    topic: str
    topic_id: str
    partitions: tuple[int, ...]


def describe_topic(bootstrap_servers: str, topic: str, *, timeout_s: float = REQUEST_TIMEOUT_S) -> TopicLayout:
    """Ask the brokers for a topic's id and partitions.

    Raises TopicMissingError, or KafkaException when none answers.
    """
    admin = AdminClient({**broker_connection(bootstrap_servers), "error_cb": log_consumer_error})
    answers = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)
    try:
        description = answers[topic].result(timeout=timeout_s + 1)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicMissingError(f"Kafka has no topic {topic}: run `alpharay stack up`, or create it") from error
        raise
    partitions = tuple(sorted(partition.id for partition in description.partitions))
    return TopicLayout(topic, str(description.topic_id), partitions)


def open_consumer(bootstrap_servers: str, name: str) -> Consumer:
    """Return a consumer that is assigned its partitions and never chooses or stores an offset by itself.

    `name` is only the group under which offsets are copied to Kafka, so that tools can show the lag.
    """
    return Consumer(
        {
            **broker_connection(bootstrap_servers),
            "group.id": name,
            "client.id": name,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            # Bounds the memory of what is fetched ahead; about 150,000 candles.
            "queued.max.messages.kbytes": 32 * 1024,
            "fetch.wait.max.ms": 100,
            # The default pauses fetching for a whole second whenever the queue is full.
            "fetch.queue.backoff.ms": 10,
            "reconnect.backoff.max.ms": 2000,
            "error_cb": log_consumer_error,
        }
    )


def first_offset(consumer: Consumer, topic: str, partition: int) -> int:
    """Return the offset of the oldest message that Kafka still has."""
    return int(_watermarks(consumer, topic, partition)[0])


def end_offset(consumer: Consumer, topic: str, partition: int) -> int:
    """Return the offset that the next message published to the partition will get."""
    return int(_watermarks(consumer, topic, partition)[1])


def correlation_id(message: Message) -> str | None:
    """Return the message's correlation id, if its producer set one."""
    for name, value in message.headers() or ():
        if name == CORRELATION_ID and value is not None:
            return bytes(value).decode(errors="replace")
    return None


def message_origin(message: Message) -> Origin | None:
    """Return what caused a message, as its headers tell; None when they hold no correlation id."""
    told = {name: bytes(value).decode(errors="replace") for name, value in message.headers() or () if value is not None}
    return origin_of_headers(told)


def log_consumer_error(error: KafkaError) -> None:
    """Log what librdkafka reports on its own; it reconnects by itself."""
    log.warning("kafka.client_error", error=error.str(), code=error.name())


def _watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    marks: tuple[int, int] | None = consumer.get_watermark_offsets(
        TopicPartition(topic, partition), timeout=REQUEST_TIMEOUT_S
    )
    if marks is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no offsets of {topic}[{partition}]"))  # noqa: SLF001
    return marks
