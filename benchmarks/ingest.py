"""Kafka to PostgreSQL through the candle sink, against a bare binary COPY of the same rows.

    python -m benchmarks.ingest
    python -m benchmarks.ingest --json --candles 500000

Both write into partitioned tables of the same definition, in rounds that alternate, so that a noisy machine meets
both; the medians are compared. The bare COPY is one stream that was encoded beforehand and one commit: what the
database can take at best. The sink reads JSON messages, checks them and commits in batches with its offsets.
"""

from __future__ import annotations

import gc
import platform
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import confluent_kafka
import numpy as np
import psycopg
import typer
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console

from alpharay.bus.messages import CandleMessage
from alpharay.bus.producer import MessageProducer
from alpharay.log import log_to_standard_error
from alpharay.settings import settings
from alpharay.store.candle_partitions import ensure_partitions, months_of
from alpharay.store.candle_rows import COLUMNS, CandleRows, candle_rows, encode_binary_copy, newest_revisions
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, DatabasePool, open_pool
from alpharay.store.migrate import migrate
from alpharay.store.topic_sink import BATCH_MESSAGES, TopicSink
from benchmarks.report import machine, report
from cluster.local import kafka, postgres
from cluster.local.kafka_jars import VERSION as KAFKA_VERSION

SYMBOLS = 10
PAGE = 500
PARTITIONS = 4
START_MS = 1_700_000_040_000 // 60_000 * 60_000
DRAIN_TIMEOUT_S = 600.0

app = typer.Typer(add_completion=False)


