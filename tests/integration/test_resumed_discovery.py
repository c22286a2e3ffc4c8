"""Searches that are cut off or give way go on from their checkpoints, and end with the same champions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest
from candle_stream import wait_until
from discovery_stack import (  # noqa: F401 - fixtures are found by their names
    candles,
    checkpoint_generation,
    current,
    expected_champions,
    job,
    pool,
    publish_and_queue,
    requests_of,
    statuses,
    stored_scores,
    symbol,
)

from alpharay.backtest.frictions import FeeTier, Frictions, Funding, SquareRootImpact, frictions_to_json
from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.search import Generation, SearchSettings
from alpharay.market.candles import Candles
from alpharay.settings import Settings
from alpharay.store.database import DatabasePool
from alpharay.store.runs import enqueue_run, run_state
from alpharay.store.strategies import best_strategies
from ray_jobs.consume import consume_once
from ray_jobs.queued_discovery import SearchQueue, work_queue

LONG = SearchSettings(population=4000, generations=60, top_n=3, seed=7)
SHORT = SearchSettings(population=20, generations=6, top_n=3, seed=7)
DEAR = SearchSettings(population=1500, generations=40, patience=40, islands=2, top_n=3, seed=7, timeframes=("3d",))
FRICTIONS = Frictions(
    starting_capital=1e6,
    fee_tiers=(FeeTier(volume=0.0, fee=0.002), FeeTier(volume=3e6, fee=0.0005)),
    impact=SquareRootImpact(coefficient=0.5),
    tick_size=0.25,
    lot_size=0.1,
    minimum_notional=10.0,
    funding=Funding(long=0.0001),
)


def queue(pool: DatabasePool, requests: list[DiscoveryRequest]) -> None:
    with pool.connection() as connection:
        for request in requests:
            assert enqueue_run(connection, request)


def end_leases(pool: DatabasePool) -> None:
    """Let the time of all leases pass."""
    with pool.connection() as connection:
        connection.execute("UPDATE discovery_runs SET lease_until = now() - interval '1 s' WHERE status = 'RUNNING'")


@pytest.mark.slow
def test_a_run_whose_driver_was_killed_goes_on_from_its_checkpoint_with_the_same_champions(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    (request,) = requests_of(pool, candles.symbol, ("ICHIMOKU_CLOUD",), LONG)
    queue(pool, [request])
    with job(current, "--from-queue", "--workers", "0") as worker:
        wait_until(lambda: checkpoint_generation(pool, request.run_id) > 0, "a checkpoint is stored")
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=30)
    reached = checkpoint_generation(pool, request.run_id)
    assert statuses(pool, [request]) == {request.run_id: ("RUNNING", 1)}, "it was killed before its end"
    end_leases(pool)
    seen: list[Generation] = []
    assert work_queue(pool, SerialExecutor(), "other", on_run=lambda *_: None, on_generation=seen.append) == 1
    assert seen[0].generation == reached + 1, "it did not begin anew"
    assert statuses(pool, [request]) == {request.run_id: ("DONE", 2)}
    assert checkpoint_generation(pool, request.run_id) == 0
    consume_once(current)
    assert stored_scores(pool, candles.symbol) == expected_champions(candles, [request])


@pytest.mark.slow
def test_a_direct_search_that_was_killed_is_gone_on_with_by_the_same_command(
    pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    arguments = (
        "--symbol", candles.symbol, "--strategies", "ICHIMOKU_CLOUD", "--population", str(LONG.population),
        "--generations", str(LONG.generations), "--top", str(LONG.top_n), "--seed", str(LONG.seed), "--workers", "0",
        "--out", str(tmp_path),
    )  # fmt: skip

    def run_ids() -> list[str]:
        with pool.connection() as connection:
            return [row[0] for row in connection.execute("SELECT run_id FROM discovery_runs")]

    with job(current, *arguments) as process:
        wait_until(lambda: any(checkpoint_generation(pool, run_id) for run_id in run_ids()), "a checkpoint is stored")
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    (run_id,) = run_ids()
    with pool.connection() as connection:
        state = run_state(connection, run_id)
    assert state is not None
    assert state.status == "RUNNING"
    # At once, though the lease has not ended: its owner is known to be dead.
    with job(current, *arguments, out=subprocess.PIPE) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "going on with 1 searches that were cut off" in output
    assert "1 runs stored" in output
    assert run_ids() == [run_id]
    consume_once(current)
    assert stored_scores(pool, candles.symbol) == expected_champions(candles, [state.request])


def test_each_time_frame_of_a_direct_search_is_a_run_of_its_own_and_asking_again_is_the_same_runs(
    pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    arguments = (
        "--symbol", candles.symbol, "--strategies", "SMA_RSI", "--population", "20", "--generations", "3",
        "--min-trades", "2", "--workers", "0", "--out", str(tmp_path),
    )  # fmt: skip

    def told(*more: str) -> str:
        with job(current, *arguments, *more, out=subprocess.PIPE) as process:
            output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output

    assert "2 runs stored, 0 were stored before" in told("--timeframes", "1d,3d")
    assert "0 runs stored, 2 were stored before" in told("--timeframes", "3d,1d")
    assert "0 runs stored, 1 were stored before" in told(), "the candles' own time frame is a search like any"
    with pool.connection() as connection:
        rows = connection.execute("SELECT run_id FROM discovery_runs").fetchall()
        states = [run_state(connection, row[0]) for row in rows]
    assert sorted(str(state.request.resample_to) for state in states if state) == ["3d", "None"]
    consume_once(current)
    with pool.connection() as connection:
        stored = best_strategies(connection, symbol=candles.symbol, limit=20)
    assert {item.timeframe for item in stored} == {"1d", "3d"}
    expected: dict[str, float] = {}
    for state in states:
        assert state is not None
        expected |= expected_champions(candles, [state.request])
    assert stored_scores(pool, candles.symbol) == expected


def test_runs_that_give_way_after_each_generation_end_with_the_same_champions(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    requests = requests_of(pool, candles.symbol, ("MACD_CROSSOVER", "SMA_RSI"), SHORT)
    late = [
        msgspec.structs.replace(request, run_id=f"late-{request.run_id}", end_time=request.end_time - 86_400_000)
        for request in requests
    ]
    queue(pool, requests + late)
    ends: list[str] = []
    ended = work_queue(
        pool,
        SerialExecutor(),
        "worker",
        on_run=lambda run, _: ends.append(run.run_id),
        slice_s=0.0,
        checkpoint_s=0.0,
    )
    assert ended == 4
    with pool.connection() as connection:
        states = [run_state(connection, request.run_id) for request in requests + late]
    # Each of the two data sets gives way to the other until one of them is done.
    assert sum(state.slices for state in states if state) >= 2 * (SHORT.generations - 2)
    assert {(state.status, state.attempts) for state in states if state} == {("DONE", 1)}
    consume_once(current)
    assert stored_scores(pool, candles.symbol).items() >= expected_champions(candles, requests).items()


def test_a_checkpoint_of_candles_that_were_corrected_since_is_not_gone_on_from(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    (request,) = requests_of(pool, candles.symbol, ("SMA_RSI",), SHORT)
    queue(pool, [request])

    def cut_off(generation: Generation) -> None:
        if generation.generation == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_queue(pool, SerialExecutor(), "worker", on_run=lambda *_: None, on_generation=cut_off, checkpoint_s=0.0)
    assert statuses(pool, [request]) == {request.run_id: ("QUEUED", 0)}, "it is back in the queue"
    assert checkpoint_generation(pool, request.run_id) == 3
    with pool.connection() as connection:
        connection.execute("UPDATE candles SET close = close * 1.0001, high = high * 1.0001 WHERE volume >= 0")
    seen: list[Generation] = []
    work_queue(pool, SerialExecutor(), "worker", on_run=lambda *_: None, on_generation=seen.append)
    assert seen[0].generation == 1
    assert statuses(pool, [request])[request.run_id][0] == "DONE"


def test_a_worker_that_is_asked_to_stop_gives_its_runs_back_as_far_as_they_are(
    pool: DatabasePool, candles: Candles
) -> None:
    (request,) = requests_of(pool, candles.symbol, ("SMA_RSI",), SHORT)
    queue(pool, [request])
    stop = threading.Event()

    def at_the_third(generation: Generation) -> None:
        if generation.generation == 3:
            stop.set()

    ended = work_queue(pool, SerialExecutor(), "worker", on_run=lambda *_: None, on_generation=at_the_third, stop=stop)
    assert ended == 0
    assert statuses(pool, [request]) == {request.run_id: ("QUEUED", 0)}
    assert checkpoint_generation(pool, request.run_id) == 4


@pytest.mark.slow
def test_a_killed_queue_worker_of_ray_is_restarted_and_its_runs_go_on_with_the_same_champions(
    ray_cluster: str, pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    from ray_jobs.queue_worker import work_with_ray

    requests = requests_of(pool, candles.symbol, ("ICHIMOKU_CLOUD",), LONG)
    requests += requests_of(pool, candles.symbol, ("MACD_CROSSOVER", "SMA_RSI"), SHORT)
    queue(pool, requests)
    long_run = requests[0].run_id
    told: list[str] = []

    def kill_the_owner() -> None:
        wait_until(lambda: checkpoint_generation(pool, long_run) > 0, "a checkpoint is stored", 60)
        with pool.connection() as connection:
            row = connection.execute("SELECT lease_owner FROM discovery_runs WHERE run_id = %s", (long_run,)).fetchone()
        assert row is not None
        os.kill(int(row[0].rpartition(":")[2]), signal.SIGKILL)

    killer = threading.Thread(target=kill_the_owner)
    killer.start()
    work_with_ray(SearchQueue(), current, workers=1, forever=False, tell=told.append)
    killer.join(timeout=60)
    found = statuses(pool, requests)
    assert found[long_run] == ("DONE", 2)
    assert {status for status, _ in found.values()} == {"DONE"}
    consume_once(current)
    assert stored_scores(pool, candles.symbol) == expected_champions(candles, requests)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_queued_search_with_frictions_is_gone_on_with_after_a_kill_and_ends_as_the_direct_command(
    ray_cluster: str, pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    """Over Kafka, resumed by a worker of Ray; with another time frame and other settings than the defaults too."""
    from ray_jobs.queue_worker import work_with_ray

    (request,) = requests_of(pool, candles.symbol, ("SMA_RSI",), DEAR, FRICTIONS)
    (plain,) = requests_of(pool, candles.symbol, ("SMA_RSI",), DEAR)
    assert request.run_id != plain.run_id
    publish_and_queue(current, pool, [request])
    with job(current, "--from-queue", "--workers", "0") as worker:
        # The account of money compiles first, where no one has used it yet.
        wait_until(lambda: checkpoint_generation(pool, request.run_id) > 0, "a checkpoint is stored", 240)
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=30)
    reached = checkpoint_generation(pool, request.run_id)
    assert 0 < reached < DEAR.generations
    end_leases(pool)
    work_with_ray(SearchQueue(), current, workers=1, forever=False, tell=lambda _: None)
    with pool.connection() as connection:
        state = run_state(connection, request.run_id)
    assert state is not None
    assert (state.status, state.attempts) == ("DONE", 2)
    assert state.request.frictions == frictions_to_json(FRICTIONS)

    file = tmp_path / "costs.json"
    file.write_text(json.dumps(frictions_to_json(FRICTIONS)))
    arguments = (
        "--symbol", candles.symbol, "--timeframe", "1d", "--timeframes", "3d", "--strategies", "SMA_RSI",
        "--population", str(DEAR.population), "--generations", str(DEAR.generations), "--patience", "40",
        "--islands", "2", "--top", "3", "--seed", "7", "--frictions", str(file), "--workers", "0", "--no-store",
        "--json", "--out", str(tmp_path),
    )  # fmt: skip
    with job(current, *arguments, out=subprocess.PIPE) as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    (direct,) = json.loads(output)["searches"]
    assert direct["frictions"] == frictions_to_json(FRICTIONS)
    consume_once(current)
    with pool.connection() as connection:
        stored = best_strategies(connection, symbol=candles.symbol, limit=10)
    assert {item.timeframe for item in stored} == {"3d"}
    found = [(item.parameters, item.score, item.in_sample, item.out_of_sample) for item in stored]
    assert found == [
        (item["parameters"], item["score"], item["in_sample"], item["out_of_sample"]) for item in direct["champions"]
    ]
    assert stored_scores(pool, candles.symbol) == expected_champions(candles, [request])
