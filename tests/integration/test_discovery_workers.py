"""Searches on real Ray workers: the same bits as in this process, whoever works and whatever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import psutil
import pytest

from alpharay.discovery.evaluation import Batch
from alpharay.discovery.search import DiscoveryReport, Generation, SearchSettings, discover_all
from alpharay.market.sample import sample_candles
from alpharay.strategies.catalogue import CATALOGUE

SETTINGS = SearchSettings(population=60, generations=5, seed=11)
STRATEGIES = [CATALOGUE[name] for name in ("MACD_CROSSOVER", "SMA_RSI", "PARABOLIC_SAR")]


def found_by(reports: Iterable[DiscoveryReport]) -> list[Any]:
    return [(report.champions, report.evaluations, report.stop_reason) for report in reports]


@pytest.fixture(scope="module")
def serial() -> list[Any]:
    """What the search in this process finds."""
    return found_by(discover_all(STRATEGIES, sample_candles()[0], SETTINGS))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_ray_workers_find_the_same_champions_as_this_process(ray_cluster: str, serial: list[Any], workers: int) -> None:
    from ray_jobs.backtest_worker import RayExecutor

    with RayExecutor(workers) as executor:
        assert executor.workers == workers
        assert found_by(discover_all(STRATEGIES, sample_candles()[0], SETTINGS, executor=executor)) == serial


def test_a_killed_worker_is_replaced_and_the_champions_stay_the_same(ray_cluster: str, serial: list[Any]) -> None:
    from ray_jobs.backtest_worker import RayExecutor

    killed: list[int] = []
    with RayExecutor(2) as executor:

        def kill_a_worker(generation: Generation) -> None:
            if generation.generation == 2 and not killed:
                killed.append(executor.process_ids[0])
                os.kill(killed[0], signal.SIGKILL)

        reports = discover_all(
            STRATEGIES, sample_candles()[0], SETTINGS, executor=executor, on_generation=kill_a_worker
        )
        assert killed[0] not in executor.process_ids
    assert found_by(reports) == serial


def test_a_worker_killed_while_it_holds_batches_loses_none(ray_cluster: str) -> None:
    from ray_jobs.backtest_worker import RayExecutor

    with RayExecutor(2) as executor:
        victim = executor.process_ids[1]

        def kill_once(item: int) -> int:
            if item == 7 and os.getpid() == victim:
                os.kill(victim, signal.SIGKILL)
            return item * item

        # Every item reaches both workers' shares, so that one of them meets the killing item in the victim.
        assert list(executor(kill_once, [7] * 40)) == [49] * 40
        assert not psutil.pid_exists(victim) or psutil.Process(victim).status() == psutil.STATUS_ZOMBIE


def test_an_error_in_a_batch_is_raised_where_the_search_runs(ray_cluster: str) -> None:
    from ray_jobs.backtest_worker import RayExecutor

    def refuse(batch: Batch) -> None:
        raise ValueError(f"no backtest of {batch.strategy.name}")

    with RayExecutor(1) as executor, pytest.raises(ValueError, match="no backtest of SMA_RSI"):
        executor(refuse, [Batch(CATALOGUE["SMA_RSI"], np.zeros((1, 4)))])


def test_results_come_in_the_order_of_the_items_and_no_items_give_none(ray_cluster: str) -> None:
    from ray_jobs.backtest_worker import RayExecutor

    double: Callable[[int], int] = lambda item: item * 2  # noqa: E731 - a function that Ray pickles by value
    with RayExecutor(2) as executor:
        assert list(executor(double, range(25))) == [2 * item for item in range(25)]
        assert list(executor(double, [])) == []


@pytest.mark.parametrize(("held", "third_answer"), [(1, 1), (2, 2)])
def test_workers_keep_the_last_used_functions_as_many_as_they_may(
    ray_cluster: str, held: int, third_answer: int
) -> None:
    from ray_jobs.backtest_worker import RayExecutor

    class Counting:
        """Answers how often it was called where it is; a copy that comes anew begins at one."""

        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, _: int) -> int:
            self.calls += 1
            return self.calls

    first, second = Counting(), Counting()
    with RayExecutor(1, held=held) as executor:
        answers = [answer for function in (first, second, first) for answer in executor(function, [0])]
    assert answers == [1, 1, third_answer]


def test_workers_run_on_nodes_of_their_groups_alone(ray_cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray_jobs import backtest_worker
    from ray_jobs.backtest_worker import RayExecutor, WorkersMissingError

    with RayExecutor(1, groups="elsewhere, of-tests") as executor:
        assert executor.process_ids
    monkeypatch.setattr(backtest_worker, "START_TIMEOUT_S", 5.0)
    monkeypatch.setattr(backtest_worker, "LATE_WORKERS_S", 0.1)
    with pytest.raises(WorkersMissingError, match="on nodes of elsewhere"):
        RayExecutor(1, groups="elsewhere")
