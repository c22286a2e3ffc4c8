"""The request that placed an order is known in every row, message and line that it caused; so is who cancelled it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
import structlog
from test_order_execution import ORDER, bars, paper, pool, taken

from alpharay.log import log_to_standard_error
from alpharay.store.database import DatabasePool
from alpharay.store.order_execution import execute_round
from alpharay.store.orders import intend, want_cancelled
from alpharay.telemetry.origin import Origin, caused_by
from alpharay.telemetry.registry import REGISTRY
from benchmarks.signal_data import store_candles

__all__ = ["pool"]

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PLACED = Origin("request-1", TRACEPARENT)
OTHER = Origin("request-2")


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    log_to_standard_error("INFO", log_format="json")
    yield capsys
    structlog.reset_defaults()


def rows(pool: DatabasePool, statement: str) -> list[tuple[object, ...]]:
    with pool.connection() as connection:
        return connection.execute(statement).fetchall()


def test_an_order_carries_its_request_to_steps_fills_messages_and_the_executors_log(
    pool: DatabasePool, log: pytest.CaptureFixture[str]
) -> None:
    with caused_by(PLACED), pool.connection() as connection:
        intend(connection, ORDER)
    assert rows(pool, "SELECT correlation_id, traceparent FROM orders") == [("request-1", TRACEPARENT)]

    assert execute_round(pool, paper(pool), taken(pool)).released == 1

    steps = rows(pool, "SELECT from_status, correlation_id FROM order_transitions ORDER BY revision")
    assert {step[1] for step in steps} == {"request-1"}
    assert steps[0][0] == "intended"
    messages = rows(pool, "SELECT topic, headers FROM outbox ORDER BY id")
    assert {headers["correlation-id"] for _, headers in messages} == {"request-1"}  # type: ignore[index]
    # Placed and answered for the request; in between the executor marked it, which belongs to no trace.
    traced = [headers.get("traceparent") for _, headers in messages]  # type: ignore[attr-defined]
    assert traced[0] == traced[-1] == TRACEPARENT
    (line,) = [json.loads(one) for one in log.readouterr().err.splitlines() if "executor.order_answered" in one]
    assert (line["correlation_id"], line["trace_id"]) == ("request-1", TRACEPARENT[3:35])


def test_a_fill_carries_its_orders_request_and_a_cancellation_its_own(pool: DatabasePool) -> None:
    with caused_by(PLACED), pool.connection() as connection:
        intend(connection, ORDER)
        intend(connection, replace(ORDER, order_id="o2"))
    with caused_by(OTHER), pool.connection() as connection:
        want_cancelled(connection, "o2")
    cancelled = rows(pool, "SELECT to_status, correlation_id FROM order_transitions WHERE order_id = 'o2'")
    assert cancelled == [("cancelled", "request-2")]
    # The next transaction of the same connection is not the cancelling request's.
    broker, lease = paper(pool), taken(pool)
    execute_round(pool, broker, lease)
    store_candles(pool.conninfo, bars(3, 2))
    execute_round(pool, broker, lease)
    later = rows(pool, "SELECT DISTINCT correlation_id FROM order_transitions WHERE order_id = 'o1'")
    assert later == [("request-1",)]
    assert {one[0] for one in rows(pool, "SELECT correlation_id FROM order_fills")} == {"request-1"}


def test_an_order_that_nobody_told_of_is_its_own_cause(pool: DatabasePool) -> None:
    with pool.connection() as connection:
        intend(connection, ORDER)
    ((headers,),) = rows(pool, "SELECT headers FROM outbox")
    assert headers["correlation-id"] == "o1"  # type: ignore[index]


def test_statements_waits_and_failures_are_counted_by_pool_and_kind(pool: DatabasePool) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"alpharay_database_{name}", {"pool": "test", **labels}) or 0.0

    before = value("statement_seconds_count", kind="SELECT")
    with pool.connection() as connection:
        connection.execute("SELECT 1")
        assert value("pool_idle_connections") == value("pool_connections") - 1
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute(" select nothing_of_that_name")
    assert value("statement_seconds_count", kind="SELECT") == before + 2
    assert value("statement_failures_total", kind="SELECT", code="42703") >= 1
    assert value("acquire_seconds_count") >= 1
    assert value("pool_max_connections") == 8
    assert value("pool_waiting") == 0
