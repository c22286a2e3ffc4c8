"""Publish messages to Kafka so that each one is either acknowledged by the brokers or reported as failed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from alpharay.bus.codec import encode
from alpharay.bus.connection import broker_connection
from alpharay.telemetry.identifiers import new_identifier
from alpharay.telemetry.origin import CORRELATION_ID, TRACEPARENT, current_origin
from alpharay.telemetry.spans import span

QUEUE_MESSAGES = 100_000
QUEUE_KIBIBYTES = 128 * 1024
DELIVERY_TIMEOUT_S = 120.0
"""How long a broker may be away before a message counts as failed; a restart takes a few seconds."""

log = structlog.get_logger(__name__)


class PublishError(RuntimeError):
    """Messages were not acknowledged.

    What was published since the last good flush must be published again.
    """


class MessageProducer:
    """An idempotent producer (acks=all): retries inside it neither lose, double nor reorder messages.

    Not safe to share between threads. After a PublishError, close it and open a new one: an idempotent
    producer that has met a fatal error accepts nothing more.
    """

    def __init__(self, bootstrap_servers: str, *, client_id: str, linger_ms: float = 5.0) -> None:
        self._producer = Producer(
            {
                **broker_connection(bootstrap_servers),
                "client.id": client_id,
                # librdkafka writes to standard error by itself; its notes on normal life are no one's business.
                "log_level": 5,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                # As Java's clients do it, so that any producer puts a symbol into the same partition; and
                # unlike the default's CRC it spreads names that differ in one letter.
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": QUEUE_KIBIBYTES,
                "delivery.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000),
                "reconnect.backoff.max.ms": 2000,
                "error_cb": _log_error,
            },
            logger=None,
        )
        self._failures: list[str] = []
        self._failed = 0

    def publish(
        self,
        topic: str,
        message: msgspec.Struct,
        *,
        key: str,
        correlation_id: str | None = None,
    ) -> None:
        """Queue a message.

        Only a later `flush` tells that it arrived. Raises PublishError when the queue stays full.
        """
        self.publish_bytes(topic, encode(message), key=key, correlation_id=correlation_id)

    def publish_bytes(
        self,
        topic: str,
        value: bytes,
        *,
        key: str | None,
        correlation_id: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Queue a value that is encoded already; `publish` says the rest.

        Its headers tell of the origin of the work under way, where they do not tell of another one.
        """
        with span(f"send {topic}", "producer", {"messaging.system": "kafka", "messaging.destination.name": topic}):
            self._queue(topic, value, key, _headers(correlation_id, headers or {}))

    def _queue(self, topic: str, value: bytes, key: str | None, headers: dict[str, str]) -> None:
        give_up_at = time.monotonic() + DELIVERY_TIMEOUT_S
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key=key,
                    headers=[(name, text.encode()) for name, text in headers.items()],
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                # The queue is full: back-pressure. Serve delivery reports until there is room again.
                if time.monotonic() > give_up_at:
                    raise PublishError(
                        f"Kafka took no message of {topic} for {DELIVERY_TIMEOUT_S:.0f} s (queue full): "
                        "check that the brokers run (`alpharay stack status`)"
                    ) from None
                self._producer.poll(0.1)
            except KafkaException as error:
                raise PublishError(f"publishing to {topic} failed: {error}") from error
            else:
                self._producer.poll(0)
                return

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_S) -> None:
        """Wait until every message is acknowledged.

        Raises PublishError for failed ones and after `timeout_s`.
        """
        waiting = self._producer.flush(timeout_s)
        failed, reasons = self._failed, self._failures
        self._failed, self._failures = 0, []
        if failed or waiting:
            raise PublishError(
                f"{failed} messages failed and {waiting} were not acknowledged in {timeout_s:.0f} s"
                + (f": {'; '.join(reasons)}" if reasons else "")
            )

    def close(self, timeout_s: float = 5.0) -> None:
        """Give queued messages `timeout_s` to leave, and drop the rest."""
        self._producer.flush(timeout_s)
        self._producer.purge()
        self._producer.flush(1.0)
        # Nothing is left to flush, so this only ends the connections and their threads.
        self._producer.close()

    def __enter__(self) -> MessageProducer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        self._failed += 1
        if len(self._failures) < 3:
            self._failures.append(f"{message.topic()}: {error.str()}")


def _headers(correlation_id: str | None, told: Mapping[str, str]) -> dict[str, str]:
    origin = current_origin()
    known = correlation_id or told.get(CORRELATION_ID) or (None if origin is None else origin.correlation_id)
    headers = {**told, CORRELATION_ID: known or new_identifier()}
    # A span under way is nearer than the one that was told when the message was stored: its parent is that one.
    if origin is not None and origin.traceparent is not None:
        headers[TRACEPARENT] = origin.traceparent
    return headers


def _log_error(error: KafkaError) -> None:
    log.warning("kafka.producer_error", error=error.str(), fatal=error.fatal())
