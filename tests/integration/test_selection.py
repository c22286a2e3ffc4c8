"""Validated strategies are scored, deployed, rotated and retired on a real database, once however often it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from conftest import REPOSITORY

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.bus.messages import DiscoveredStrategy
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import Candles
from alpharay.selection.market_selection import SelectionSettings
from alpharay.selection.rotation import RotationSettings
from alpharay.signals.evidence import FLOOR
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.migrate import migrate
from alpharay.store.requests import requested_costs
from alpharay.store.runs import enqueue_run
from alpharay.store.selected_strategies import selected_markets
from alpharay.store.selection import trusted_strategies
from alpharay.store.signal_snapshots import SignalSnapshots
from alpharay.store.strategies import store_strategy
from alpharay.store.strategy_status import change_status, transitions
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.strategy import strategy_id
from benchmarks.signal_data import store_candles
from ray_jobs.discovery_messages import discovery_request
from ray_jobs.score import decide

pytestmark = pytest.mark.timeout(180)

DAY_MS = 86_400_000
BARS = 400 * 24
START_MS = 19_000 * DAY_MS
MARKET = Market("simulated", "AAA/USD", "1h")
NAMES = ("DOUBLE_EMA_CROSSOVER", "DONCHIAN_BREAKOUT", "PARABOLIC_SAR", "MACD_CROSSOVER", "RSI_EMA_CROSSOVER")
SETTINGS = SelectionSettings(rotation=RotationSettings(places=2, threshold=0.05))


def trending(bars: int = BARS, *, broken_from: int | None = None) -> Candles:
    """Return hours on which a direction lasts four days, until it no longer does."""
    generator = np.random.default_rng(11)
    drift = np.repeat(generator.choice([-0.003, 0.003], BARS // 96 + 1), 96)[:BARS]
    if broken_from is not None:
        drift[broken_from:] = 0.0
    close = (100.0 * np.exp(np.cumsum(drift + generator.normal(0.0, 0.012, BARS))))[:bars]
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) * 1.0005, np.minimum(opened, close) / 1.0005
    times = START_MS + np.arange(bars, dtype=np.int64) * 3_600_000
    return Candles(*MARKET[:2], MARKET.timeframe, times, opened, high, low, close, np.full(bars, 10.0))


@pytest.fixture
def pool(database: str) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="test-selection", max_connections=4) as opened:
        yield opened


def validated(pool: DatabasePool, name: str) -> str:
    """Store a strategy of the catalogue as validated and return its id."""
    strategy = strategy_named(name)
    rules = strategy_to_json(strategy)
    identity = strategy_id(rules, strategy.defaults, MARKET.symbol, MARKET.timeframe)
    found = DiscoveredStrategy(
        message_id=f"run/{identity}", strategy_id=identity, run_id="run", exchange=MARKET.exchange,
        symbol=MARKET.symbol, timeframe=MARKET.timeframe, strategy_name=name, strategy=rules,
        parameters=strategy.defaults, score=1.0, start_time=START_MS, end_time=START_MS + 300 * DAY_MS,
        train_end_time=START_MS + 100 * DAY_MS, in_sample={}, out_of_sample={},
    )  # fmt: skip
    with pool.connection() as connection:
        store_strategy(connection, found)
        change_status(connection, identity, "VALIDATED", actor="test", reason="for this test")
    return identity


def statuses(pool: DatabasePool) -> dict[str, str]:
    with pool.connection() as connection:
        return dict(connection.execute("SELECT strategy_name, status FROM strategies").fetchall())


def messages(pool: DatabasePool) -> list[tuple[str, dict]]:
    with pool.connection() as connection:
        rows = connection.execute("SELECT topic, value FROM outbox ORDER BY id").fetchall()
    return [(topic, json.loads(value)) for topic, value in rows]


def deployments(pool: DatabasePool) -> list[tuple]:
    with pool.connection() as connection:
        return connection.execute(
            "SELECT strategy_id, deployed_at, withdrawn_at FROM deployments ORDER BY deployed_at, strategy_id"
        ).fetchall()


def test_the_best_are_deployed_once_however_often_and_by_however_many_it_is_decided(database, pool):
    store_candles(database, trending())
    ids = {name: validated(pool, name) for name in NAMES}
    threads = [threading.Thread(target=decide, args=(pool, MARKET, SETTINGS)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    after = statuses(pool)
    assert sorted(after.values()) == ["DEPLOYED"] * 2 + ["VALIDATED"] * 3
    sent = messages(pool)
    assert [topic for topic, _ in sent].count("strategy-rotations") == 2
    assert len(sent) == 4
    assert len(deployments(pool)) == 2

    selection = decide(pool, MARKET, SETTINGS)
    assert selection.moves == ()
    assert statuses(pool) == after
    assert [topic for topic, _ in messages(pool)].count("strategy-rotations") == 2
    chosen = {one.strategy_id for one in selection.ensemble.members}
    assert {ids[name] for name, status in after.items() if status == "DEPLOYED"} <= chosen
    scores = next(value for topic, value in sent if topic == "strategy-confidence-scores")
    assert {one["strategy_id"] for one in scores["scores"]} == set(ids.values())
    assert all(one["unseen_days"] == 300 for one in scores["scores"])

    with pool.connection() as connection:
        (market,) = selected_markets(connection, symbol=MARKET.symbol)
        assert selected_markets(connection, timeframe="1d") == []
    assert [one.strategy_id for one in market.members] == [one.strategy_id for one in selection.ensemble.members]
    assert sum(one.weight for one in market.members) == pytest.approx(1.0)
    deployed = [one for one in market.members if one.status == "DEPLOYED"]
    assert all(one.unseen_days == 300 and one.deploy_reason for one in deployed)
    assert sorted((one.strategy_id, one.kind) for one in market.rotations) == sorted(
        (one.strategy_id, "DEPLOYED") for one in deployed
    )


def test_scores_are_at_the_costs_of_the_search_that_found_the_strategy(database, pool):
    store_candles(database, trending())
    validated(pool, NAMES[0])
    cheap = decide(pool, MARKET, SETTINGS, dry_run=True).scores[0].confidence.performance
    request = discovery_request(
        MARKET, start_time=START_MS, end_time=START_MS + 300 * DAY_MS, strategy_name=NAMES[0],
        settings=SearchSettings(), costs=Costs(fee=0.05), frictions=Frictions(lot_size=0.001),
    )  # fmt: skip
    with pool.connection() as connection:
        # The run "run" is what `validated` has named as the one that found it.
        enqueue_run(connection, msgspec.structs.replace(request, run_id="run"))
        (row,) = trusted_strategies(connection, MARKET)
    assert requested_costs(row.request) == (Costs(fee=0.05), Frictions(lot_size=0.001))
    assert decide(pool, MARKET, SETTINGS, dry_run=True).scores[0].confidence.performance < cheap


def test_where_strategies_are_deployed_they_decide_the_signal_with_the_weights_of_the_ensemble(database, pool):
    store_candles(database, trending())
    for name in NAMES:
        validated(pool, name)
    snapshots = SignalSnapshots()
    with pool.connection() as connection:
        before = snapshots.refresh(connection).find(MARKET.symbol)
    selection = decide(pool, MARKET, SETTINGS)
    with pool.connection() as connection:
        after = snapshots.refresh(connection).find(MARKET.symbol)
    assert {one.status for one in before.strategies} == {"VALIDATED"}
    members = {one.strategy_id: one for one in selection.ensemble.members}
    deployed = [one for one in after.strategies if one.status == "DEPLOYED"]
    assert len(deployed) == 2
    largest = max(members[one.strategy_id].weight for one in deployed)
    for one in deployed:
        member = members[one.strategy_id]
        assert one.weight == pytest.approx(max(member.confidence * member.weight / largest, FLOOR))
    assert {one.weight for one in after.strategies if one.status == "VALIDATED"} == {FLOOR}
    with pool.connection() as connection:
        assert snapshots.refresh(connection).find(MARKET.symbol) is after, "nothing changed"


def test_a_deployed_strategy_that_decays_retires_and_says_why(database, pool):
    store_candles(database, trending(210 * 24, broken_from=210 * 24))
    identity = validated(pool, "DONCHIAN_BREAKOUT")
    decide(pool, MARKET, SETTINGS)
    assert statuses(pool) == {"DONCHIAN_BREAKOUT": "DEPLOYED"}
    store_candles(database, trending(broken_from=210 * 24))
    selection = decide(pool, MARKET, SETTINGS)
    assert identity in selection.retirements
    assert statuses(pool) == {"DONCHIAN_BREAKOUT": "RETIRED"}
    ((_, deployed_at, withdrawn_at),) = deployments(pool)
    assert (deployed_at, withdrawn_at) == (START_MS + 210 * DAY_MS, START_MS + 400 * DAY_MS)
    with pool.connection() as connection:
        last = transitions(connection, identity)[-1]
    assert (last.actor, last.reason) == ("selection", selection.retirements[identity])
    assert messages(pool)[-1][1]["kind"] == "RETIRE"


def test_an_older_decision_never_replaces_a_newer_one(database, pool):
    from alpharay.selection.market_selection import select
    from alpharay.store.selection import store_selection

    store_candles(database, trending())
    validated(pool, "DONCHIAN_BREAKOUT")
    newer = decide(pool, MARKET, SETTINGS)
    older = replace(select([], trending().slice(0, 100), {}), moves=())
    before = messages(pool)
    with pool.connection() as connection:
        assert store_selection(connection, MARKET, older) == 0
    assert messages(pool) == before
    with pool.connection() as connection:
        assert connection.execute("SELECT decided_at FROM ensembles").fetchall() == [(newer.decided_at,)]


def test_a_decision_whose_strategy_was_retired_meanwhile_stores_nothing(database, pool):
    from alpharay.store.selection import store_selection
    from alpharay.store.strategy_status import IllegalStepError

    store_candles(database, trending())
    identity = validated(pool, "DONCHIAN_BREAKOUT")
    planned = decide(pool, MARKET, SETTINGS, dry_run=True)
    assert messages(pool) == []
    with pool.connection() as connection:
        change_status(connection, identity, "RETIRED", actor="test", reason="by hand")
    with pytest.raises(IllegalStepError), pool.connection() as connection:
        store_selection(connection, MARKET, planned)
    assert messages(pool) == []
    assert deployments(pool) == []


def test_the_job_decides_for_every_market_and_prints_json(stack, database, pool):
    store_candles(database, trending())
    validated(pool, "DONCHIAN_BREAKOUT")
    environment = {**os.environ, "ALPHARAY_DATABASE_URL": database}
    done = subprocess.run(
        [sys.executable, "-m", "ray_jobs.score", "--json"],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (market,) = json.loads(done.stdout)
    assert (market["symbol"], market["moves"][0]["kind"]) == ("AAA/USD", "DEPLOY")
    assert statuses(pool) == {"DONCHIAN_BREAKOUT": "DEPLOYED"}
