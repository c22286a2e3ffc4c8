"""The queue of discovery runs: one worker a run, leases, and what a finished run sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from alpharay.bus.messages import DiscoveredStrategy, DiscoveryRequest
from alpharay.store.migrate import migrate
from alpharay.store.runs import (
    LeaseLostError,
    cancel_run,
    claim_run,
    enqueue_run,
    fail_run,
    finish_run,
    renew_lease,
    run_state,
)

pytestmark = pytest.mark.timeout(120)


def request(run_id: str, **changes: object) -> DiscoveryRequest:
    fields = {
        "run_id": run_id,
        "exchange": "simulated",
        "symbol": "BTC/USD",
        "timeframe": "1d",
        "start_time": 0,
        "end_time": 86_400_000,
        "strategy_name": "SMA_RSI",
        **changes,
    }
    return DiscoveryRequest(**fields)


def champion(number: int = 0, **changes: object) -> DiscoveredStrategy:
    fields = {
        "message_id": f"run-1:{number}",
        "strategy_id": f"strategy-{number}",
        "run_id": "run-1",
        "exchange": "simulated",
        "symbol": "BTC/USD",
        "timeframe": "1d",
        "strategy_name": "SMA_RSI",
        "strategy": {"name": "SMA_RSI"},
        "parameters": {"length": 14.0},
        "score": 1.5,
        "start_time": 0,
        "end_time": 86_400_000,
        "train_end_time": 60_000_000,
        "in_sample": {"sharpe": 1.5},
        "out_of_sample": {"sharpe": None},
        **changes,
    }
    return DiscoveredStrategy(**fields)


@pytest.fixture
def connection(database) -> Iterator[psycopg.Connection]:
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def _end_lease(connection, run_id: str) -> None:
    connection.execute("UPDATE discovery_runs SET lease_until = now() - interval '1 s' WHERE run_id = %s", (run_id,))


def test_the_same_run_id_is_queued_once(connection):
    assert enqueue_run(connection, request("a"))
    assert not enqueue_run(connection, request("a", symbol="ETH/USD"))
    run = claim_run(connection, "worker")
    assert run is not None
    assert run.request == request("a")
    assert claim_run(connection, "other") is None


def test_urgent_runs_go_first_then_old_ones(connection):
    for run_id, priority in (("old", 0), ("new", 0), ("urgent", 5)):
        enqueue_run(connection, request(run_id), priority=priority)
    claimed = [claim_run(connection, "worker") for _ in range(3)]
    assert [run.run_id for run in claimed if run] == ["urgent", "old", "new"]


def test_one_run_can_be_asked_for_by_its_id(connection):
    enqueue_run(connection, request("a"))
    enqueue_run(connection, request("b"))
    run = claim_run(connection, "worker", run_id="b")
    assert run is not None
    assert run.run_id == "b"
    assert claim_run(connection, "worker", run_id="b") is None


def test_workers_that_claim_at_once_get_different_runs(connection, database):
    for number in range(20):
        enqueue_run(connection, request(str(number)))
    claimed: list[str] = []

    def work(owner: str) -> None:
        with psycopg.connect(database, autocommit=True) as own:
            while (run := claim_run(own, owner)) is not None:
                claimed.append(run.run_id)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(claimed) == sorted(str(number) for number in range(20))


def test_a_run_whose_lease_ended_is_claimed_again_with_its_progress_and_the_late_owner_is_refused(connection):
    enqueue_run(connection, request("run-1"))
    first = claim_run(connection, "worker")
    assert first is not None
    renew_lease(connection, first, progress={"generation": 3})
    assert claim_run(connection, "worker") is None
    _end_lease(connection, "run-1")
    second = claim_run(connection, "worker")
    assert second is not None
    assert (second.attempt, second.progress) == (2, {"generation": 3})
    with pytest.raises(LeaseLostError, match="attempt 1"):
        renew_lease(connection, first)
    with pytest.raises(LeaseLostError), connection.transaction():
        finish_run(connection, first, [champion()])
    assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    finish_run(connection, second, [champion()])
    assert run_state(connection, "run-1").status == "DONE"


def test_a_run_that_kills_every_worker_fails_and_is_not_claimed_again(connection):
    enqueue_run(connection, request("killer"))
    for _ in range(3):
        assert claim_run(connection, "worker", max_attempts=3) is not None
        _end_lease(connection, "killer")
    assert claim_run(connection, "worker", max_attempts=3) is None
    state = run_state(connection, "killer")
    assert state.status == "FAILED"
    assert "3 times" in state.error


def test_a_cancelled_run_is_not_claimed_and_its_worker_notices(connection):
    enqueue_run(connection, request("a"))
    run = claim_run(connection, "worker")
    assert cancel_run(connection, "a")
    assert not cancel_run(connection, "a")
    with pytest.raises(LeaseLostError):
        renew_lease(connection, run)
    assert claim_run(connection, "worker") is None


def test_a_failed_run_keeps_its_reason(connection):
    enqueue_run(connection, request("a"))
    fail_run(connection, claim_run(connection, "worker"), "no candles")
    state = run_state(connection, "a")
    assert (state.status, state.error) == ("FAILED", "no candles")
    assert run_state(connection, "unknown") is None


def test_finishing_a_run_puts_its_champions_into_the_outbox_with_the_requests_objective(connection):
    enqueue_run(connection, request("run-1", objective="sortino"))
    finish_run(connection, claim_run(connection, "worker"), [champion(0), champion(1)])
    rows = connection.execute("SELECT topic, key, value FROM outbox ORDER BY id").fetchall()
    assert [row[:2] for row in rows] == [("discovered-strategies", "BTC/USD")] * 2
    assert '"objective":"sortino"' in rows[0][2]
