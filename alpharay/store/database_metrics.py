"""What the database costs this process: its pools, the wait for a connection, and statements by kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self
from weakref import WeakSet

import psycopg
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg import Connection, Copy, Cursor
from psycopg.abc import Params, Query
from psycopg.rows import Row, TupleRow
from psycopg_pool import ConnectionPool

from alpharay.telemetry.registry import REGISTRY
from alpharay.telemetry.spans import span

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
_KINDS = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "COPY", "WITH", "SET", "LOCK", "CREATE"))
OTHER = "other"

ACQUIRE = Histogram(
    "alpharay_database_acquire_seconds",
    "Time that a caller waited for a connection of the pool.",
    ["pool"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
ACQUIRE_FAILURES = Counter(
    "alpharay_database_acquire_failures", "Times that no connection was to be had.", ["pool"], registry=REGISTRY
)
STATEMENT = Histogram(
    "alpharay_database_statement_seconds",
    "Time until a statement was answered, by its first word.",
    ["pool", "kind"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
STATEMENT_FAILURES = Counter(
    "alpharay_database_statement_failures",
    "Statements that failed, by first word and PostgreSQL's code of the error; none where the connection was lost.",
    ["pool", "kind", "code"],
    registry=REGISTRY,
)
CONNECTION_LOSSES = Counter(
    "alpharay_database_connection_losses", "Transactions that were tried again after a lost connection.",
    registry=REGISTRY,
)  # fmt: skip


_LOCK = threading.Lock()
_POOLS: WeakSet[MeasuredPool] = WeakSet()


class MeasuredCursor(Cursor[Row]):
    """Times each statement, which is a span where the work belongs to a trace."""

    pool: ClassVar[str] = OTHER

    def execute(
        self, query: Any, params: Params | None = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> Self:
        """Execute a query; as psycopg's."""
        if query == "":
            # How the pool finds out whether a connection lives.
            return super().execute(query, params, prepare=prepare, binary=binary)
        with _timed(self.pool, query):
            return super().execute(query, params, prepare=prepare, binary=binary)

    def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """Execute a query with each of some sets of parameters; as psycopg's."""
        with _timed(self.pool, query):
            super().executemany(query, params_seq, returning=returning)

    @contextmanager
    def copy(self, statement: Query, params: Params | None = None, *, writer: Any = None) -> Iterator[Copy]:
        """Copy rows in or out; as psycopg's."""
        with _timed(self.pool, "COPY"), super().copy(statement, params, writer=writer) as copied:
            yield copied


class MeasuredPool(ConnectionPool[Connection[TupleRow]]):
    """A pool that times the wait for its connections and tells how many there are."""

    def __init__(self, conninfo: str, **options: Any) -> None:
        super().__init__(conninfo, **options)
        with _LOCK:
            _POOLS.add(self)

    def getconn(self, timeout: float | None = None) -> Connection[TupleRow]:
        """Hand out a connection; as psycopg's."""
        started = time.perf_counter()
        try:
            return super().getconn(timeout)
        except BaseException:
            ACQUIRE_FAILURES.labels(self.name).inc()
            raise
        finally:
            ACQUIRE.labels(self.name).observe(time.perf_counter() - started)


def measured_cursor(pool: str) -> type[MeasuredCursor[Any]]:
    """Return the class of a pool's cursors."""
    return type("PoolCursor", (MeasuredCursor,), {"pool": pool})


def kind_of(query: Query) -> str:
    """Return a statement's first word in capitals, or `other`: few words, whatever is sent."""
    if isinstance(query, (str, bytes)):
        head = query[:200]
        text = head.decode(errors="replace") if isinstance(head, bytes) else head
    else:
        text = str(getattr(query, "_obj", ("",))[0])
    words = text.split(None, 1)
    word = words[0].upper() if words else OTHER
    return word if word in _KINDS else OTHER


@contextmanager
def _timed(pool: str, query: Query) -> Generator[None]:
    kind = kind_of(query)
    started = time.perf_counter()
    try:
        with span(f"{kind} postgresql", "client", {"db.system.name": "postgresql", "db.operation.name": kind}):
            yield
    except psycopg.Error as error:
        STATEMENT_FAILURES.labels(pool, kind, error.sqlstate or "none").inc()
        raise
    finally:
        STATEMENT.labels(pool, kind).observe(time.perf_counter() - started)


class _PoolCollector(Collector):
    """Reads the state of every open pool when it is scraped."""

    def collect(self) -> Iterable[Metric]:
        size = GaugeMetricFamily("alpharay_database_pool_connections", "Connections of the pool.", labels=["pool"])
        idle = GaugeMetricFamily("alpharay_database_pool_idle_connections", "Those that nobody uses.", labels=["pool"])
        most = GaugeMetricFamily("alpharay_database_pool_max_connections", "The most it may have.", labels=["pool"])
        waiting = GaugeMetricFamily("alpharay_database_pool_waiting", "Callers that wait for one.", labels=["pool"])
        with _LOCK:
            pools = {pool.name: pool for pool in _POOLS if not pool.closed}
        for name, pool in sorted(pools.items()):
            state = pool.get_stats()
            size.add_metric([name], state["pool_size"])
            idle.add_metric([name], state["pool_available"])
            most.add_metric([name], state["pool_max"])
            waiting.add_metric([name], state["requests_waiting"])
        return (size, idle, most, waiting)


REGISTRY.register(_PoolCollector())
