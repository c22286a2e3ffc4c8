"""From a simulated exchange to the table with real actors, while they and the servers are killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psycopg
import pytest
from candle_stream import FIELDS, delete_topic, new_topic, stored_rows, wait_until
from confluent_kafka import KafkaException
from pydantic import SecretStr

from alpharay.bus.dead_letters import StoredDeadLetter, read_dead_letters
from alpharay.bus.topics import CANDLES
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.settings import Settings
from alpharay.store.candle_rows import Market
from alpharay.store.database import open_pool
from alpharay.store.ingested_markets import absent_ranges, wanted_markets

pytestmark = [pytest.mark.timeout(280)]

START = 1_700_000_000_000 // 86_400_000 * 86_400_000
ROWS = 6000


def _random_candles(symbol: str, seed: int, rows: int = ROWS) -> Candles:
    random = np.random.default_rng(seed)
    minute = np.arange(rows)
    # Real markets have minutes without a trade: single ones, and one long pause.
    present = (random.random(rows) > 0.002) & ~((minute > 2500) & (minute < 2700))
    present[0] = present[-1] = True
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 1e-3, rows)))
    open_ = np.concatenate(([100.0], close[:-1]))
    columns = (open_, np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999, close, random.random(rows))
    return Candles(
        "simulated", symbol, "1m", START + minute[present] * 60_000, *(column[present] for column in columns)
    )


CANDLES_BY_SYMBOL = {name: _random_candles(name, seed) for seed, name in enumerate(("AAA/USD", "BBB/USD", "CCC/USD"))}
MARKETS = [Market("simulated", name, "1m") for name in CANDLES_BY_SYMBOL]


def _source_rows(until_ms: int | None = None) -> list[tuple[object, ...]]:
    rows = []
    for symbol, candles in CANDLES_BY_SYMBOL.items():
        columns = (candles.open_time, *(getattr(candles, name) for name in VALUE_COLUMNS))
        rows += [
            ("simulated", symbol, "1m", *row)
            for row in zip(*(column.tolist() for column in columns), strict=True)
            if until_ms is None or row[0] + 60_000 <= until_ms
        ]
    assert len(rows[0]) == len(FIELDS)
    return sorted(rows)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("exchange")
    files = []
    for symbol, candles in CANDLES_BY_SYMBOL.items():
        file = folder / f"{symbol.replace('/', '-')}_1m.parquet"
        candles.to_frame().write_parquet(file)
        files += ["--candles", str(file)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "alpharay.feeds.simulated", "--port", str(port), "--weight-limit", "1000000"]
    process = subprocess.Popen([*command, *files], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), "the exchange answers")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def ingestion(stack, database, exchange, ray_cluster) -> Iterator[Settings]:
    """Settings of an empty system whose exchange stands at the end of its history; its actors end with the test."""
    import ray

    delete_topic(stack.kafka_bootstrap_servers, CANDLES)
    wait_until(lambda: _made(stack.kafka_bootstrap_servers), "the topic is made anew")
    state = httpx.get(f"{exchange}/simulated/state").json()
    httpx.post(f"{exchange}/simulated/clock", json={"now_ms": state["end_ms"]}).raise_for_status()
    httpx.delete(f"{exchange}/simulated/faults")
    yield Settings(
        database_url=SecretStr(database),
        kafka_bootstrap_servers=stack.kafka_bootstrap_servers,
        exchange_url=exchange,
        ray_address=ray_cluster,
    )
    for name in ("ingestion-supervisor", *(f"candle-ingestor-{shard}" for shard in range(3)), "candle-sink"):
        try:
            ray.kill(ray.get_actor(name, namespace="alpharay"), no_restart=True)
        except ValueError:
            continue


def test_the_whole_history_arrives_and_absent_minutes_are_remembered(ingestion: Settings, stack):
    from ray_jobs.ingest import start_ingestion, wait_for_backfill

    start_ingestion(ingestion, dict.fromkeys(MARKETS, START), shards=2, interval_s=1.0)
    rows = wait_for_backfill(ingestion, MARKETS, timeout_s=120)
    assert rows == len(_source_rows())
    assert stored_rows(ingestion.require("database_url")) == _source_rows()
    with open_pool(ingestion.require("database_url"), application="test") as pool, pool.connection() as connection:
        absent = absent_ranges(connection, MARKETS[0], start_ms=START, end_ms=START + ROWS * 60_000)
        states = wanted_markets(connection)
    stored = len(CANDLES_BY_SYMBOL["AAA/USD"])
    assert sum(gap.candles("1m") for gap in absent) == ROWS - stored
    assert {state.error for state in states} == {None}
    # Asking again finds nothing to do: no candle is published twice by a later round.
    assert all(state.published_rows == len(CANDLES_BY_SYMBOL[state.market.symbol]) for state in states)


def test_new_candles_follow_the_exchange_and_open_ones_do_not_appear(ingestion: Settings, exchange: str):
    from ray_jobs.ingest import start_ingestion, wait_for_backfill

    half = START + 3000 * 60_000 + 30_000
    httpx.post(f"{exchange}/simulated/clock", json={"now_ms": half}).raise_for_status()
    start_ingestion(ingestion, dict.fromkeys(MARKETS, START), interval_s=1.0)
    wait_for_backfill(ingestion, MARKETS, timeout_s=120)
    now = httpx.get(f"{exchange}/simulated/state").json()["now_ms"]
    stored = stored_rows(ingestion.require("database_url"))
    assert set(stored) <= set(_source_rows(now))
    assert set(stored) >= set(_source_rows(half))

    later = START + 3200 * 60_000
    httpx.post(f"{exchange}/simulated/clock", json={"now_ms": later}).raise_for_status()
    wait_for_backfill(ingestion, MARKETS, timeout_s=60)
    # More closed since the last round than a round looks back: complete must still mean complete.
    assert set(stored_rows(ingestion.require("database_url"))) >= set(_source_rows(later))


def test_a_hole_in_the_table_is_repaired_by_the_next_actor(ingestion: Settings):
    import ray

    from ray_jobs.ingest import start_ingestion, wait_for_backfill

    start_ingestion(ingestion, dict.fromkeys(MARKETS, START), interval_s=1.0)
    wait_for_backfill(ingestion, MARKETS, timeout_s=120)
    with psycopg.connect(ingestion.require("database_url")) as connection:
        connection.execute(
            "DELETE FROM candles WHERE open_time BETWEEN %s AND %s", (START + 60_000_000, START + 90_000_000)
        )
    ray.kill(ray.get_actor("candle-ingestor-0", namespace="alpharay"), no_restart=False)
    wait_until(lambda: stored_rows(ingestion.require("database_url")) == _source_rows(), "the hole is closed")


def test_a_bad_day_of_the_exchange_ends_in_dead_letters_and_a_whole_table(ingestion: Settings, exchange: str, stack):
    from ray_jobs.ingest import start_ingestion

    known = {_place(one) for one in read_dead_letters(stack.kafka_bootstrap_servers, source="candle-ingestor")}
    faults: list[dict[str, object]] = [{"kind": "status", "status": 503}, {"kind": "garbage"}, {"kind": "disconnect"}]
    faults += [{"kind": "bad_row", "row": row} for row in ("high_below_low", "nan", "negative_price")]
    faults += [{"kind": "empty_page"}, {"kind": "status", "status": 429}]
    faults += [{"kind": "bad_row", "row": row} for row in ("negative_volume", "misaligned", "duplicate")]
    for fault in faults:
        order = {"fault": {"path": "klines", **fault}, "count": 1}
        httpx.post(f"{exchange}/simulated/faults", json=order).raise_for_status()
    unknown = Market("simulated", "NONE/USD", "1m")
    start_ingestion(ingestion, dict.fromkeys([unknown, *MARKETS], START), interval_s=1.0)
    wait_until(lambda: stored_rows(ingestion.require("database_url")) == _source_rows(), "all arrives", 120)
    with open_pool(ingestion.require("database_url"), application="test") as pool, pool.connection() as connection:
        errors = {state.market: state.error for state in wanted_markets(connection)}
    assert "NONE/USD" in (errors[unknown] or "")
    assert errors[MARKETS[0]] is None
    letters = read_dead_letters(stack.kafka_bootstrap_servers, source="candle-ingestor")
    reasons = {one.letter.reason.split(":")[0] for one in letters if _place(one) not in known}
    # The others hit pages of a row or two, which leave nothing to set aside.
    assert {"high_below_low", "not_a_number", "negative_volume"} <= reasons
    assert list(read_dead_letters(stack.kafka_bootstrap_servers, topic=CANDLES)) == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["candle-ingestor-0", "candle-sink", "ingestion-supervisor"])
def test_an_actor_killed_in_mid_back_fill_is_continued(ingestion: Settings, victim: str):
    from ray_jobs.ingest import start_ingestion, wait_for_backfill

    start_ingestion(ingestion, dict.fromkeys(MARKETS, START), interval_s=1.0)
    for least in (500, 8000):
        wait_until(lambda least=least: _count(ingestion) >= least, "the back-fill is under way")
        _kill_actor_process(victim)
    wait_for_backfill(ingestion, MARKETS, timeout_s=120)
    wait_until(lambda: stored_rows(ingestion.require("database_url")) == _source_rows(), "table equals source", 60)


@pytest.mark.slow
def test_a_second_ingestor_of_the_same_shard_does_no_harm(ingestion: Settings):
    import ray

    from ray_jobs.candle_ingestor import CandleIngestor
    from ray_jobs.ingest import start_ingestion, wait_for_backfill

    start_ingestion(ingestion, dict.fromkeys(MARKETS, START), interval_s=1.0)
    second = CandleIngestor.options(num_cpus=0.1).remote(ingestion, 0, 1, 1.0)
    ray.get(second.status.remote(), timeout=60)
    wait_for_backfill(ingestion, MARKETS, timeout_s=120)
    wait_until(lambda: ray.get(second.status.remote(), timeout=30).rounds >= 2, "the second has done it all", 120)
    ray.kill(second)
    wait_for_backfill(ingestion, MARKETS, timeout_s=60)
    assert stored_rows(ingestion.require("database_url")) == _source_rows()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["kafka", "postgres"])
def test_a_server_killed_in_mid_back_fill_costs_nothing(
    ingestion: Settings, stack, crash: Callable[[str], None], part: str
):
    from ray_jobs.ingest import start_ingestion, wait_for_backfill

    start_ingestion(ingestion, dict.fromkeys(MARKETS, START), interval_s=1.0)
    wait_until(lambda: _count(ingestion) >= 1000, "the back-fill is under way")
    crash(part)
    stack.start(part)
    wait_for_backfill(ingestion, MARKETS, timeout_s=200)
    wait_until(lambda: stored_rows(ingestion.require("database_url")) == _source_rows(), "table equals source", 60)


def _kill_actor_process(name: str) -> None:
    import ray

    actor = ray.get_actor(name, namespace="alpharay")
    process_id = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()), timeout=60)
    os.kill(process_id, signal.SIGKILL)


def _place(stored: StoredDeadLetter) -> tuple[int, int]:
    return stored.partition, stored.offset


def _count(ingestion: Settings) -> int:
    with psycopg.connect(ingestion.require("database_url")) as connection:
        row = connection.execute("SELECT count(*) FROM candles").fetchone()
    assert row is not None
    return int(row[0])


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/simulated/state").is_success
    except httpx.TransportError:
        return False


def _made(bootstrap_servers: str) -> bool:
    try:
        new_topic(bootstrap_servers, partitions=4, name=CANDLES)
    except KafkaException:  # the deletion is still under way
        return False
    return True
