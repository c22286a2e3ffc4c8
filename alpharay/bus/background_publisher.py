"""Publish from a request without waiting for Kafka: a bounded queue and a thread that empties it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import structlog

from alpharay.bus.producer import MessageProducer, PublishError
from alpharay.telemetry.origin import Origin, caused_by, current_origin

QUEUE_MESSAGES = 10_000
BATCH_MESSAGES = 1_000
EVERY_S = 0.25
"""How long a message may wait for company: each batch costs thread and broker the same, however many are in it."""

FLUSH_TIMEOUT_S = 10.0
LONGEST_PAUSE_S = 30.0

log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    topic: str
    message: msgspec.Struct
    key: str
    correlation_id: str
    origin: Origin | None
    """What caused it, where that is traced."""


class BackgroundPublisher:
    """Publishes messages at least once, in the background.

    `offer` never waits: when Kafka is away longer than the queue holds, the newest messages are dropped, counted and
    logged. A batch that was not acknowledged is sent again by a new producer.
    """

    def __init__(
        self,
        open_producer: Callable[[], MessageProducer],
        *,
        queue_messages: int = QUEUE_MESSAGES,
        every_s: float = EVERY_S,
    ) -> None:
        self._open_producer = open_producer
        self._queue: deque[_Waiting] = deque()
        self._limit = queue_messages
        self._every_s = every_s
        self._producer: MessageProducer | None = None
        self._stopping = threading.Event()
        self.published = 0
        self.dropped = 0
        self.failures = 0
        """Batches that were not acknowledged; each was sent again."""
        self._thread = threading.Thread(target=self._run, name="background-publisher", daemon=True)
        self._thread.start()

    def offer(self, topic: str, message: msgspec.Struct, *, key: str, correlation_id: str) -> bool:
        """Queue a message and return at once; False when the queue is full and the message was dropped."""
        if len(self._queue) >= self._limit:
            if self.dropped == 0:
                log.error("publisher.queue_full", topic=topic, limit=self._limit)
            self.dropped += 1
            return False
        origin = current_origin()
        traced = origin if origin is not None and origin.traceparent is not None else None
        self._queue.append(_Waiting(topic, message, key, correlation_id, traced))
        return True

    @property
    def waiting(self) -> int:
        """Messages that are not acknowledged yet."""
        return len(self._queue)

    def close(self, timeout_s: float = 5.0) -> None:
        """Give what waits `timeout_s` to leave, then stop."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        pause = self._every_s
        while True:
            stopping = self._stopping.wait(pause)
            pause = self._every_s
            while self._queue:
                batch = [self._queue[place] for place in range(min(len(self._queue), BATCH_MESSAGES))]
                if not self._publish(batch):
                    pause = min(max(pause, 0.5) * 2.0, LONGEST_PAUSE_S)
                    break
                for _ in batch:
                    self._queue.popleft()
                self.published += len(batch)
            if stopping:
                self._drop_producer()
                return

    def _publish(self, batch: list[_Waiting]) -> bool:
        try:
            if self._producer is None:
                self._producer = self._open_producer()
            for item in batch:
                with caused_by(item.origin):
                    self._producer.publish(item.topic, item.message, key=item.key, correlation_id=item.correlation_id)
            self._producer.flush(FLUSH_TIMEOUT_S)
        except PublishError as error:
            self.failures += 1
            log.warning("publisher.not_acknowledged", messages=len(batch), error=str(error))
            self._drop_producer()
            return False
        return True

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout_s=0.5)
            self._producer = None
