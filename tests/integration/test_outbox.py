"""Request to run, run to outbox, outbox to Kafka, Kafka to strategies: each with the effect of once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import msgspec
import psycopg
import pytest
from candle_stream import delete_topic, new_topic
from test_run_queue import champion, request

from alpharay.bus.dead_letters import read_dead_letters
from alpharay.bus.producer import MessageProducer, PublishError
from alpharay.bus.topics import DISCOVERED_STRATEGIES
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.migrate import migrate
from alpharay.store.outbox import add_to_outbox, forget_old_messages, publish_outbox, waiting_messages
from alpharay.store.requests import request_writer
from alpharay.store.runs import claim_runs, enqueue_run, finish_run, run_state
from alpharay.store.strategies import best_strategies, strategy_writer
from alpharay.store.topic_sink import TopicSink

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def pool(database) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="test") as pool:
        yield pool


@pytest.fixture
def topic(stack) -> Iterator[str]:
    name = new_topic(stack.kafka_bootstrap_servers, name=f"messages-{uuid.uuid4().hex[:8]}")
    yield name
    delete_topic(stack.kafka_bootstrap_servers, name)


@pytest.fixture
def producer(stack) -> Iterator[MessageProducer]:
    with MessageProducer(stack.kafka_bootstrap_servers, client_id="test") as producer:
        yield producer


def drain(stack, pool, writer, topic: str):
    writer.topic = topic
    sink = TopicSink(writer, pool, stack.kafka_bootstrap_servers)
    try:
        sink.drain(60)
        return sink.status
    finally:
        sink.close()


def store(stack, pool, topic: str, producer: MessageProducer, *champions) -> object:
    for one in champions:
        producer.publish(topic, one, key=one.symbol)
    producer.flush()
    return drain(stack, pool, strategy_writer(), topic)


def test_a_request_becomes_one_run_however_often_it_is_sent(stack, pool, topic, producer):
    for _ in range(3):
        producer.publish(topic, request("run-1"), key="BTC/USD")
    producer.publish(topic, request("backwards", start_time=10, end_time=5), key="BTC/USD")
    producer.publish(topic, request("century", timeframe="1c"), key="BTC/USD")
    producer.publish(topic, request("nul\x00"), key="BTC/USD")
    producer.flush()
    assert drain(stack, pool, request_writer(), topic).refused == 3
    reasons = sorted(one.letter.reason for one in read_dead_letters(stack.kafka_bootstrap_servers, topic=topic))
    assert any("start_time" in reason for reason in reasons)
    assert any("timeframe" in reason for reason in reasons)
    with pool.connection() as connection:
        assert [run.request for run in claim_runs(connection, "worker", limit=1)] == [request("run-1")]
        assert claim_runs(connection, "worker", limit=1) == []


def test_champions_travel_from_a_finished_run_to_the_strategies_table(stack, pool, producer):
    with pool.connection() as connection:
        enqueue_run(connection, request("run-1"))
        finish_run(
            connection, claim_runs(connection, "worker", limit=1)[0], [champion(0, score=1.0), champion(1, score=2.0)]
        )
        assert waiting_messages(connection) == 2
    assert publish_outbox(pool, producer) == 2
    assert publish_outbox(pool, producer) == 0
    drain(stack, pool, strategy_writer(), DISCOVERED_STRATEGIES)
    with pool.connection() as connection:
        found = best_strategies(connection, symbol="BTC/USD", timeframe="1d")
        assert run_state(connection, "run-1").status == "DONE"
    assert [(one.strategy_id, one.score, one.status, one.objective) for one in found] == [
        ("strategy-1", 2.0, "CANDIDATE", "sharpe"),
        ("strategy-0", 1.0, "CANDIDATE", "sharpe"),
    ]
    assert found[0].parameters == {"length": 14.0}
    assert found[0].out_of_sample == {"sharpe": None}


def test_a_repeated_message_is_dropped_and_another_run_adds_evidence(stack, pool, topic, producer):
    first = champion(0)
    earlier = msgspec.structs.replace(first, message_id="m2", run_id="run-2", end_time=80_000_000, score=9.0)
    later = msgspec.structs.replace(first, message_id="m3", run_id="run-3", end_time=90_000_000, score=0.5)
    status = store(stack, pool, topic, producer, first, first, earlier, later, later)
    assert status.refused == 0
    with pool.connection() as connection:
        evidence = connection.execute("SELECT run_id, score FROM strategy_evidence ORDER BY run_id").fetchall()
        (shown,) = best_strategies(connection)
    assert evidence == [("run-1", 1.5), ("run-2", 9.0), ("run-3", 0.5)]
    assert (shown.score, shown.end_time) == (0.5, 90_000_000)
    assert shown.last_evaluated_at >= shown.first_discovered_at


def test_an_identity_of_another_market_is_refused_and_overwrites_nothing(stack, pool, topic, producer):
    stolen = champion(0, message_id="m2", run_id="run-2", symbol="ETH/USD", end_time=99_000_000)
    status = store(stack, pool, topic, producer, champion(0), stolen, champion(1))
    assert status.refused == 1
    (letter,) = read_dead_letters(stack.kafka_bootstrap_servers, topic=topic)
    assert "belongs to simulated BTC/USD 1d" in letter.letter.reason
    with pool.connection() as connection:
        assert {one.symbol for one in best_strategies(connection)} == {"BTC/USD"}
        assert connection.execute("SELECT count(*) FROM strategy_evidence").fetchone() == (2,)


def test_a_broker_that_does_not_answer_leaves_the_messages_waiting(pool):
    with pool.connection() as connection:
        add_to_outbox(connection, "nowhere", champion(0), message_id="m", key="k")
        assert not add_to_outbox(connection, "nowhere", champion(0), message_id="m", key="k")
    dead = MessageProducer("127.0.0.1:1", client_id="test")
    dead.flush = lambda *_: MessageProducer.flush(dead, 1.0)
    with pytest.raises(PublishError, match="not acknowledged"):
        publish_outbox(pool, dead)
    dead.close(timeout_s=0.1)
    with pool.connection() as connection:
        assert waiting_messages(connection) == 1


def test_old_published_messages_are_forgotten_and_waiting_ones_never(pool):
    with pool.connection() as connection:
        for message_id in ("old", "waiting", "fresh"):
            add_to_outbox(connection, "t", champion(0), message_id=message_id, key="k")
        connection.execute("UPDATE outbox SET published_at = now() WHERE message_id = 'fresh'")
        connection.execute("UPDATE outbox SET published_at = now() - interval '20 days' WHERE message_id = 'old'")
        connection.execute(
            "INSERT INTO consumed_messages VALUES ('c', 'old', now() - interval '20 days'), ('c', 'new', now())"
        )
        assert forget_old_messages(connection) == 2
        left = connection.execute("SELECT message_id FROM outbox ORDER BY id").fetchall()
    assert left == [("waiting",), ("fresh",)]


def test_the_outbox_is_published_by_one_process_at_a_time(pool, producer, database):
    with pool.connection() as connection:
        add_to_outbox(connection, DISCOVERED_STRATEGIES, champion(0), message_id="m", key="k")
    with psycopg.connect(database) as rival:
        rival.execute("SELECT pg_advisory_xact_lock(7274519003)")
        assert publish_outbox(pool, producer) == 0
    assert publish_outbox(pool, producer) == 1
