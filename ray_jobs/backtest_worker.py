"""Ray actors that backtest batches of genomes, as an ordered map for `alpharay.discovery`."""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar, cast

import numpy as np
import ray
import structlog

from alpharay.backtest.market import MEMORY_BUDGET, open_market
from alpharay.backtest.population import backtest_population
from alpharay.market.candles import Candles
from alpharay.node_groups import on_groups
from alpharay.settings import Settings
from alpharay.strategies.catalogue import CATALOGUE
from ray_jobs.detached_actor import NAMESPACE
from ray_jobs.work_shares import WorkShares

Item = TypeVar("Item")
Result = TypeVar("Result")

START_TIMEOUT_S = 60.0
"""How long the first worker may take to start; those that are not there by then are not waited for."""

LATE_WORKERS_S = 15.0
"""How long the other workers may take after the first."""

BATCH_TIMEOUT_S = 600.0
"""A batch that takes longer than this is given up, and the search with it."""

CALLS_A_WORKER = 2
"""One batch runs and one waits in the worker's mailbox, so that it is never idle between them."""

MAX_RESTARTS = 20
BATCH_RETRIES = 3
"""A batch whose worker dies is sent again to the restarted one.

A batch that kills each one it meets ends the search.
"""

LAPTOP_NICENESS = 10
WORKER_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    # Columns come and go by the megabyte: kept, their memory is not handed back and zeroed for every batch (glibc).
    **dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30)),
}

log = structlog.get_logger(__name__)


class WorkersMissingError(RuntimeError):
    """Ray has no free processor for a single worker."""


@ray.remote(num_cpus=1, max_restarts=MAX_RESTARTS, max_task_retries=BATCH_RETRIES)
class BacktestWorker:
    """Runs batches one after the other and keeps what it needs for them.

    The candles and their indicator columns, of so many functions (data sets) as `held` says: the last used ones.
    """

    def __init__(self, name: str, niceness: int, held: int = 1) -> None:
        self._name = name
        self._held = held
        self._functions: OrderedDict[str, Callable[[Any], Any]] = OrderedDict()
        if niceness:
            os.nice(niceness)
        load_kernels()

    def __repr__(self) -> str:
        return self._name

    def process_id(self) -> int:
        """Return the worker's process id; an answer means that it has started."""
        return os.getpid()

    def run(self, key: str, function: list[Any], item: Any) -> Any:
        """Return `function` of `item`.

        The function behind the reference is fetched when `key` is new here.
        """
        if key not in self._functions:
            while len(self._functions) >= self._held:
                self._functions.popitem(last=False)
            # Within a list, so that Ray does not fetch it anew for every call: its columns would be lost.
            self._functions[key] = cast("Callable[[Any], Any]", ray.get(function[0]))
        self._functions.move_to_end(key)
        return self._functions[key](item)


def load_kernels() -> None:
    """Load the compiled kernels while the driver still reads its candles, not within the first batch."""
    prices = np.linspace(1.0, 2.0, 64)
    minutes = np.arange(64, dtype=np.int64) * 60_000
    candles = Candles("none", "NONE/USD", "1m", minutes, prices, prices, prices, prices, prices)
    strategy = CATALOGUE["SMA_EMA_CROSSOVER"]
    backtest_population(strategy, strategy.genome(strategy.defaults)[None, :], open_market(candles))


