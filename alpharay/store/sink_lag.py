"""How far a sink is behind its topic, as the stored offsets and the brokers tell."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.autoscaling.consumer_lag import PartitionPosition
from alpharay.bus.consumer import describe_topic, end_offset, first_offset, open_consumer


def end_offsets(bootstrap_servers: str, topic: str) -> tuple[str, dict[int, int]]:
    """Return the topic's id and, for each partition that holds messages, the offset after its newest one."""
    layout = describe_topic(bootstrap_servers, topic)
    consumer = open_consumer(bootstrap_servers, "lag-reader")
    try:
        ends = {number: end_offset(consumer, topic, number) for number in layout.partitions}
        firsts = {number: first_offset(consumer, topic, number) for number in layout.partitions}
    finally:
        consumer.close()
    return layout.topic_id, {number: end for number, end in ends.items() if end > firsts[number]}


def sink_lag(connection: Connection[TupleRow], consumer: str, topic_id: str, ends: dict[int, int]) -> int:
    """Return how many messages before `ends` the sink has not written yet."""
    rows = connection.execute(
        "SELECT partition, next_offset FROM consumer_offsets WHERE consumer = %s AND topic_id = %s",
        (consumer, topic_id),
    ).fetchall()
    stored = {int(row[0]): int(row[1]) for row in rows}
    return sum(max(end - stored.get(number, 0), 0) for number, end in ends.items())


def sink_positions(
    connection: Connection[TupleRow], bootstrap_servers: str, consumer: str, topic: str
) -> dict[tuple[str, int], PartitionPosition]:
    """Return each partition's end and how far the sink has come, by topic and partition.

    Raises TopicMissingError, or KafkaException when no broker answers.
    """
    layout = describe_topic(bootstrap_servers, topic)
    rows = connection.execute(
        "SELECT partition, next_offset FROM consumer_offsets WHERE consumer = %s AND topic_id = %s",
        (consumer, layout.topic_id),
    ).fetchall()
    stored = {int(row[0]): int(row[1]) for row in rows}
    reader = open_consumer(bootstrap_servers, "lag-reader")
    try:
        return {
            (topic, number): PartitionPosition(
                end_offset(reader, topic, number), stored.get(number), first_offset(reader, topic, number)
            )
            for number in layout.partitions
        }
    finally:
        reader.close()
