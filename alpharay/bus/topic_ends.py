"""Where topics begin and end now: what consumers are measured against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alpharay.bus.consumer import TopicMissingError, describe_topic, end_offset, first_offset, open_consumer


@dataclass(frozen=True, slots=True)
class TopicEnds:
    """A topic's id, and of each partition the offsets of its oldest message and of its next."""

    topic_id: str
    firsts: Mapping[int, int]
    ends: Mapping[int, int]


def topic_ends(bootstrap_servers: str, topics: Iterable[str]) -> dict[str, TopicEnds]:
    """Return the ends of the topics that exist; raises KafkaException when no broker answers."""
    found = {}
    consumer = open_consumer(bootstrap_servers, "topic-ends-reader")
    try:
        for topic in topics:
            try:
                layout = describe_topic(bootstrap_servers, topic)
            except TopicMissingError:
                continue
            found[topic] = TopicEnds(
                layout.topic_id,
                {number: first_offset(consumer, topic, number) for number in layout.partitions},
                {number: end_offset(consumer, topic, number) for number in layout.partitions},
            )
    finally:
        consumer.close()
    return found