@app.command(help=__doc__)
def main(
    candles: Annotated[int, typer.Option(min=1000, help="How many candles.")] = 500_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each side runs.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure, check that nothing was lost or doubled, and print."""
    progress = Console(stderr=True)
    log_to_standard_error("WARNING")
    with servers() as (server_url, bootstrap_servers), new_database(server_url) as database_url:
        figures = measure(database_url, bootstrap_servers, candles, rounds, progress)
    report("ingest", figures, (), as_json=json)


def measure(
    database_url: str, bootstrap_servers: str, candles: int, rounds: int, progress: Console
) -> dict[str, object]:
    """Return the figures; raises AssertionError when the table differs from the source."""
    # As in the sink's actor: the collector would walk the heap for nothing.
    gc.set_threshold(200_000, 20, 100)
    migrate(database_url)
    topic = f"benchmark-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(topic, PARTITIONS, -1)])[topic].result(timeout=30)
    try:
        progress.print(f"generating {candles:,} candles and publishing them")
        source, produced_per_s = publish(bootstrap_servers, topic, candles)
        stream = encode_binary_copy(source)
        copied, sunk, lost, doubled = [], [], 0, 0
        with open_pool(
            database_url,
            application="benchmark",
            max_connections=2,
            statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S,
        ) as pool:
            for number in range(rounds):
                copied.append(candles / bare_copy(pool, source, stream))
                sunk.append(candles / sink(pool, bootstrap_servers, topic))
                progress.print(f"round {number + 1}: COPY {copied[-1]:,.0f} rows/s, sink {sunk[-1]:,.0f} rows/s")
                missing, extra = differences(pool, source)
                lost, doubled = lost + missing, doubled + extra
            versions = _versions(pool)
    finally:
        admin.delete_topics([topic])[topic].result(timeout=30)
    return {
        "candles": candles,
        "rounds": rounds,
        "copy_rows_per_s": statistics.median(copied),
        "sink_rows_per_s": statistics.median(sunk),
        "ratio_to_copy": statistics.median(sunk) / statistics.median(copied),
        "ratio_of_each_round": [ours / theirs for ours, theirs in zip(sunk, copied, strict=True)],
        "produced_rows_per_s": produced_per_s,
        "rows_lost": lost,
        "rows_doubled": doubled,
        "batch_messages": BATCH_MESSAGES,
        "versions": versions,
        "machine": machine(),
    }


def publish(bootstrap_servers: str, topic: str, candles: int) -> tuple[CandleRows, float]:
    """Publish generated candles as ingestors do, page by page; return them sorted, and the rate."""
    random = np.random.default_rng(11)
    messages: list[CandleMessage] = []
    for symbol in range(SYMBOLS):
        rows = candles // SYMBOLS + (symbol < candles % SYMBOLS)
        close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 1e-3, rows)))
        open_ = np.concatenate(([100.0], close[:-1]))
        high, low = np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999
        volume = random.uniform(0.0, 1000.0, rows)
        columns = (column.tolist() for column in (open_, high, low, close, volume))
        for minute, values in enumerate(zip(*columns, strict=True)):
            messages.append(_message(symbol, minute, *values))
    source = newest_revisions(candle_rows(messages))
    messages.sort(key=lambda message: ((message.open_time - START_MS) // (60_000 * PAGE), message.symbol))
    started = time.perf_counter()
    with MessageProducer(bootstrap_servers, client_id="benchmark", linger_ms=20.0) as producer:
        for message in messages:
            producer.publish(topic, message, key=message.symbol, correlation_id="benchmark")
        producer.flush()
    return source, candles / (time.perf_counter() - started)


def bare_copy(pool: DatabasePool, source: CandleRows, stream: bytes) -> float:
    """Return the seconds of one binary COPY into an empty table like `candles`, commit included."""
    with pool.connection() as connection:
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute("CREATE TABLE bare (LIKE candles INCLUDING ALL) PARTITION BY RANGE (open_time)")
        ensure_partitions(connection, months_of(source.open_time))
        for name, bounds in connection.execute(
            "SELECT inhrelid::regclass::text, pg_get_expr(relpartbound, inhrelid) FROM pg_inherits "
            "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'candles'::regclass"
        ).fetchall():
            connection.execute(f"CREATE TABLE bare_{name} PARTITION OF bare {bounds}")
    started = time.perf_counter()
    with (
        pool.connection() as connection,
        connection.cursor() as cursor,
        cursor.copy(f"COPY bare ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(stream)
    return time.perf_counter() - started


def sink(pool: DatabasePool, bootstrap_servers: str, topic: str) -> float:
    """Return the seconds in which the sink empties the topic into an empty `candles`, start included."""
    with pool.connection() as connection:
        connection.execute("TRUNCATE candles, consumer_offsets")
    started = time.perf_counter()
    candle_sink = TopicSink(CandleWriter(topic), pool, bootstrap_servers)
    try:
        candle_sink.drain(DRAIN_TIMEOUT_S)
        return time.perf_counter() - started
    finally:
        candle_sink.close()


def differences(pool: DatabasePool, source: CandleRows) -> tuple[int, int]:
    """Return how many of the source's rows the table lacks or has otherwise, and how many it has besides."""
    with pool.connection() as connection:
        connection.execute("SET LOCAL statement_timeout = 0")
        stored = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM candles").fetchall()
    columns = (getattr(source, name).tolist() for name in COLUMNS[3:])
    markets = (source.markets[place] for place in source.market.tolist())
    wanted = {(*market, *values) for market, *values in zip(markets, *columns, strict=True)}
    return len(wanted - set(stored)), len(stored) - len(wanted & set(stored))


@contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """Give the addresses of PostgreSQL and Kafka: the running stack's, or of servers that end with the benchmark."""
    current = settings()
    if current.database_url is not None and current.kafka_bootstrap_servers is not None:
        yield current.require("database_url"), current.kafka_bootstrap_servers
        return
    folder = Path(tempfile.mkdtemp(prefix="alpharay-benchmark-"))
    try:
        database, broker = postgres.start(folder / postgres.NAME), kafka.start(folder / kafka.NAME)
        yield database.url, broker.url
    finally:
        kafka.stop(folder / kafka.NAME)
        postgres.stop(folder / postgres.NAME)
        postgres.purge(folder / postgres.NAME)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(server_url: str) -> Iterator[str]:
    """Give the URL of an empty database on the server, dropped afterwards."""
    name = f"benchmark_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _message(symbol: int, minute: int, *values: float) -> CandleMessage:
    open_, high, low, close, volume = values
    return CandleMessage(
        exchange="benchmark",
        symbol=f"S{symbol}/USD",
        timeframe="1m",
        open_time=START_MS + minute * 60_000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        revision=1_720_000_000_000,
    )


def _versions(pool: DatabasePool) -> dict[str, str]:
    with pool.connection() as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return {
        "python": platform.python_version(),
        "postgresql": "" if row is None else str(row[0]),
        "psycopg": psycopg.__version__,
        "kafka": KAFKA_VERSION,
        "confluent-kafka": str(confluent_kafka.version()),
        "librdkafka": str(confluent_kafka.libversion()[0]),
    }


if __name__ == "__main__":
    app()
