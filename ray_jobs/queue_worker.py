"""Ray actors that work on a queue, each for itself: no driver stands between them, PostgreSQL shares the work out."""

from __future__ import annotations

import os
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

import psycopg
import ray
import structlog
from psycopg_pool import PoolTimeout

from alpharay.node_groups import on_groups
from alpharay.settings import Settings
from alpharay.store.database import in_transaction, is_connection_loss
from alpharay.store.lease_queue import release_owners
from ray_jobs.backtest_worker import (
    LAPTOP_NICENESS,
    LATE_WORKERS_S,
    START_TIMEOUT_S,
    WORKER_ENVIRONMENT,
    join_ray,
    load_kernels,
    suitable_workers,
)
from ray_jobs.detached_actor import NAMESPACE, show_metrics
from ray_jobs.lease_owner import owner_name
from ray_jobs.market_discovery import discovery_pool
from ray_jobs.work_queue import QueueWork, Tell

MAX_RESTARTS = 20
"""A worker that dies begins again, and what it held goes on from its checkpoints; a row that kills it thrice fails."""

CONCURRENT_CALLS = 3
"""Its questions are answered while it works."""

DATABASE_AWAY_S = 10.0
NEWS_LINES = 1000
NEWS_EVERY_S = 0.5

log = structlog.get_logger(__name__)


@ray.remote(num_cpus=1, max_restarts=MAX_RESTARTS, max_task_retries=-1)
class QueueWorker:
    """Works on a queue in its own process, with its own connection, candles and columns."""

    def __init__(self, name: str, settings: Settings, niceness: int) -> None:
        self._name = name
        self._settings = settings
        self._stop = threading.Event()
        self._news: deque[str] = deque(maxlen=NEWS_LINES)
        show_metrics(name)
        if niceness:
            os.nice(niceness)
        load_kernels()

    def __repr__(self) -> str:
        return self._name

    def process_id(self) -> int:
        """Return the worker's process id; an answer means that it has started."""
        return os.getpid()

    def run(self, work: QueueWork, forever: bool) -> int:
        """Work until the queue is empty; return how many rows were ended."""
        owner = f"{self._name}@{owner_name()}"
        with discovery_pool(self._settings) as pool:
            # Who had this name before is this worker, before it died: its leases need not be waited for.
            in_transaction(pool, lambda connection: release_owners(connection, work.queue, f"{self._name}@", but=owner))
            while True:
                try:
                    return work(pool, owner, self._news.append, self._stop, forever=forever)
                except (psycopg.Error, PoolTimeout) as error:
                    # Retried for a minute by then. What was in hand is claimed again when its lease ends.
                    if not forever or not is_connection_loss(error):
                        raise
                    log.warning("queue.database_away", worker=self._name, error=str(error))
                    if self._stop.wait(DATABASE_AWAY_S):
                        return 0

    def news(self) -> list[str]:
        """Return what was told since the last call."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def stop(self) -> None:
        """Let the work end after the claim in hand."""
        self._stop.set()


def work_with_ray(work: QueueWork, settings: Settings, *, workers: int | None, forever: bool, tell: Tell) -> int:
    """Start workers, let them work until the queue is empty, and return how many rows were ended.

    They end with this process. `workers` None is what suits the cluster. Raises RuntimeError when a worker dies more
    often than it may. Ctrl-C lets each finish the claim in hand, which a slice bounds.
    """
    alone = join_ray(settings)
    count = suitable_workers(workers, alone=alone)
    niceness = LAPTOP_NICENESS if alone else 0
    worker_class: Any = QueueWorker
    # Unique, so that the leases of workers that died can be told from those of others.
    names = [f"{work.name}-worker-{uuid.uuid4().hex[:6]}-{index + 1}" for index in range(count)]
    actors = [
        worker_class.options(
            name=name,
            namespace=NAMESPACE,
            max_concurrency=CONCURRENT_CALLS,
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
            **on_groups(settings.search_groups),
        ).remote(name, settings, niceness)
        for name in names
    ]
    try:
        return _watch(work, forever, actors, tell)
    finally:
        for actor in actors:
            ray.kill(actor, no_restart=True)


def _watch(work: QueueWork, forever: bool, actors: Sequence[Any], tell: Tell) -> int:
    # Workers that find no processor wait for one; the others work meanwhile.
    started = [actor.process_id.remote() for actor in actors]
    ready, _ = ray.wait(started, num_returns=1, timeout=START_TIMEOUT_S)
    if not ready:
        raise RuntimeError(
            f"none of {len(actors)} workers started in {START_TIMEOUT_S:.0f} s: end other jobs, or use --workers 0"
        )
    ready, late = ray.wait(started, num_returns=len(started), timeout=LATE_WORKERS_S)
    if late:
        log.warning("queue.fewer_workers", asked=len(actors), started=len(ready))
    tell(f"{len(ready)} workers work on {work.queue.table}")
    working = [actor for actor, call in zip(actors, started, strict=True) if call in ready]
    running = [actor.run.remote(work, forever) for actor in working]
    ended = 0
    errors: list[Exception] = []
    try:
        while running:
            done, running = ray.wait(running, num_returns=len(running), timeout=NEWS_EVERY_S)
            _tell_news(working, tell)
            ended += _counted(done, errors)
    except KeyboardInterrupt:
        tell("Ctrl-C: the workers give back what they have in hand")
        ray.get([actor.stop.remote() for actor in working], timeout=START_TIMEOUT_S)
        done, _ = ray.wait(running, num_returns=len(running), timeout=START_TIMEOUT_S)
        _tell_news(working, tell)
        ended += _counted(done, errors)
    if errors:
        raise RuntimeError(f"{len(errors)} of {len(working)} workers failed, {ended} rows were ended: {errors[0]}")
    return ended


def _counted(calls: Sequence[Any], errors: list[Exception]) -> int:
    """Return how many rows these workers ended; the others go on when one has failed."""
    ended = 0
    for call in calls:
        try:
            ended += ray.get(call)
        except (ray.exceptions.RayError, psycopg.Error) as error:
            errors.append(error)
    return ended


def _tell_news(actors: Sequence[Any], tell: Tell) -> None:
    calls = [actor.news.remote() for actor in actors]
    done, _ = ray.wait(calls, num_returns=len(calls), timeout=NEWS_EVERY_S)
    for call in done:
        try:
            lines = ray.get(call)
        except ray.exceptions.RayError:
            # It is being restarted; what it had to tell is gone, what it did is in the database.
            continue
        for line in lines:
            tell(line)
