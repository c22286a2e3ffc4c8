"""An evolution that is killed or gives way goes on from its checkpoint, and finds the rules of an undisturbed one."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest
from candle_stream import wait_until
from discovery_stack import (  # noqa: F401 - fixtures are found by their names
    candles,
    checkpoint_generation,
    current,
    job,
    pool,
    publish_and_queue,
    requests_of,
    stored_scores,
    symbol,
)

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, frictions_to_json
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.report import DiscoveryReport
from alpharay.discovery.rule_evolution import EvolutionSettings, evolve_rules
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import Candles
from alpharay.settings import Settings
from alpharay.store.database import DatabasePool
from alpharay.store.runs import enqueue_run, run_state
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.strategy import strategy_id
from ray_jobs.consume import consume_once
from ray_jobs.evolve import MarketEvolution, evolution_request
from ray_jobs.queued_discovery import work_queue

FRICTIONS = Frictions(starting_capital=1e6, fee_tiers=(FeeTier(volume=0.0, fee=0.002),), lot_size=0.1)
LONG = EvolutionSettings(search=SearchSettings(population=150, generations=40, patience=40, top_n=3, seed=7))
SHORT = EvolutionSettings(search=SearchSettings(population=20, generations=4, top_n=3, seed=7))


def asked(candles: Candles, evolution: EvolutionSettings, frictions: Frictions | None = None) -> MarketEvolution:
    return MarketEvolution(
        symbol=candles.symbol, timeframe="1d", exchange=None, days=None, evolution=evolution, costs=Costs(),
        frictions=frictions, workers=0, time_budget_s=None,
    )  # fmt: skip


def scores_of(reports: list[DiscoveryReport], symbol: str) -> dict[str, float]:
    return {
        strategy_id(strategy_to_json(one.strategy), champion.parameters, symbol, "1d"): champion.score
        for one in reports
        for champion in one.champions
    }


@pytest.mark.slow
def test_a_killed_evolution_is_gone_on_with_by_the_same_command_and_finds_the_same_rules(
    pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    costs = tmp_path / "costs.json"
    costs.write_text(json.dumps(frictions_to_json(FRICTIONS)))
    arguments = (
        "--symbol", candles.symbol, "--population", "150", "--generations", "40", "--patience", "40", "--top", "3",
        "--seed", "7", "--min-trades", str(LONG.search.min_trades), "--frictions", str(costs), "--workers", "0",
        "--json",
    )  # fmt: skip
    request = evolution_request(asked(candles, LONG, FRICTIONS), candles)
    with job(current, *arguments, module="ray_jobs.evolve") as process:
        wait_until(lambda: checkpoint_generation(pool, request.run_id) > 0, "a checkpoint is stored", 120)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    reached = checkpoint_generation(pool, request.run_id)
    assert 0 < reached < LONG.search.generations
    # At once, though the lease has not ended: its owner is known to be dead.
    with job(current, *arguments, module="ray_jobs.evolve", out=subprocess.PIPE) as process:
        output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert f"going on after generation {reached} of an evolution that was cut off" in errors
    found = json.loads(output)
    assert (found["run_id"], found["stored"]) == (request.run_id, "stored")
    whole = evolve_rules(candles, LONG, frictions=FRICTIONS)
    assert found["evaluations"] == whole[0].evaluations
    consume_once(current)
    assert stored_scores(pool, candles.symbol) == scores_of(whole, candles.symbol)


def test_a_queued_evolution_that_gives_way_after_each_generation_finds_the_same_rules(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    request = evolution_request(asked(candles, SHORT), candles)
    publish_and_queue(current, pool, [request])
    with pool.connection() as connection:
        # A search of other days waits, so that the evolution is put back after each generation.
        (search,) = requests_of(pool, candles.symbol, ("SMA_RSI",), SearchSettings(population=10, generations=4))
        assert enqueue_run(connection, msgspec.structs.replace(search, end_time=search.end_time - 86_400_000))
    assert work_queue(pool, SerialExecutor(), "worker", on_run=lambda *_: None, slice_s=0.0, checkpoint_s=0.0) == 2
    with pool.connection() as connection:
        state = run_state(connection, request.run_id)
    assert state is not None
    assert (state.status, state.attempts) == ("DONE", 1)
    assert state.slices >= 2
    assert state.progress is not None
    assert state.progress["generation"] == SHORT.search.generations
    consume_once(current)
    assert (
        stored_scores(pool, candles.symbol).items() >= scores_of(evolve_rules(candles, SHORT), candles.symbol).items()
    )
