"""The Kafka topics, made on purpose: a broker of ours never makes one because a name was misspelt."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from alpharay.bus import topics
from alpharay.bus.connection import broker_connection

# Candles and requests are the topics whose consumers are several.
PARTITIONS = {topics.CANDLES: 4, topics.DISCOVERY_REQUESTS: 4, topics.BACKTEST_REQUESTS: 4}
CREATE_SECONDS = 30.0


def create_topics(bootstrap_servers: str) -> list[str]:
    """Create the topics that are missing and return their names; those that exist stay as they are."""
    client = AdminClient({**broker_connection(bootstrap_servers), "log_level": 0})
    existing = client.list_topics(timeout=CREATE_SECONDS).topics
    missing = [name for name in topics.ALL if name not in existing]
    if not missing:
        return []
    # -1: as many replicas as the cluster's default says; a local broker has one, a real cluster three.
    wanted = [NewTopic(name, num_partitions=PARTITIONS.get(name, 1), replication_factor=-1) for name in missing]
    for answer in client.create_topics(wanted, operation_timeout=CREATE_SECONDS).values():
        try:
            answer.result(timeout=CREATE_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return missing
