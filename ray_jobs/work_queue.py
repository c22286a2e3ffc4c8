"""Work on a queue of PostgreSQL: in this process, or with Ray workers that each claim for themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from alpharay.settings import Settings
from alpharay.store.database import DatabasePool
from alpharay.store.lease_queue import LeaseQueue
from ray_jobs.lease_owner import owner_name
from ray_jobs.market_discovery import discovery_pool

Tell = Callable[[str], None]
"""Gets a line for each row that ended."""


class QueueWork(Protocol):
    """What is done with the rows of a queue; it is sent to the workers."""

    @property
    def queue(self) -> LeaseQueue:
        """The queue."""
        ...

    @property
    def name(self) -> str:
        """What its workers are called."""
        ...

    def __call__(self, pool: DatabasePool, owner: str, tell: Tell, stop: threading.Event, *, forever: bool) -> int:
        """Work until the queue is empty, or (`forever`) until `stop` is set; return how many rows were ended."""
        ...


def work_on(work: QueueWork, settings: Settings, *, workers: int | None, forever: bool, tell: Tell) -> int:
    """Work on a queue and return how many rows were ended.

    `workers` 0 is this process, without Ray; None is what suits the cluster. Ctrl-C ends the work: rows in hand go
    back to the queue.
    """
    if workers == 0:
        tell(f"{owner_name()} works on {work.queue.table}")
        ended: list[str] = []

        def count(line: str) -> None:
            ended.append(line)
            tell(line)

        with discovery_pool(settings) as pool:
            try:
                return work(pool, owner_name(), count, threading.Event(), forever=forever)
            except KeyboardInterrupt:
                tell("Ctrl-C: what was in hand is back in the queue")
                return len(ended)
    # Ray takes a second to import, which work in this process need not wait for.
    from ray_jobs.queue_worker import work_with_ray

    return work_with_ray(work, settings, workers=workers, forever=forever, tell=tell)
