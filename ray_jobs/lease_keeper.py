"""Keep the leases of claimed rows while they are worked on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.store.database import DatabasePool
from alpharay.store.lease_queue import Lease, LeaseQueue, renew

RENEWALS_A_LEASE = 4.0

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Renews leases of one owner on a thread; use it in a `with`.

    A thread, because one generation may take longer than a lease. While the database cannot be reached it goes on
    trying: a lease that ends meanwhile is found lost when its row is to be finished. `also` runs with each renewal, on
    its connection (progress that people look at, say).
    """

    def __init__(
        self,
        pool: DatabasePool,
        queue: LeaseQueue,
        leases: Sequence[Lease],
        lease_s: float,
        also: Callable[[Connection[TupleRow]], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._leases = {lease.key: lease for lease in leases}
        self._lease_s = lease_s
        self._also = also
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lease-keeper", daemon=True)

    def held(self, leases: Sequence[Lease]) -> list[Lease]:
        """Return those of the leases that are still held, as far as is known."""
        return [lease for lease in leases if lease.key in self._leases]

    def drop(self, lease: Lease) -> None:
        """Let go of a lease."""
        self._leases.pop(lease.key, None)

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
            self._renew()

    def _renew(self) -> None:
        leases = list(self._leases.values())
        try:
            with self._pool.connection() as connection:
                held = renew(connection, self._queue, leases, lease_s=self._lease_s)
                self._also(connection)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("queue.leases_not_renewed", queue=self._queue.table, rows=len(leases), error=str(error))
            return
        for lease in leases:
            # One that was dropped meanwhile is finished, not lost.
            if lease.key not in held and lease.key in self._leases:
                log.warning("queue.lease_lost", queue=self._queue.table, key=lease.key, epoch=lease.epoch)
                self.drop(lease)
