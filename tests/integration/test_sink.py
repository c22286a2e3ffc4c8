"""Kafka to PostgreSQL: nothing lost, nothing twice, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import psycopg
import pytest
from candle_stream import (
    START,
    delete_topic,
    expected_rows,
    generated_candles,
    new_topic,
    publish,
    stored_rows,
    wait_until,
)
from confluent_kafka import KafkaException

from alpharay.bus.dead_letters import read_dead_letters, replay
from alpharay.bus.messages import CandleMessage
from alpharay.bus.producer import MessageProducer
from alpharay.store import topic_sink
from alpharay.store.candle_rows import Market
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.candles import load_candles, load_newest_candles, newest_open_time
from alpharay.store.database import open_pool
from alpharay.store.migrate import migrate, newest_revision
from alpharay.store.topic_sink import TopicSink

pytestmark = pytest.mark.timeout(180)

SINK_PROCESS = """
import sys, threading
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.database import open_pool
from alpharay.store.topic_sink import TopicSink
database, kafka, topic = sys.argv[1:]
pool = open_pool(database, application="killed-sink")
TopicSink(CandleWriter(topic), pool, kafka, batch_messages=1000).run(threading.Event())
"""


@pytest.fixture
def topic(stack) -> Iterator[str]:
    name = new_topic(stack.kafka_bootstrap_servers)
    yield name
    delete_topic(stack.kafka_bootstrap_servers, name)


@contextmanager
def open_sink(stack, database: str, topic: str, **options) -> Iterator[TopicSink]:
    migrate(database)
    with open_pool(database, application="test-sink", max_connections=2) as pool:
        sink = TopicSink(CandleWriter(topic), pool, stack.kafka_bootstrap_servers, **options)
        try:
            yield sink
        finally:
            sink.close()


@contextmanager
def running(sink: TopicSink) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=sink.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_the_table_equals_what_was_published_and_a_second_sink_finds_nothing_to_do(stack, database, topic):
    messages = generated_candles(20_000)
    publish(stack.kafka_bootstrap_servers, topic, messages)
    with open_sink(stack, database, topic, batch_messages=3000) as sink:
        assert sink.drain(60) == 20_000
    with open_sink(stack, database, topic) as sink:
        assert sink.drain(60) == 0
        sink.update_lag()
        assert sink.status.lag == 0
    assert stored_rows(database) == expected_rows(messages)


def test_migrating_twice_and_at_once_is_migrating_once(database):
    threads = [threading.Thread(target=migrate, args=(database,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert migrate(database) == newest_revision()


def test_candles_are_read_back_as_they_were_written(stack, database, topic):
    messages = [message for message in generated_candles(3000, symbols=3) if message.symbol == "S1/USD"]
    publish(stack.kafka_bootstrap_servers, topic, messages)
    with open_sink(stack, database, topic) as sink:
        sink.drain(60)
    market = Market("generated", "S1/USD", "1m")
    with psycopg.connect(database) as connection:
        candles = load_candles(connection, market)
        assert candles.open_time.tolist() == [message.open_time for message in messages]
        assert candles.close.tolist() == [message.close for message in messages]
        assert len(load_candles(connection, market, start_ms=START + 60_000, end_ms=START + 180_000)) == 2
        assert load_newest_candles(connection, market, 10).open_time.tolist() == candles.open_time[-10:].tolist()
        assert newest_open_time(connection, market) == messages[-1].open_time
        nothing = Market("generated", "NONE/USD", "1m")
        assert len(load_candles(connection, nothing)) == 0
        assert len(load_newest_candles(connection, nothing, 5)) == 0
        assert newest_open_time(connection, nothing) is None


def test_bad_messages_go_to_dead_letters_with_the_reason_and_can_be_replayed(stack, database, topic):
    good = generated_candles(100, symbols=1)
    bad = msgspec.structs.replace(good[50], high=1.0)
    publish(stack.kafka_bootstrap_servers, topic, [*good[:50], b"\xff no json", bad, *good[51:]])
    with open_sink(stack, database, topic) as sink:
        sink.drain(60)
        assert sink.status.refused == 2
    assert stored_rows(database) == expected_rows([*good[:50], *good[51:]])
    letters = list(read_dead_letters(stack.kafka_bootstrap_servers, topic=topic))
    assert len(letters) == 2
    assert any("high" in one.letter.reason and one.letter.key == "S0/USD" for one in letters)

    with MessageProducer(stack.kafka_bootstrap_servers, client_id="test") as producer:
        assert [replay(producer, one) for one in letters] == [topic, topic]
        producer.flush()
    with open_sink(stack, database, topic) as sink:
        assert sink.drain(60) == 0
        assert sink.status.refused == 2


def test_the_highest_revision_wins_across_batches_and_equal_values_are_left_alone(stack, database, topic):
    first = generated_candles(4, symbols=1)
    older = msgspec.structs.replace(first[0], revision=first[0].revision - 1, close=first[0].close + 0.5)
    newer = msgspec.structs.replace(first[1], revision=first[1].revision + 5, close=first[1].close + 0.5)
    newest = msgspec.structs.replace(newer, revision=newer.revision + 1, volume=1.0)
    same = msgspec.structs.replace(first[2], revision=first[2].revision + 5)
    with open_sink(stack, database, topic) as sink:
        for batch in (first, [older, newest, newer, same]):
            publish(stack.kafka_bootstrap_servers, topic, batch)
            sink.drain(60)
    assert stored_rows(database) == expected_rows([first[0], newest, first[2], first[3]])
    with psycopg.connect(database) as connection:
        revisions = connection.execute("SELECT revision FROM candles ORDER BY open_time").fetchall()
    assert revisions[2] == (first[2].revision,)


def test_a_newer_version_stops_its_partition_before_it_and_no_other(stack, database, topic):
    messages = generated_candles(400, symbols=8)
    keys = sorted({message.symbol for message in messages})
    publish(stack.kafka_bootstrap_servers, topic, messages)
    newer = msgspec.structs.replace(messages[0], version=2)
    publish(stack.kafka_bootstrap_servers, topic, [newer])
    later = [msgspec.structs.replace(one, open_time=one.open_time + 10**9 * 6) for one in messages]
    publish(stack.kafka_bootstrap_servers, topic, later)
    with open_sink(stack, database, topic) as sink:
        with pytest.raises(TimeoutError, match="newer than this code"):
            sink.drain(5)
        assert len(sink.status.stopped) == 1
    stored = stored_rows(database)
    assert len(keys) == 8
    assert 400 < len(stored) < 800
    assert set(expected_rows(messages)) <= set(stored)
    assert list(read_dead_letters(stack.kafka_bootstrap_servers, topic=topic)) == []


def test_a_zombie_that_wakes_after_its_successor_changes_nothing(stack, database, topic):
    messages = generated_candles(4000, symbols=1)
    publish(stack.kafka_bootstrap_servers, topic, messages)
    holds_batch, may_write = threading.Event(), threading.Event()

    def pause() -> None:
        holds_batch.set()
        assert may_write.wait(60)

    with open_sink(stack, database, topic, batch_messages=1000, before_write=pause) as zombie:
        with running(zombie):
            assert holds_batch.wait(30)
            with open_sink(stack, database, topic) as successor:
                assert successor.drain(60) == 4000
            with psycopg.connect(database) as connection:
                # What the zombie would do, if it could: put back the rows that it holds.
                connection.execute("DELETE FROM candles WHERE open_time < %s", (START + 60_000_000,))
            before = stored_rows(database)
            may_write.set()
            wait_until(lambda: zombie.status.stopped, "the zombie notices")
        assert zombie.status.written == 0
        assert any("rival" in reason for reason in zombie.status.stopped.values())
    assert stored_rows(database) == before


def test_a_partition_that_was_taken_is_taken_back_when_its_taker_is_gone(stack, database, topic, monkeypatch):
    monkeypatch.setattr(topic_sink, "STAND_BY_S", 0.2)
    first, second = generated_candles(2000, symbols=1)[:1000], generated_candles(2000, symbols=1)[1000:]
    publish(stack.kafka_bootstrap_servers, topic, first)
    holds_batch, may_write = threading.Event(), threading.Event()

    def pause() -> None:
        holds_batch.set()
        assert may_write.wait(60)

    with open_sink(stack, database, topic, before_write=pause) as zombie, running(zombie):
        assert holds_batch.wait(30)
        with open_sink(stack, database, topic) as successor:
            successor.drain(60)
        may_write.set()
        publish(stack.kafka_bootstrap_servers, topic, second)
        wait_until(lambda: zombie.status.written == 1000, "the survivor goes on")
    assert stored_rows(database) == expected_rows([*first, *second])


def test_two_sinks_at_once_store_everything_once(stack, database, topic, monkeypatch):
    monkeypatch.setattr(topic_sink, "STAND_BY_S", 0.2)
    messages = generated_candles(20_000)
    publish(stack.kafka_bootstrap_servers, topic, messages)
    with (
        open_sink(stack, database, topic, batch_messages=500) as one,
        open_sink(stack, database, topic, batch_messages=700) as other,
        running(one),
        running(other),
    ):
        wait_until(lambda: one.status.written + other.status.written >= 20_000, "all is written")
    assert one.status.written + other.status.written == 20_000
    assert stored_rows(database) == expected_rows(messages)


def test_a_topic_made_anew_is_read_from_its_beginning(stack, database, topic):
    first = generated_candles(1000, symbols=2)
    publish(stack.kafka_bootstrap_servers, topic, first)
    with open_sink(stack, database, topic) as sink:
        sink.drain(60)
    delete_topic(stack.kafka_bootstrap_servers, topic)
    wait_until(lambda: _created_again(stack, topic), "the topic is made anew")
    second = [msgspec.structs.replace(one, exchange="anew") for one in generated_candles(1500, symbols=2)]
    publish(stack.kafka_bootstrap_servers, topic, second)
    with open_sink(stack, database, topic) as sink:
        assert sink.drain(60) == 1500
    assert stored_rows(database) == expected_rows([*first, *second])


def test_a_partition_dropped_while_the_sink_runs_is_made_again(stack, database, topic):
    first, second = generated_candles(2000, symbols=1)[:1000], generated_candles(2000, symbols=1)[1000:]
    with open_sink(stack, database, topic) as sink:
        publish(stack.kafka_bootstrap_servers, topic, first)
        sink.drain(60)
        with psycopg.connect(database) as connection:
            connection.execute("DROP TABLE candles_2023_11")
        publish(stack.kafka_bootstrap_servers, topic, second)
        sink.drain(60)
    assert stored_rows(database) == expected_rows(second)


@pytest.mark.slow
def test_a_sink_killed_in_mid_stream_is_continued_without_loss_or_double(stack, database, topic):
    migrate(database)
    messages = generated_candles(60_000)
    publish(stack.kafka_bootstrap_servers, topic, messages)
    for stored_before_kill in (5000, 25_000):
        process = subprocess.Popen(
            [sys.executable, "-c", SINK_PROCESS, database, stack.kafka_bootstrap_servers, topic],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda least=stored_before_kill: _count(database) >= least, "the sink has begun")
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=10)
        assert _count(database) < 60_000
    with open_sink(stack, database, topic) as sink:
        sink.drain(60)
    assert stored_rows(database) == expected_rows(messages)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["postgres", "kafka"])
def test_a_server_killed_in_mid_stream_loses_and_doubles_nothing(
    stack, database, topic, crash: Callable[[str], None], part: str
):
    messages = generated_candles(40_000)
    publish(stack.kafka_bootstrap_servers, topic, messages)
    reached = threading.Event()
    written = []

    def slow_down() -> None:
        written.append(1)
        if len(written) == 4:
            reached.set()

    with open_sink(stack, database, topic, batch_messages=1000, before_write=slow_down) as sink, running(sink):
        assert reached.wait(60)
        crash(part)
        stack.start(part)
        wait_until(lambda: sink.status.written >= 40_000 or _count(database) == 40_000, "all is written", 120)
        wait_until(lambda: _count(database) == 40_000, "all is stored", 60)
    assert stored_rows(database) == expected_rows(messages)


def _count(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM candles").fetchone()
    assert row is not None
    return int(row[0])


def _created_again(stack, topic: str) -> bool:
    try:
        new_topic(stack.kafka_bootstrap_servers, name=topic)
    except KafkaException:  # the deletion is still under way
        return False
    return True


def test_an_update_of_a_stored_candle_and_new_ones_come_in_one_batch(stack, database, topic):
    messages = generated_candles(100, symbols=1)
    changed = msgspec.structs.replace(messages[10], close=messages[10].close + 0.25, revision=2 * 10**12)
    with open_sink(stack, database, topic) as sink:
        publish(stack.kafka_bootstrap_servers, topic, messages[:50])
        sink.drain(60)
        publish(stack.kafka_bootstrap_servers, topic, [changed, *messages[40:]])
        sink.drain(60)
    expected: list[CandleMessage] = [*messages[:10], changed, *messages[11:]]
    assert stored_rows(database) == expected_rows(expected)
