"""A strategy that was found on resampled candles is scored and served as one on stored candles is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from candle_stream import delete_topic, new_topic, publish
from conftest import REPOSITORY, Stack

from alpharay.backtest.costs import Costs
from alpharay.bus.messages import CandleMessage, DiscoveredStrategy
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.resampling import resample
from alpharay.selection.market_selection import SelectionSettings
from alpharay.store.candle_rows import Market
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.candles import load_candles
from alpharay.store.changes import list_markets
from alpharay.store.database import DatabasePool, in_transaction, open_pool
from alpharay.store.ingested_markets import want_market
from alpharay.store.migrate import migrate
from alpharay.store.monitored_facts import newest_candles
from alpharay.store.rolled_filling import fill_market
from alpharay.store.rolled_markets import follow_strategies, registered_markets
from alpharay.store.runs import enqueue_run
from alpharay.store.signal_snapshots import SignalSnapshots
from alpharay.store.strategies import store_strategy
from alpharay.store.strategy_status import change_status
from alpharay.store.topic_sink import TopicSink
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.strategy import strategy_id
from benchmarks.signal_data import store_candles
from ray_jobs.discovery_messages import discovery_request
from ray_jobs.score import decide

pytestmark = pytest.mark.timeout(180)

DAY_MS, HOUR, QUARTER = 86_400_000, 3_600_000, 900_000
DAYS = 120
START = 19_000 * DAY_MS
QUARTERS = Market("generated", "AAA/USD", "15m")
HOURS = QUARTERS._replace(timeframe="1h")
COLUMNS = ("open_time", *VALUE_COLUMNS)


def trending() -> Candles:
    """Return quarters of an hour on which a direction lasts four days."""
    generator, count = np.random.default_rng(11), DAYS * 96
    drift = np.repeat(generator.choice([-0.0008, 0.0008], count // 384 + 1), 384)[:count]
    close = 100.0 * np.exp(np.cumsum(drift + generator.normal(0.0, 0.004, count)))
    opened = np.concatenate([[100.0], close[:-1]])
    return Candles(
        *QUARTERS, START + np.arange(count, dtype=np.int64) * QUARTER, opened, np.maximum(opened, close) * 1.0005,
        np.minimum(opened, close) / 1.0005, close, generator.uniform(1.0, 10.0, count),
    )  # fmt: skip


@pytest.fixture
def pool(database: str) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="test-rolled", max_connections=4) as opened:
        yield opened


def found(pool: DatabasePool, timeframe: str = "1h", name: str = "DONCHIAN_BREAKOUT") -> str:
    """Store a validated strategy with the run that found it on resampled candles."""
    strategy = strategy_named(name)
    rules = strategy_to_json(strategy)
    identity = strategy_id(rules, strategy.defaults, QUARTERS.symbol, timeframe)
    request = discovery_request(
        QUARTERS, start_time=START, end_time=START + 90 * DAY_MS, strategy_name=name,
        settings=SearchSettings(timeframes=(timeframe,)), costs=Costs(),
    )  # fmt: skip
    champion = DiscoveredStrategy(
        message_id=f"{request.run_id}/{identity}", strategy_id=identity, run_id=request.run_id,
        exchange=QUARTERS.exchange, symbol=QUARTERS.symbol, timeframe=timeframe, strategy_name=name, strategy=rules,
        parameters=strategy.defaults, score=1.0, start_time=START, end_time=START + 90 * DAY_MS,
        train_end_time=START + 30 * DAY_MS, in_sample={}, out_of_sample={},
    )  # fmt: skip
    with pool.connection() as connection:
        enqueue_run(connection, request)
        store_strategy(connection, champion)
        change_status(connection, identity, "VALIDATED", actor="test", reason="for this test")
    return identity


def assert_equal(made: Candles, expected: Candles) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(made, name), getattr(expected, name), err_msg=name)


def hours(pool: DatabasePool) -> Candles:
    with pool.connection() as connection:
        return load_candles(connection, HOURS)


def test_the_job_scores_and_deploys_it_and_the_signal_service_speaks_by_it(
    stack: Stack, database: str, pool: DatabasePool
) -> None:
    quarters = trending()
    store_candles(database, quarters)
    identity = found(pool)
    done = subprocess.run(
        [sys.executable, "-m", "ray_jobs.score", "--json"],
        cwd=REPOSITORY, env={**os.environ, "ALPHARAY_DATABASE_URL": database},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (market,) = json.loads(done.stdout)
    assert (market["timeframe"], market["moves"][0]["kind"]) == ("1h", "DEPLOY")
    assert market["decided_at"] == START + DAYS * DAY_MS
    expected = resample(quarters, "1h")
    assert_equal(hours(pool), expected)
    snapshots = SignalSnapshots()
    with pool.connection() as connection:
        assert list_markets(connection) == [QUARTERS, HOURS]
        view = snapshots.refresh(connection).find(HOURS.symbol)
    assert view is not None
    assert (view.timeframe, [one.strategy_id for one in view.strategies]) == ("1h", [identity])

    corrected = quarters.slice(len(quarters) - 8, len(quarters) - 4)
    store_candles(database, raised(corrected), revision=2)
    with pool.connection() as connection:
        everything = load_candles(connection, QUARTERS)
    assert_equal(hours(pool), resample(everything, "1h"))
    assert hours(pool).close[-2] == corrected.close[-1] * 1.01
    assert decide(pool, HOURS, SelectionSettings()).moves == ()


def raised(candles: Candles) -> Candles:
    return replace(candles, **{name: getattr(candles, name) * 1.01 for name in ("open", "high", "low", "close")})


def test_the_sink_makes_the_history_of_what_strategies_have_come_to_need_and_keeps_it_in_step(
    stack: Stack, database: str, pool: DatabasePool
) -> None:
    quarters = trending().slice(0, 3_000)
    rows = zip(quarters.open_time.tolist(), *(getattr(quarters, name).tolist() for name in VALUE_COLUMNS), strict=True)
    messages = [
        CandleMessage(
            **QUARTERS._asdict(), open_time=row[0], **dict(zip(VALUE_COLUMNS, row[1:], strict=True)), revision=1
        )
        for row in rows
    ]
    topic = new_topic(stack.kafka_bootstrap_servers)
    try:
        publish(stack.kafka_bootstrap_servers, topic, messages[:2_000])
        sink(pool, stack, topic)
        assert len(hours(pool)) == 0
        found(pool)
        publish(stack.kafka_bootstrap_servers, topic, messages[2_000:])
        # Another process, as after a crash, and one that decides at the same time.
        deciding = threading.Thread(target=decide, args=(pool, HOURS, SelectionSettings()))
        deciding.start()
        sink(pool, stack, topic, batch_messages=100)
        deciding.join(timeout=60)
    finally:
        delete_topic(stack.kafka_bootstrap_servers, topic)
    assert_equal(hours(pool), resample(quarters, "1h"))
    with pool.connection() as connection:
        (rolled,) = registered_markets(connection)
    assert (rolled.market, rolled.source, rolled.filling_from) == (HOURS, QUARTERS, None)


def sink(pool: DatabasePool, stack: Stack, topic: str, batch_messages: int = 1_000) -> None:
    opened = TopicSink(CandleWriter(topic), pool, stack.kafka_bootstrap_servers, batch_messages=batch_messages)
    try:
        opened.drain(60)
    finally:
        opened.close()


def test_it_is_made_from_what_the_search_resampled_and_never_from_what_is_made_itself(
    database: str, pool: DatabasePool
) -> None:
    quarters = trending().slice(0, 400)
    store_candles(database, quarters)
    store_candles(database, resample(quarters, "30m"))
    found(pool)
    in_transaction(pool, follow_strategies)
    found(pool, "2h", "MACD_CROSSOVER")
    with pool.connection() as connection:
        connection.execute('UPDATE discovery_runs SET request = request || \'{"timeframe": "1h"}\'')
    in_transaction(pool, follow_strategies)
    with pool.connection() as connection:
        found_sources = {one.market.timeframe: one.source_timeframe for one in registered_markets(connection)}
    assert found_sources == {"1h": "15m", "2h": "15m"}


def test_its_freshness_is_watched_while_its_smaller_candles_come(database: str, pool: DatabasePool) -> None:
    store_candles(database, trending().slice(0, 400))
    found(pool)
    with pool.connection() as connection:
        want_market(connection, QUARTERS, START)
        follow_strategies(connection)
        assert tuple(HOURS) not in newest_candles(connection), "its history is not made yet"
    fill_market(pool, HOURS)
    with pool.connection() as connection:
        assert newest_candles(connection) == {
            tuple(QUARTERS): START + 399 * QUARTER, tuple(HOURS): START + 99 * HOUR
        }  # fmt: skip
        connection.execute("UPDATE ingested_markets SET enabled = false")
        assert newest_candles(connection) == {}
