"""A Ray head that dies takes the job's driver and its workers along; what they searched is not lost. Jobs run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest
from candle_stream import wait_until
from conftest import REPOSITORY
from discovery_stack import (  # noqa: F401 - fixtures are found by their names
    candles,
    checkpoint_generation,
    current,
    expected_champions,
    pool,
    requests_of,
    statuses,
    stored_scores,
    symbol,
)

from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.search import SearchSettings
from alpharay.market.candles import Candles
from alpharay.settings import Settings
from alpharay.store.backtests import backtest_state, enqueue_backtest
from alpharay.store.database import DatabasePool
from alpharay.store.runs import enqueue_run
from alpharay.strategies.catalogue import CATALOGUE
from cluster.local import ray_head
from cluster.local.process import running
from ray_jobs.consume import consume_once

SEARCH = SearchSettings(population=4000, generations=60, top_n=3, seed=7)
PATIENCE_S = 120


@contextmanager
def head(folder: Path, settings: Settings) -> Iterator[str]:
    """Run a head of the test's own and yield its address; what is left of it ends with the block."""
    environment = {"ALPHARAY_DATABASE_URL": settings.require("database_url")}
    service = ray_head.start(folder, settings=environment, working_folder=folder)
    try:
        yield service.url
    finally:
        ray_head.stop(folder)


@contextmanager
def queue_job(address: str, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Work on the queue with one Ray worker, as `ray job submit` would on the head."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ray_jobs.discover", "--from-queue", "--workers", "1"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "ALPHARAY_DATABASE_URL": settings.require("database_url"),
            "ALPHARAY_RAY_ADDRESS": address,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


def kill_with_all_it_started(folder: Path) -> None:
    """SIGKILL the head, its scheduler and its workers at once, as the loss of the machine would."""
    process = running(folder)
    assert process is not None
    everyone = [process, *process.children(recursive=True)]
    for one in everyone:
        one.kill()
    assert psutil.wait_procs(everyone, timeout=30)[1] == []


def submit(folder: Path, *entrypoint: str) -> str:
    """Run `ray job submit`, as a person would, and return what it and the job wrote."""
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "job",
        "submit",
        "--address",
        ray_head.dashboard_url(folder),
    ]
    found = subprocess.run(
        [*command, "--", *entrypoint], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S
    )
    assert found.returncode == 0, found.stdout
    return found.stdout


def backtest_as_a_job(folder: Path, pool: DatabasePool, candles: Candles) -> None:
    """Submit a backtest, and then one that is queued; each ends as the library's."""
    macd = CATALOGUE["MACD_CROSSOVER"]
    asked = ("--symbol", candles.symbol, "--strategy", macd.name, "--parameters", "fast=8")
    said = submit(folder, "python", "-m", "ray_jobs.backtest", *asked, "--json")
    expected = backtest_strategy(macd, {**macd.defaults, "fast": 8.0}, candles).metrics
    answer = said[said.index("{") : said.rindex("}") + 1]
    assert json.loads(answer)["metrics"] == metrics_json(expected)
    with pool.connection() as connection:
        ((request_id,),) = connection.execute("SELECT request_id FROM backtests WHERE status = 'DONE'").fetchall()
        known = backtest_state(connection, request_id)
        assert known is not None
        enqueue_backtest(connection, msgspec.structs.replace(known.request, request_id="queued"))
    submit(folder, "python", "-m", "ray_jobs.backtest", "--from-queue", "--workers", "1")
    with pool.connection() as connection:
        queued = backtest_state(connection, "queued")
    assert queued is not None
    assert (queued.status, queued.result) == ("DONE", known.result)


@pytest.mark.slow
def test_a_search_goes_on_from_its_checkpoint_on_a_new_head_with_the_same_champions(
    pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    (request,) = requests_of(pool, candles.symbol, ("ICHIMOKU_CLOUD",), SEARCH)
    with pool.connection() as connection:
        assert enqueue_run(connection, request)
    folder = tmp_path / "ray"
    with head(folder, current) as address, queue_job(address, current) as driver:
        wait_until(lambda: checkpoint_generation(pool, request.run_id) > 0, "a checkpoint is stored", PATIENCE_S)
        driver.kill()
        kill_with_all_it_started(folder)
    reached = checkpoint_generation(pool, request.run_id)
    assert reached > 0
    assert statuses(pool, [request]) == {request.run_id: ("RUNNING", 1)}, "it was cut off before its end"
    with pool.connection() as connection:
        # Nobody is left to give the lease back: its time passes.
        connection.execute("UPDATE discovery_runs SET lease_until = now() - interval '1 s' WHERE status = 'RUNNING'")
    with head(folder, current) as address, queue_job(address, current) as driver:
        assert driver.wait(timeout=PATIENCE_S) == 0
        backtest_as_a_job(folder, pool, candles)
    assert statuses(pool, [request]) == {request.run_id: ("DONE", 2)}
    consume_once(current)
    assert stored_scores(pool, candles.symbol) == expected_champions(candles, [request])
    ray_head.purge(folder)
