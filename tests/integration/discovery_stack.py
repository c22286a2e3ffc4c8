"""Fixtures and helpers of the tests that search on real servers: candles in a database, requests, jobs, results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from zlib import crc32

import msgspec
import pytest
from conftest import REPOSITORY, Stack

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.bus.messages import CandleMessage, DiscoveryRequest
from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.sample import sample_candles
from alpharay.settings import Settings
from alpharay.store.candle_rows import Market
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.ingested_markets import want_market
from alpharay.store.migrate import migrate
from alpharay.store.requests import requested_costs, requested_search
from alpharay.store.strategies import best_strategies
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.loading import strategies_from
from alpharay.strategies.strategy import strategy_id
from ray_jobs.consume import consume_once
from ray_jobs.request_discovery import make_requests, publish_requests

WINDOW = 1200
SEARCH = SearchSettings(population=20, generations=4, top_n=3, seed=7)
NAMES = ("MACD_CROSSOVER", "SMA_RSI", "DONCHIAN_BREAKOUT", "PARABOLIC_SAR")


@pytest.fixture
def symbol(request: pytest.FixtureRequest) -> str:
    """A symbol of the test's own: the topics are shared by all tests of the session."""
    return f"T{crc32(request.node.name.encode())}/USD"


@pytest.fixture
def candles(symbol: str) -> Candles:
    """Real candles under the test's symbol."""
    sample = sample_candles()[0].tail(WINDOW)
    return Candles("simulated", symbol, "1d", sample.open_time, *(getattr(sample, name) for name in VALUE_COLUMNS))


@pytest.fixture
def pool(stack: Stack, database: str, candles: Candles) -> Iterator[DatabasePool]:
    """A migrated database that holds the candles."""
    migrate(database)
    market = Market(candles.exchange, candles.symbol, candles.timeframe)
    columns = zip(candles.open_time.tolist(), *(getattr(candles, name).tolist() for name in VALUE_COLUMNS), strict=True)
    values = [
        msgspec.json.encode(
            CandleMessage(
                exchange=market.exchange, symbol=market.symbol, timeframe=market.timeframe, revision=1,
                **dict(zip(("open_time", *VALUE_COLUMNS), row, strict=True)),
            )
        )
        for row in columns
    ]  # fmt: skip
    writer = CandleWriter()
    with open_pool(database, application="discovery-test", max_connections=3) as pool:
        prepared = writer.decode(values)
        assert prepared.refusals == ()
        writer.prepare(pool, prepared.content)
        with pool.connection() as connection:
            writer.write(connection, prepared.content)
            want_market(connection, market, 0)
        yield pool


@pytest.fixture
def current(stack: Stack, database: str) -> Settings:
    """Settings that lead to the test's database."""
    return stack.settings(database)


def requests_of(
    pool: DatabasePool,
    symbol: str,
    names: tuple[str, ...] = NAMES,
    search: SearchSettings = SEARCH,
    frictions: Frictions | None = None,
) -> list[DiscoveryRequest]:
    """Return the requests of a search on all stored candles of the symbol."""
    strategies = strategies_from(",".join(names))
    return make_requests(pool, [symbol], "1d", [4 * WINDOW], strategies, search, Costs(), frictions=frictions)


def publish_and_queue(current: Settings, pool: DatabasePool, requests: list[DiscoveryRequest]) -> None:
    """Publish the requests and queue them as runs; what other tests have asked for is removed."""
    publish_requests(current, requests)
    consume_once(current)
    with pool.connection() as connection:
        connection.execute(
            "DELETE FROM discovery_runs WHERE run_id <> ALL(%s)", ([request.run_id for request in requests],)
        )


def statuses(pool: DatabasePool, requests: list[DiscoveryRequest]) -> dict[str, tuple[str, int]]:
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT run_id, status, attempts FROM discovery_runs WHERE run_id = ANY(%s)",
            ([request.run_id for request in requests],),
        ).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def checkpoint_generation(pool: DatabasePool, run_id: str) -> int:
    """Return the newest generation that a run has stored; 0 before the first."""
    with pool.connection() as connection:
        row = connection.execute("SELECT generation FROM discovery_checkpoints WHERE run_id = %s", (run_id,)).fetchone()
    return 0 if row is None else int(row[0])


def expected_champions(candles: Candles, requests: list[DiscoveryRequest]) -> dict[str, float]:
    """Return score by identity, from searches in this process."""
    found = {}
    for request in requests:
        strategy, (costs, frictions) = CATALOGUE[request.strategy_name], requested_costs(request)
        report = discover(strategy, candles, requested_search(request), costs=costs, frictions=frictions)
        for champion in report.champions:
            timeframe = request.resample_to or request.timeframe
            identity = strategy_id(strategy_to_json(strategy), champion.parameters, request.symbol, timeframe)
            found[identity] = champion.score
    return found


def stored_scores(pool: DatabasePool, symbol: str) -> dict[str, float]:
    with pool.connection() as connection:
        return {item.strategy_id: item.score for item in best_strategies(connection, symbol=symbol, limit=1000)}


@contextmanager
def job(
    current: Settings, *arguments: str, out: IO[str] | int = subprocess.DEVNULL, module: str = "ray_jobs.discover"
) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m ray_jobs.discover`, or another job, on the test's servers."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "ALPHARAY_DATABASE_URL": current.require("database_url"), "PYTHONUNBUFFERED": "1"},
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)
