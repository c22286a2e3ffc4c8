"""The parts of the local stack: real servers that survive crashes and keep their data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
import pytest
import ray
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from alpharay.bus import topics
from cluster.local.topics import create_topics

if TYPE_CHECKING:
    from conftest import Stack


def test_postgres_killed_keeps_committed_rows(stack: Stack, database: str, crash: Callable[[str], None]) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    crash("postgres")
    stack.start("postgres")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(7,)]


def test_postgres_needs_the_password(stack: Stack) -> None:
    without = psycopg.conninfo.conninfo_to_dict(stack.database_url) | {"password": "wrong"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**without).close()


def test_kafka_killed_keeps_acknowledged_messages(stack: Stack, crash: Callable[[str], None]) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka_bootstrap_servers, "acks": "all"})
    producer.produce(topics.NEWS, key="SOL/USD", value=b"kept")
    assert producer.flush(10) == 0
    crash("kafka")
    stack.start("kafka")
    consumer = Consumer(
        {
            "bootstrap.servers": stack.kafka_bootstrap_servers,
            "group.id": "test-local-stack",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topics.NEWS])
    try:
        message = consumer.poll(30)
        assert message is not None
        assert message.value() == b"kept"
    finally:
        consumer.close()


def test_topics_created_twice_stay_as_they_are(stack: Stack) -> None:
    assert create_topics(stack.kafka_bootstrap_servers) == []
    found = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers}).list_topics(timeout=10).topics
    assert {name: len(found[name].partitions) for name in topics.ALL} == {
        name: 4 if name in (topics.CANDLES, topics.DISCOVERY_REQUESTS, topics.BACKTEST_REQUESTS) else 1
        for name in topics.ALL
    }


def test_valkey_ended_keeps_its_values(stack: Stack) -> None:
    from cluster.local import valkey

    redis.Redis.from_url(stack.redis_url).set("kept", "7")
    valkey.stop(stack.folder / "valkey")
    stack.start("valkey")
    assert redis.Redis.from_url(stack.redis_url).get("kept") == b"7"


def test_ray_worker_imports_the_library(ray_cluster: str) -> None:
    assert ray_cluster.startswith("127.0.0.1:")

    @ray.remote
    def version() -> str:
        import alpharay

        return alpharay.__name__

    assert ray.get(version.remote(), timeout=60) == "alpharay"
