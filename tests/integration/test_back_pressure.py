"""Requests stay in Kafka while the queue of runs is full, and none is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from candle_stream import delete_topic, new_topic, wait_until
from conftest import Stack

from alpharay.bus.messages import DiscoveryRequest
from alpharay.bus.producer import MessageProducer
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.lease_queue import RoomInQueue, waiting
from alpharay.store.message_writer import MessageWriter
from alpharay.store.migrate import migrate
from alpharay.store.requests import store_request
from alpharay.store.runs import RUNS, claim_runs, finish_run
from alpharay.store.topic_sink import TopicSink

REQUESTS = 400
LIMIT = 50
BATCH = 20


@pytest.fixture
def topic(stack: Stack) -> Iterator[str]:
    name = new_topic(stack.kafka_bootstrap_servers)
    yield name
    delete_topic(stack.kafka_bootstrap_servers, name)


@pytest.fixture
def pool(database: str) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="back-pressure", max_connections=3) as pool:
        yield pool


def publish_requests(stack: Stack, topic: str) -> set[str]:
    with MessageProducer(stack.kafka_bootstrap_servers, client_id="back-pressure") as producer:
        for number in range(REQUESTS):
            request = DiscoveryRequest(
                run_id=f"run-{number}", exchange="simulated", symbol=f"S{number % 7}/USD", timeframe="1d",
                start_time=0, end_time=86_400_000, strategy_name="SMA_RSI",
            )  # fmt: skip
            producer.publish(topic, request, key=request.symbol)
        producer.flush()
    return {f"run-{number}" for number in range(REQUESTS)}


def test_a_full_queue_holds_the_consumer_back_until_there_is_room_and_nothing_is_lost(
    stack: Stack, pool: DatabasePool, topic: str
) -> None:
    expected = publish_requests(stack, topic)
    writer = MessageWriter(
        topic, "back-pressure", DiscoveryRequest, message_id=lambda request: request.run_id, store=store_request
    )
    now = 0.0
    sink = TopicSink(
        writer, pool, stack.kafka_bootstrap_servers, batch_messages=BATCH, gate=RoomInQueue(RUNS, LIMIT),
        clock=lambda: now,
    )  # fmt: skip

    def step() -> int:
        nonlocal now
        now += 1.0
        sink.step()
        with pool.connection() as connection:
            return waiting(connection, RUNS, REQUESTS)

    try:
        wait_until(lambda: step() >= LIMIT and sink.status.held_back, "the queue is full and the consumer holds back")
        held_at = step()
        # What was fetched before the gate closed may still be written: two batches.
        assert held_at <= LIMIT + 2 * BATCH
        assert [step() for _ in range(20)] == [held_at] * 20
        done: set[str] = set()

        def work() -> bool:
            step()
            with pool.connection() as connection:
                for run in claim_runs(connection, "worker", limit=30):
                    finish_run(connection, run, [])
                    done.add(run.run_id)
            return done == expected

        wait_until(work, "every request is worked off")
        assert not sink.status.held_back
        assert sink.status.written == REQUESTS
    finally:
        sink.close()


def test_there_is_room_again_at_four_fifths_of_the_limit(pool: DatabasePool) -> None:
    room = RoomInQueue(RUNS, 10)
    answers = []
    with pool.connection() as connection:
        for number in range(10):
            connection.execute("INSERT INTO discovery_runs (run_id, request) VALUES (%s, '{}')", (str(number),))
    for remaining in (10, 9, 8, 7, 9, 10):
        with pool.connection() as connection:
            connection.execute("UPDATE discovery_runs SET status = 'DONE'")
            connection.execute("UPDATE discovery_runs SET status = 'QUEUED' WHERE run_id::integer < %s", (remaining,))
        answers.append(room(pool))
    assert answers == [False, False, False, True, True, False]
