"""Connections to PostgreSQL: a bounded pool whose waits all end, and a retry for lost connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from alpharay.store.database_metrics import CONNECTION_LOSSES, MeasuredPool, measured_cursor

Result = TypeVar("Result")
DatabasePool = ConnectionPool[Connection[TupleRow]]

# The order matters: a caller learns that no connection is free before a statement would be given up, and a
# statement is given up before the request that asked for it.
CONNECT_TIMEOUT_S = 5
ACQUIRE_TIMEOUT_S = 5.0
LOCK_TIMEOUT_S = 8
STATEMENT_TIMEOUT_S = 10
BATCH_STATEMENT_TIMEOUT_S = 60
"""For writers of whole batches (the sinks), which no request waits for."""

RETRY_FOR_S = 60.0

log = structlog.get_logger(__name__)


def open_pool(
    database_url: str,
    *,
    application: str,
    max_connections: int = 4,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
) -> DatabasePool:
    """Open a pool of at most `max_connections` connections; a dead one is replaced before it is handed out.

    `application` is the name that the server shows for them. The pool opens in the background: with the
    database down, the first use raises PoolTimeout after `ACQUIRE_TIMEOUT_S`. Close it, or use it in a
    `with`.
    """
    options = (
        f"-c statement_timeout={int(statement_timeout_s * 1000)} -c lock_timeout={LOCK_TIMEOUT_S * 1000} "
        "-c idle_in_transaction_session_timeout=120000 -c timezone=UTC"
    )
    return MeasuredPool(
        database_url,
        kwargs={
            "cursor_factory": measured_cursor(application),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application,
            "options": options,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
        min_size=1,
        max_size=max_connections,
        timeout=ACQUIRE_TIMEOUT_S,
        reconnect_timeout=10.0,
        max_idle=300.0,
        check=ConnectionPool.check_connection,
        name=application,
        open=True,
    )


def is_connection_loss(error: BaseException) -> bool:
    """Tell whether an error means that the database cannot be reached now, so that trying later can help."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return False
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout))


def in_transaction(
    pool: DatabasePool,
    work: Callable[[Connection[TupleRow]], Result],
    *,
    retry_for_s: float = RETRY_FOR_S,
) -> Result:
    """Run `work` in one transaction and commit it; on connection loss run all of it again.

    It gives up after `retry_for_s`. A connection lost during COMMIT leaves open whether it happened, so
    `work` must be repeatable: running it twice has the effect of once. Other errors roll back and are raised
    at once.
    """
    for attempt in Retrying(
        retry=retry_if_exception(is_connection_loss),
        wait=wait_exponential_jitter(multiplier=0.1, max=5.0),
        stop=stop_after_delay(retry_for_s),
        before_sleep=_log_retry,
        reraise=True,
    ):
        with attempt, pool.connection() as connection:
            return work(connection)
    raise AssertionError("tenacity ends with a result or an error")


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    CONNECTION_LOSSES.inc()
    log.warning("database.connection_lost", attempt=state.attempt_number, error=str(error))
