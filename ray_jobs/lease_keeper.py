"""Keep the leases of claimed runs while they are worked on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from alpharay.discovery.search import Generation
from alpharay.store.database import DatabasePool
from alpharay.store.runs import ClaimedRun, LeaseLostError, renew_lease

RENEWALS_A_LEASE = 4.0

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Renews leases on a thread, with the progress that it is told; use it in a `with`.

    A thread, because one generation may take longer than a lease. While the database cannot be reached it
    goes on trying: a lease that ends meanwhile is found lost when the run is to be finished.
    """

    def __init__(self, pool: DatabasePool, runs: Sequence[ClaimedRun], lease_s: float) -> None:
        self._pool = pool
        self._runs = {run.run_id: run for run in runs}
        self._lease_s = lease_s
        self._progress: dict[str, dict[str, object]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lease-keeper", daemon=True)

    def note(self, generation: Generation) -> None:
        """Take a generation as the progress of the runs of its strategy."""
        self._progress[generation.strategy_name] = {
            "generation": generation.generation,
            "generations": generation.generations,
            "evaluations": generation.evaluations,
            "best": generation.best if generation.best > float("-inf") else None,
        }

    def holds_any(self, runs: Sequence[ClaimedRun]) -> bool:
        """Tell whether the lease of one of these runs is still held, as far as is known."""
        return any(run.run_id in self._runs for run in runs)

    def drop(self, run: ClaimedRun) -> None:
        """Let go of a run."""
        self._runs.pop(run.run_id, None)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=self._lease_s)

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self._lease_s / RENEWALS_A_LEASE):
            for run in list(self._runs.values()):
                self._renew(run)

    def _renew(self, run: ClaimedRun) -> None:
        try:
            with self._pool.connection() as connection:
                renew_lease(
                    connection,
                    run,
                    lease_s=self._lease_s,
                    progress=self._progress.get(run.request.strategy_name),
                )
        except LeaseLostError as error:
            if run.run_id in self._runs:
                log.warning("discovery.lease_lost", run_id=run.run_id, error=str(error))
                self.drop(run)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("discovery.lease_not_renewed", run_id=run.run_id, error=str(error))