class RayExecutor(AbstractContextManager["RayExecutor"]):
    """A pool of `BacktestWorker`s on a joined Ray cluster; use it in a `with`, which ends them.

    A function is put into Ray's object store once, where all workers of a machine share its arrays, however
    often it is mapped; the last used ones, `held` of them, stay there and in the workers. Items go where what they
    need is (`ray_jobs.work_shares`). Workers run on nodes of `groups`, where any are named. Raises
    WorkersMissingError when no worker could start; fewer than asked for are used as they are.
    """

    def __init__(self, workers: int, *, niceness: int = 0, held: int = 1, groups: str = "") -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, was {workers}")
        run = uuid.uuid4().hex[:6]
        names = [f"backtest-worker-{run}-{index + 1}" for index in range(workers)]
        # Named for the dashboard. They end with this driver: what they know is in the store or on its way
        # there.
        worker_class: Any = BacktestWorker
        actors = [
            worker_class.options(
                name=name, namespace=NAMESPACE, runtime_env={"env_vars": WORKER_ENVIRONMENT}, **on_groups(groups)
            ).remote(name, niceness, held)
            for name in names
        ]
        self._actors = _started(actors, groups)
        self._shares = WorkShares(len(self._actors))
        self._held = held
        # By identity; the function is kept, so that no other can get its id.
        self._known: OrderedDict[int, tuple[Callable[[Any], Any], ray.ObjectRef[Any], str]] = OrderedDict()

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return len(self._actors)

    @property
    def process_ids(self) -> list[int]:
        """The workers' process ids."""
        return list(ray.get([actor.process_id.remote() for actor in self._actors], timeout=START_TIMEOUT_S))

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Sequence[Result]:
        """Return the results in the order of the items; an error of the function is raised here."""
        reference, key = self._put(function)
        work = list(items)
        results: list[Any] = [None] * len(work)
        # Who has none of its own left takes the last of whoever has most.
        shares = self._shares.split(work)
        free = deque(index for _ in range(CALLS_A_WORKER) for index in range(len(self._actors)))
        running: dict[Any, tuple[int, int]] = {}
        while running or any(shares):
            while free and any(shares):
                index = free.popleft()
                place = shares[index].popleft() if shares[index] else max(shares, key=len).pop()
                call = self._actors[index].run.remote(key, [reference], work[place])
                running[call] = (place, index)
            done, _ = ray.wait(list(running), num_returns=1, timeout=BATCH_TIMEOUT_S)
            if not done:
                raise TimeoutError(
                    f"no batch of {len(running)} ended in {BATCH_TIMEOUT_S:.0f} s: see the workers in Ray's dashboard"
                )
            place, index = running.pop(done[0])
            results[place] = ray.get(done[0])
            free.append(index)
        return results

    def _put(self, function: Callable[[Any], Any]) -> tuple[ray.ObjectRef[Any], str]:
        if id(function) not in self._known:
            while len(self._known) >= self._held:
                self._known.popitem(last=False)
            self._known[id(function)] = (function, ray.put(function), uuid.uuid4().hex)
        self._known.move_to_end(id(function))
        _, reference, key = self._known[id(function)]
        return reference, key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self._actors:
            ray.kill(actor, no_restart=True)


def open_workers(workers: int | None, settings: Settings) -> RayExecutor:
    """Join the Ray cluster of the settings, unless this process has, and start workers.

    On one machine they are niced, so that serving comes first.
    """
    alone = join_ray(settings)
    return RayExecutor(
        suitable_workers(workers, alone=alone),
        niceness=LAPTOP_NICENESS if alone else 0,
        held=held_data_sets(settings),
        groups=settings.search_groups,
    )


def held_data_sets(settings: Settings) -> int:
    """Return how many data sets a worker may keep opened, so that it stays within `worker_memory_mb`."""
    # Columns, comparisons as much again at most, and as much for candles, tables and what a batch needs.
    return max(settings.worker_memory_mb * 1024 * 1024 // (3 * MEMORY_BUDGET), 1)


def join_ray(settings: Settings) -> bool:
    """Join the Ray cluster of the settings, unless this process has; tell whether it is one machine alone."""
    if not ray.is_initialized():
        ray.init(address=settings.ray_address or "auto", namespace=NAMESPACE, log_to_driver=False)
    return sum(node["Alive"] for node in ray.nodes()) == 1  # type: ignore[no-untyped-call]


def suitable_workers(workers: int | None, *, alone: bool) -> int:
    """Return how many workers to start; None is what suits: one machine's cores less one, all of several machines."""
    if workers is not None:
        return workers
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max((os.cpu_count() or 2) - 1, 1) if alone else int(resources.get("CPU", 1))


def _started(actors: list[Any], groups: str) -> list[Any]:
    calls = [actor.process_id.remote() for actor in actors]
    ray.wait(calls, num_returns=1, timeout=START_TIMEOUT_S)
    ready, late = ray.wait(calls, num_returns=len(calls), timeout=LATE_WORKERS_S)
    for call, actor in zip(calls, actors, strict=True):
        if call in late:
            ray.kill(actor, no_restart=True)
    if not ready:
        resources: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
        free = resources.get("CPU", 0.0)
        where = f" on nodes of {groups} (ALPHARAY_SEARCH_GROUPS)" if groups else ""
        raise WorkersMissingError(
            f"none of {len(actors)} backtest workers started{where} in {START_TIMEOUT_S:.0f} s; Ray has {free:g} "
            "processors free: end other jobs, or use --workers 0 to search in this process"
        )
    ray.get(ready, timeout=START_TIMEOUT_S)
    if late:
        log.warning("discovery.fewer_workers", asked=len(actors), started=len(ready))
    return [actor for call, actor in zip(calls, actors, strict=True) if call in ready]
