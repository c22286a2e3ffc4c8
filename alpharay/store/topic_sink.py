"""Kafka to PostgreSQL, each message with the effect of once, whatever dies in between.

A batch of one partition is one transaction: it moves the partition's stored offset from the value last read,
and it writes the rows. Nothing else remembers a position. So a sink that dies is continued from the last
commit, a sink that wakes up late finds the offset moved and rolls back, and a topic that is made anew has
another id and starts anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import psycopg
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.bus.codec import Refusal
from alpharay.bus.consumer import (
    TopicMissingError,
    correlation_id,
    describe_topic,
    end_offset,
    first_offset,
    message_origin,
    open_consumer,
)
from alpharay.bus.dead_letters import refuse
from alpharay.bus.processing import processing
from alpharay.bus.producer import MessageProducer, PublishError
from alpharay.store.database import DatabasePool
from alpharay.store.offsets import (
    PartitionKey,
    PartitionTakenError,
    advance_offset,
    start_offset,
)
from alpharay.store.partition_share import WHOLE, PartitionShare
from alpharay.telemetry.origin import Origin

Batch = TypeVar("Batch")

BATCH_MESSAGES = 50_000
POLL_S = 0.2
LAYOUT_CHECK_S = 30.0
GATE_CHECK_S = 1.0
STAND_BY_S = 15.0
"""A partition that another consumer took is taken back when its offset has not moved for this long."""
NEWER_VERSION_BACK_OFF_S = 30.0
FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Batch]):
    """A decoded batch.

    Its content, how many rows that is, what was refused, and where newer code is needed.
    """

    content: Batch
    rows: int
    refusals: tuple[Refusal, ...]
    newer_at: int | None = None


OriginOf = Callable[[int], Origin | None]
"""Returns what caused the message at a place of the batch; read only where it is kept."""


class BatchWriter(Protocol[Batch]):
    """What a sink does with the messages of its topic."""

    topic: str
    consumer: str

    def decode(self, values: Sequence[bytes], origin_of: OriginOf, /) -> Prepared[Batch]:
        """Turn values into what `write` needs, without any outside call.

        It runs while the batch before is written.
        """

    def prepare(self, pool: DatabasePool, batch: Batch) -> None:
        """Do what must be committed before the batch's own transaction."""

    def write(self, connection: Connection[TupleRow], batch: Batch) -> Sequence[Refusal]:
        """Write the batch in the connection's transaction.

        Return what the database shows can never be accepted.
        """


Gate = Callable[[DatabasePool], bool]
"""Tells whether more messages may be taken; asked at most every `GATE_CHECK_S`."""


@dataclass(slots=True)
class SinkStatus:
    """What a sink has done since it started, and how far it is behind; counts are messages."""

    consumer: str
    topic: str
    written: int = 0
    refused: int = 0
    lag: int | None = None
    held_back: bool = False
    """Whether messages are left in Kafka because the queue behind this sink is long."""
    stopped: dict[int, str] = field(default_factory=dict)
    """The partitions that do not move, and why."""


@dataclass(slots=True)
class _Partition:
    key: PartitionKey
    next_offset: int = 0
    """The stored offset as last read or written: what the next transaction expects to find."""
    fetched_to: int = 0
    """The offset that the next fetched message should have."""
    active: bool = False
    generation: int = 0
    """Grows whenever the partition stops, so that what was fetched before is not written afterwards."""
    resume_at: float = 0.0
    failures: int = 0
    taken_at_offset: int | None = None
    gap_seen_at: int | None = None


@dataclass(frozen=True, slots=True)
class _Fetched(Generic[Batch]):
    partition: _Partition
    generation: int
    messages: Sequence[Message]
    prepared: Prepared[Batch]
    first_offset: int
    next_offset: int


