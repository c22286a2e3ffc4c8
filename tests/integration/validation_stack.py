"""What the tests of validation share: markets with an edge and without, a search stored on them, its verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.candles import Candles
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.migrate import migrate
from alpharay.store.runs import enqueue_run
from alpharay.store.strategies import StoredStrategy, best_strategies, store_strategy
from alpharay.store.validation_tests import next_level
from alpharay.store.validations import discovery_of
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import LastGate
from alpharay.validation.validation import ValidationSettings, validate_strategy, validation_json
from alpharay.validation.walk_forward import WalkForwardSettings
from benchmarks.signal_data import store_candles
from ray_jobs.discovery_messages import champion_messages, discovery_request
from ray_jobs.strategy_validation import (
    subject_of,
    validate_waiting,
    waiting_strategies,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 470_000 * HOUR_MS
SEEN_BARS = 1_800
STRATEGY = strategy_named("DOUBLE_EMA_CROSSOVER")
SEARCH = SearchSettings(population=6, generations=2, min_trades=3, top_n=2, seed=2)
SETTINGS = ValidationSettings(
    permutations=199,
    walk_forward=WalkForwardSettings(windows=3),
    last_gate=LastGate(min_trades=5, min_days=20, permutations=19, level=0.3),
    sampled_trials=24,
)


def candles_of(moves: np.ndarray, symbol: str) -> Candles:
    close = 100.0 * np.exp(moves)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    times = START_MS + np.arange(len(close), dtype=np.int64) * HOUR_MS
    return Candles("simulated", symbol, "1h", times, opened, high, low, close, np.full(len(close), 100.0))


def waves(symbol: str = "AAA/USD", bars: int = 3_000) -> Candles:
    """A market on which a trend follower earns."""
    noise = np.random.default_rng(0).normal(0.0, 0.004, bars)
    return candles_of(0.2 * np.sin(2.0 * np.pi * np.arange(bars) / 120) + noise, symbol)


def noise(symbol: str = "BBB/USD", bars: int = 3_000) -> Candles:
    return candles_of(np.cumsum(np.random.default_rng(8).normal(0.0, 0.01, bars)), symbol)


@pytest.fixture
def pool(database: str) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="validation-test", max_connections=8) as pool:
        yield pool


def discover_and_store(
    database: str,
    pool: DatabasePool,
    candles: Candles,
    *,
    until: int | None = None,
    search: SearchSettings = SEARCH,
    frictions: Frictions | None = None,
) -> None:
    """Store the candles before row `until`, and what a search of the first `SEEN_BARS` finds."""
    store_candles(database, candles.slice(0, until if until is not None else len(candles)))
    market = Market(candles.exchange, candles.symbol, candles.timeframe)
    report = discover(STRATEGY, candles.slice(0, SEEN_BARS), search, frictions=frictions)
    request = discovery_request(
        market, start_time=START_MS, end_time=START_MS + SEEN_BARS * HOUR_MS, strategy_name=STRATEGY.name,
        settings=search, costs=Costs(), frictions=frictions,
    )  # fmt: skip
    with pool.connection() as connection:
        enqueue_run(connection, request)
        store_strategy(connection, champion_messages(request, report)[0])


def the_strategy(pool: DatabasePool) -> StoredStrategy:
    with pool.connection() as connection:
        (stored,) = best_strategies(connection)
    return stored


def validate(pool: DatabasePool, owner: str = "validator") -> list[str]:
    waiting = waiting_strategies(pool)
    return [item.status for item in validate_waiting(pool, SerialExecutor(), owner, waiting, SETTINGS)]


def expected_evidence(pool: DatabasePool, candles: Candles) -> dict[str, Any]:
    """What an undisturbed validation without a database says."""

    class FirstOfStream:
        def next_level(self) -> float:
            with pool.connection() as connection:
                return next_level(connection, "unknown")

        def record(self, _p_value: float) -> float:
            return self.next_level()

    stored = the_strategy(pool)
    with pool.connection() as connection:
        subject = subject_of(stored, discovery_of(connection, stored))
    return validation_json(validate_strategy(subject, candles, SETTINGS, stream=FirstOfStream()))


def plain_candidates(pool: DatabasePool, count: int) -> list[str]:
    """Store plain candidates of one market."""
    with pool.connection() as connection:
        for number in range(count):
            connection.execute(
                "INSERT INTO strategies (strategy_id, exchange, symbol, timeframe, strategy_name, strategy, "
                "parameters, score, in_sample, out_of_sample, start_time, end_time, train_end_time) "
                "VALUES (%s, 'simulated', 'AAA/USD', '1h', 'X', '{}', '{}', 1, '{}', '{}', 0, 2, 1)",
                (f"strategy-{number}",),
            )
    return [f"strategy-{number}" for number in range(count)]
