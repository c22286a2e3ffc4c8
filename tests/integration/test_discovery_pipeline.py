"""From a request on Kafka to rows in `strategies`, on real servers: once, whatever is repeated or killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candle_stream import wait_until
from discovery_stack import (  # noqa: F401 - fixtures are found by their names
    NAMES,
    SEARCH,
    candles,
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

from alpharay.backtest.costs import Costs
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.split import split
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.settings import Settings
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles
from alpharay.store.database import DatabasePool
from alpharay.store.strategies import best_strategies
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.codec import strategy_from_json
from ray_jobs.consume import consume_once
from ray_jobs.discovery_messages import discovery_request
from ray_jobs.market_discovery import discovery_pool
from ray_jobs.queued_discovery import work_queue
from ray_jobs.request_discovery import publish_requests


def test_a_request_becomes_stored_strategies_once_even_when_it_is_sent_twice(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    requests = requests_of(pool, candles.symbol)
    publish_requests(current, requests)
    publish_and_queue(current, pool, requests_of(pool, candles.symbol))
    assert statuses(pool, requests) == {request.run_id: ("QUEUED", 0) for request in requests}

    ends: dict[str, str] = {}
    work_queue(pool, SerialExecutor(), "worker-1", on_run=lambda run, text: ends.update({run.run_id: text}))
    assert statuses(pool, requests) == {request.run_id: ("DONE", 1) for request in requests}
    assert "champions of" in ends[requests[0].run_id]
    consume_once(current)
    expected = expected_champions(candles, requests)
    assert len(expected) > len(NAMES)
    assert stored_scores(pool, candles.symbol) == expected

    publish_and_queue(current, pool, requests)
    assert work_queue(pool, SerialExecutor(), "worker-2", on_run=lambda *_: None) == 0
    consume_once(current)
    assert stored_scores(pool, candles.symbol) == expected
    with pool.connection() as connection:
        evidence = connection.execute("SELECT count(*) FROM strategy_evidence").fetchone()
    assert evidence == (len(expected),)


def test_a_stored_strategy_gives_its_figures_again_when_its_json_is_backtested(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    requests = requests_of(pool, candles.symbol, ("PARABOLIC_SAR", "SMA_RSI"))
    publish_and_queue(current, pool, requests)
    work_queue(pool, SerialExecutor(), "worker-1", on_run=lambda *_: None)
    consume_once(current)
    with pool.connection() as connection:
        stored = best_strategies(connection, symbol=candles.symbol)
    parts = split(candles, SEARCH.train_fraction)
    assert stored
    for row in stored:
        strategy = strategy_from_json(row.strategy)
        again = metrics_json(backtest_strategy(strategy, row.parameters, parts.train).metrics)
        assert again == row.in_sample
        assert row.train_end_time == parts.train_end_time
        assert row.out_of_sample["trades"] is not None


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_is_followed_by_another_with_the_same_result(
    ray_cluster: str, pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    from ray_jobs.backtest_worker import RayExecutor

    requests = requests_of(pool, candles.symbol, tuple(CATALOGUE))
    publish_and_queue(current, pool, requests)
    with job(current, "--from-queue", "--workers", "0") as worker:
        wait_until(lambda: "RUNNING" in dict(statuses(pool, requests).values()), "a run is claimed")
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=30)
    killed = [run_id for run_id, (status, _) in statuses(pool, requests).items() if status == "RUNNING"]
    assert killed
    with pool.connection() as connection:
        # The lease's time passes.
        connection.execute("UPDATE discovery_runs SET lease_until = now() WHERE status = 'RUNNING'")
    with RayExecutor(2) as executor:
        work_queue(pool, executor, "worker-2", on_run=lambda *_: None)
    assert statuses(pool, requests) == {
        request.run_id: ("DONE", 2 if request.run_id in killed else 1) for request in requests
    }
    consume_once(current)
    assert stored_scores(pool, candles.symbol) == expected_champions(candles, requests)


def test_a_run_that_cannot_be_searched_fails_with_the_reason_and_leaves_the_others_alone(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    (good,) = requests_of(pool, candles.symbol, ("SMA_RSI",))
    market = Market(good.exchange, good.symbol, good.timeframe)
    window = {"start_time": good.start_time, "end_time": good.end_time, "settings": SEARCH, "costs": Costs()}
    unknown = discovery_request(market, strategy_name="NO_SUCH_STRATEGY", **window)
    empty = discovery_request(Market("simulated", "NONE/USD", "1d"), strategy_name="SMA_RSI", **window)
    publish_and_queue(current, pool, [unknown, empty, good])
    ends: dict[str, str] = {}
    work_queue(pool, SerialExecutor(), "worker-1", on_run=lambda run, text: ends.update({run.run_id: text}))
    assert "NO_SUCH_STRATEGY" in ends[unknown.run_id]
    assert "at least 2 candles" in ends[empty.run_id]
    found = statuses(pool, [unknown, empty, good])
    assert [found[item.run_id][0] for item in (unknown, empty, good)] == ["FAILED", "FAILED", "DONE"]


def test_a_cancelled_run_is_given_up_by_its_worker(pool: DatabasePool, current: Settings, candles: Candles) -> None:
    requests = requests_of(pool, candles.symbol, ("SMA_RSI",))
    publish_and_queue(current, pool, requests)

    class CancelledMeanwhile(SerialExecutor):
        def __call__(self, function: Callable[[Any], Any], items: Any) -> Any:
            with pool.connection() as connection:
                connection.execute("UPDATE discovery_runs SET status = 'CANCELLED' WHERE status = 'RUNNING'")
            return super().__call__(function, items)

    ends: list[str] = []
    assert work_queue(pool, CancelledMeanwhile(), "worker-1", on_run=lambda _, text: ends.append(text)) == 0
    assert statuses(pool, requests) == {requests[0].run_id: ("CANCELLED", 1)}
    assert "cancelled" in ends[0]
    with pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_the_direct_job_stores_its_champions_once_and_prints_json(
    pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    arguments = (
        "--symbol", candles.symbol, "--strategies", "sma_rsi,MACD_CROSSOVER", "--population", "20",
        "--generations", "3", "--workers", "0", "--json", "--out", str(tmp_path),
    )  # fmt: skip
    printed = []
    for _ in range(2):
        with job(current, *arguments, out=subprocess.PIPE) as process:
            output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        printed.append(json.loads(output))
    assert [item["champions"] for item in printed[0]["searches"]] == [
        item["champions"] for item in printed[1]["searches"]
    ]
    assert "0 runs stored, 2 were stored before" in errors
    assert Path(printed[0]["equity_plot"]).is_file()
    consume_once(current)
    scores = sorted(champion["score"] for item in printed[0]["searches"] for champion in item["champions"])
    assert sorted(stored_scores(pool, candles.symbol).values()) == scores


@pytest.mark.slow
def test_ctrl_c_in_the_direct_job_stores_what_was_found(
    pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    arguments = (
        "--symbol", candles.symbol, "--strategies", "ICHIMOKU_CLOUD", "--population", "12000", "--generations", "5000",
        "--workers", "0", "--out", str(tmp_path),
    )  # fmt: skip
    log = tmp_path / "log.txt"
    with log.open("w") as out, job(current, *arguments, out=out) as process:
        wait_until(lambda: re.search(r"generation \d+/5000", log.read_text()), "it searches")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "keeping what was found" in log.read_text()
    assert "Ended early by Ctrl-C" in log.read_text()
    with pool.connection() as connection:
        rows = connection.execute("SELECT status, request->>'generations' FROM discovery_runs").fetchall()
        waiting = connection.execute("SELECT count(*) FROM outbox").fetchone()
    assert len(rows) == 1
    assert rows[0][0] == "DONE"
    assert int(rows[0][1]) < 5000, "the run is the search as far as it came"
    assert waiting == (5,)


def test_a_symbol_without_candles_is_refused_with_what_is_there(pool: DatabasePool, current: Settings) -> None:
    with job(current, "--symbol", "NONE", "--workers", "0") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no candles of NONE/USD 1d are stored" in errors


def test_candles_are_read_back_to_the_bit(pool: DatabasePool, current: Settings, candles: Candles) -> None:
    with discovery_pool(current) as own, own.connection() as connection:
        read = load_candles(connection, Market(candles.exchange, candles.symbol, candles.timeframe))
    for name in ("open_time", *VALUE_COLUMNS):
        assert getattr(read, name).tobytes() == getattr(candles, name).tobytes()