class TopicSink(Generic[Batch]):
    """Moves one topic's messages into PostgreSQL with a `BatchWriter`.

    Messages are fetched and decoded on the caller's thread while the batch before is written on another. A
    partition whose batch fails stops alone, with back-off, and goes on from its stored offset. Use `run` for
    a service and `drain` to process what is there; call `close` afterwards.
    """

    def __init__(
        self,
        writer: BatchWriter[Batch],
        pool: DatabasePool,
        bootstrap_servers: str,
        *,
        batch_messages: int = BATCH_MESSAGES,
        clock: Callable[[], float] = time.monotonic,
        before_write: Callable[[], None] = lambda: None,
        gate: Gate | None = None,
        share: PartitionShare = WHOLE,
    ) -> None:
        self.status = SinkStatus(writer.consumer, writer.topic)
        self._writer = writer
        self._pool = pool
        self._bootstrap_servers = bootstrap_servers
        self._batch_messages = batch_messages
        self._clock = clock
        self._before_write = before_write
        self._gate = gate
        self._share = self._wanted_share = share
        self._gate_check_at = 0.0
        self._paused: set[int] = set()
        self._consumer = open_consumer(bootstrap_servers, writer.consumer)
        self._producer: MessageProducer | None = None
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix=f"{writer.consumer}-write")
        self._pending: list[tuple[_Fetched[Batch], Future[None]]] = []
        self._partitions: dict[int, _Partition] = {}
        self._topic_id: str | None = None
        self._check_layout_at = 0.0
        self._layout_failures = 0

    def run(self, stop: threading.Event) -> None:
        """Process messages until `stop` is set; what is being written then is finished first."""
        while not stop.is_set():
            self.step()
        self._settle()

    def drain(self, timeout_s: float) -> int:
        """Process what the topic holds now and return how many rows were written; raises TimeoutError."""
        give_up_at = self._clock() + timeout_s
        written = self.status.written
        ends: dict[int, int] = {}
        while not ends or any(self._partitions[number].next_offset < end for number, end in ends.items()):
            if self._clock() > give_up_at:
                raise TimeoutError(
                    f"{self.status.consumer} did not reach the end of {self.status.topic} "
                    f"in {timeout_s:.0f} s; stopped partitions: {self.status.stopped or 'none'}"
                )
            self.step()
            if not ends:
                ends = {number: self._end(number) for number in self._partitions}
            if all(self._partitions[number].fetched_to >= end for number, end in ends.items()):
                self._settle()
        return self.status.written - written

    def take_share(self, share: PartitionShare) -> None:
        """Work on these partitions from the next step on; may be called from another thread.

        Whoever gives a partition up finishes what it holds of it first. Two sinks that hold one for a moment store
        nothing twice: one of them finds the offset moved.
        """
        self._wanted_share = share

    def step(self) -> None:
        """Fetch and decode one round of batches and hand them over to be written."""
        self._follow_share()
        self._check_layout()
        self._resume_partitions()
        self._follow_gate()
        messages = self._consumer.consume(self._batch_messages, timeout=POLL_S)
        fetched = self._decode(messages)
        self._settle()
        for batch in fetched:
            if batch.partition.active and batch.generation == batch.partition.generation:
                self._pending.append((batch, self._write_thread.submit(self._write, batch)))

    def update_lag(self) -> None:
        """Set `status.lag`: how many messages are not yet written, over all partitions."""
        ends = [self._end(number) for number in self._partitions]
        offsets = [partition.next_offset for partition in self._partitions.values()]
        self.status.lag = sum(max(end - offset, 0) for end, offset in zip(ends, offsets, strict=True))

    def close(self) -> None:
        """Finish what is being written and close the connections to Kafka."""
        self._settle()
        self._write_thread.shutdown(wait=True, cancel_futures=True)
        if self._producer is not None:
            self._producer.close()
        self._consumer.close()

    def _check_layout(self) -> None:
        """Adopt new partitions, and start anew when the topic was made anew."""
        if self._clock() < self._check_layout_at:
            return
        try:
            layout = describe_topic(self._bootstrap_servers, self._writer.topic)
        except (KafkaException, TopicMissingError) as error:
            self._layout_failures += 1
            self._check_layout_at = self._clock() + _back_off(self._layout_failures)
            log.warning("sink.topic_unknown", topic=self._writer.topic, error=str(error))
            return
        self._layout_failures = 0
        self._check_layout_at = self._clock() + LAYOUT_CHECK_S
        if self._topic_id not in (None, layout.topic_id):
            log.warning("sink.topic_made_anew", topic=layout.topic, topic_id=layout.topic_id)
            self._settle()
            for partition in self._partitions.values():
                self._stop(partition, "the topic was made anew", 0.0)
            self._partitions = {}
            self.status.stopped.clear()
        self._topic_id = layout.topic_id
        for number in layout.partitions:
            if number not in self._partitions and self._share.covers(number):
                key = PartitionKey(self._writer.consumer, layout.topic, layout.topic_id, number)
                self._partitions[number] = _Partition(key)

    def _follow_share(self) -> None:
        """Let go of the partitions that are another sink's now, and look for those that have come."""
        if self._share == self._wanted_share:
            return
        self._share = self._wanted_share
        self._settle()
        for number in [number for number in self._partitions if not self._share.covers(number)]:
            self._stop(self._partitions.pop(number), "it is another sink's", 0.0)
            del self.status.stopped[number]
        self._check_layout_at = 0.0

    def _follow_gate(self) -> None:
        """Leave messages in Kafka while what they are turned into cannot be worked off.

        Kafka goes on being polled, so the consumer stays alive; what was fetched before the gate closed is written.
        """
        if self._gate is None or self._clock() < self._gate_check_at:
            return
        self._gate_check_at = self._clock() + GATE_CHECK_S
        try:
            is_open = self._gate(self._pool)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("sink.gate_unknown", consumer=self.status.consumer, error=str(error))
            return
        wanted = set() if is_open else {number for number, one in self._partitions.items() if one.active}
        if bool(wanted) != self.status.held_back:
            log.info("sink.back_pressure", consumer=self.status.consumer, held_back=bool(wanted))
        self.status.held_back = bool(wanted)
        topic = self._writer.topic
        if wanted - self._paused:
            self._consumer.pause([TopicPartition(topic, number) for number in wanted - self._paused])
        if self._paused - wanted:
            active = [number for number in self._paused - wanted if number in self._partitions]
            self._consumer.resume([TopicPartition(topic, number) for number in active])
        self._paused = wanted

    def _resume_partitions(self) -> None:
        now = self._clock()
        due = [one for one in self._partitions.values() if not one.active and one.resume_at <= now]
        for partition in due:
            self._settle()
            try:
                self._resume(partition)
            except (psycopg.Error, PoolTimeout, KafkaException) as error:
                self._fail(partition, error)

    def _resume(self, partition: _Partition) -> None:
        key = partition.key
        first = first_offset(self._consumer, key.topic, key.partition)
        with self._pool.connection() as connection:
            offset = start_offset(connection, key, first)
        if partition.taken_at_offset is not None and offset != partition.taken_at_offset:
            partition.taken_at_offset = offset
            partition.resume_at = self._clock() + STAND_BY_S
            return
        partition.taken_at_offset = None
        partition.next_offset = partition.fetched_to = offset
        partition.active = True
        self.status.stopped.pop(key.partition, None)
        self._consumer.incremental_assign([TopicPartition(key.topic, key.partition, offset)])
        log.info("sink.partition_started", consumer=key.consumer, partition=key.partition, offset=offset)

    def _decode(self, messages: Sequence[Message]) -> list[_Fetched[Batch]]:
        grouped: dict[int, list[Message]] = {}
        for message in messages:
            if message.error() is not None:
                self._on_kafka_error(message)
            else:
                grouped.setdefault(message.partition(), []).append(message)
        batches = [self._decode_partition(number, group) for number, group in grouped.items()]
        return [batch for batch in batches if batch is not None]

    def _decode_partition(self, number: int, messages: list[Message]) -> _Fetched[Batch] | None:
        partition = self._partitions.get(number)
        if partition is None or not partition.active:
            return None
        first, last = messages[0].offset(), messages[-1].offset()
        expected = partition.fetched_to
        if first != expected or last - first + 1 != len(messages):
            # Kafka leaves holes only in compacted or transactional topics; anything else that looks like one
            # would lose messages, so fetch once more and believe it only when it is still there.
            if first < expected or partition.gap_seen_at != first:
                partition.gap_seen_at = first
                self._stop(partition, f"offsets jumped from {expected} to {first}..{last}", 0.0)
                return None
            log.warning("sink.offset_gap", partition=number, expected=expected, found=first)
        partition.fetched_to = last + 1
        values = [message.value() or b"" for message in messages]
        prepared = self._writer.decode(values, lambda place: message_origin(messages[place]))
        next_offset = last + 1 if prepared.newer_at is None else messages[prepared.newer_at].offset()
        return _Fetched(partition, partition.generation, messages, prepared, expected, next_offset)

    def _write(self, batch: _Fetched[Batch]) -> None:
        if batch.generation != batch.partition.generation or batch.next_offset == batch.first_offset:
            return
        self._before_write()
        with processing(self._writer.topic, self._writer.consumer, batch.messages):
            self._commit(batch)

    def _commit(self, batch: _Fetched[Batch]) -> None:
        self._writer.prepare(self._pool, batch.prepared.content)
        with self._pool.connection() as connection:
            advance_offset(connection, batch.partition.key, last_read=batch.first_offset, next_offset=batch.next_offset)
            refusals = [*batch.prepared.refusals, *self._writer.write(connection, batch.prepared.content)]
            # Before the commit: an offset that has advanced says that its refused messages are safe
            # elsewhere.
            self._refuse(batch, refusals)
        self.status.written += batch.prepared.rows
        self.status.refused += len(refusals)
        log.info(
            "sink.batch_written",
            consumer=self.status.consumer,
            partition=batch.partition.key.partition,
            offset=batch.first_offset,
            rows=batch.prepared.rows,
            refused=len(refusals),
        )

    def _refuse(self, batch: _Fetched[Batch], refusals: Sequence[Refusal]) -> None:
        if not refusals:
            return
        if self._producer is None:
            self._producer = MessageProducer(self._bootstrap_servers, client_id=self._writer.consumer)
        try:
            for refusal in refusals:
                message = batch.messages[refusal.index]
                refuse(
                    self._producer,
                    message.value() or b"",
                    reason=refusal.reason,
                    source=self._writer.consumer,
                    topic=self._writer.topic,
                    key=None if message.key() is None else message.key().decode(errors="replace"),
                    correlation=correlation_id(message),
                )
            self._producer.flush()
        except PublishError:
            self._producer.close()
            self._producer = None
            raise

    def _settle(self) -> None:
        """Wait for the batches that are being written; stop the partitions whose batch failed."""
        written: dict[int, TopicPartition] = {}
        for batch, future in self._pending:
            partition = batch.partition
            try:
                future.result()
            except PartitionTakenError as error:
                partition.taken_at_offset = batch.next_offset
                self._stop(partition, str(error), STAND_BY_S)
                log.warning("sink.partition_taken", partition=partition.key.partition, reason=str(error))
                continue
            except (psycopg.Error, PoolTimeout, PublishError, KafkaException) as error:
                self._fail(partition, error)
                continue
            if batch.generation != partition.generation:
                continue
            partition.next_offset = batch.next_offset
            partition.failures = 0
            number = partition.key.partition
            written[number] = TopicPartition(partition.key.topic, number, batch.next_offset)
            if batch.prepared.newer_at is not None:
                self._stop(partition, "a message is newer than this code", NEWER_VERSION_BACK_OFF_S)
                log.error(
                    "sink.newer_version",
                    topic=partition.key.topic,
                    partition=number,
                    offset=batch.next_offset,
                    advice="roll out the newer consumer; the partition waits for it",
                )
        self._pending = []
        self._copy_offsets(list(written.values()))

    def _copy_offsets(self, offsets: list[TopicPartition]) -> None:
        """Copy the offsets to Kafka, only so that its tools can show the lag.

        Nothing ever reads them back.
        """
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            log.warning("sink.offset_copy_failed", error=str(error))

    def _on_kafka_error(self, message: Message) -> None:
        error = message.error()
        partition = self._partitions.get(message.partition())
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) and partition:  # noqa: SLF001
            # Retention deleted what was not read yet, or the topic was made anew: the layout check tells
            # which.
            self._check_layout_at = 0.0
            self._fail(partition, KafkaException(error))
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("sink.kafka_error", topic=self._writer.topic, error=error.str())

    def _fail(self, partition: _Partition, error: Exception) -> None:
        partition.failures += 1
        delay = _back_off(partition.failures)
        self._stop(partition, f"{type(error).__name__}: {error}", delay)
        log.error(
            "sink.partition_stopped",
            consumer=partition.key.consumer,
            topic=partition.key.topic,
            partition=partition.key.partition,
            offset=partition.next_offset,
            retry_in_s=delay,
            error=f"{type(error).__name__}: {error}",
        )

    def _stop(self, partition: _Partition, reason: str, delay_s: float) -> None:
        key = partition.key
        self.status.stopped[key.partition] = reason
        partition.generation += 1
        partition.resume_at = self._clock() + delay_s
        if partition.active:
            partition.active = False
            self._paused.discard(key.partition)
            self._consumer.incremental_unassign([TopicPartition(key.topic, key.partition)])

    def _end(self, number: int) -> int:
        return end_offset(self._consumer, self._writer.topic, number)


def _back_off(failures: int) -> float:
    return min(FIRST_BACK_OFF_S * 2.0 ** min(failures - 1, 10), LONGEST_BACK_OFF_S)
