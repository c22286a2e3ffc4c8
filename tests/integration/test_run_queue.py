"""The queue of discovery runs: one worker a run, leases, and what a finished run sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from alpharay.bus.messages import DiscoveredStrategy, DiscoveryRequest
from alpharay.store.checkpoints import StoredCheckpoint, load_checkpoints, save_checkpoints
from alpharay.store.lease_queue import CHARGE_S, renew, settle, waiting
from alpharay.store.migrate import migrate
from alpharay.store.runs import (
    RUNS,
    ClaimedRun,
    LeaseLostError,
    cancel_run,
    claim_run,
    claim_runs,
    enqueue_run,
    fail_run,
    finish_run,
    note_progress,
    run_state,
    yield_runs,
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


def claim_next(connection, owner: str, **options: object) -> ClaimedRun | None:
    runs = claim_runs(connection, owner, limit=1, **options)
    return runs[0] if runs else None


def holds(connection, run: ClaimedRun) -> bool:
    return renew(connection, RUNS, [run.lease]) == {run.run_id}


def _end_lease(connection, run_id: str) -> None:
    connection.execute("UPDATE discovery_runs SET lease_until = now() - interval '1 s' WHERE run_id = %s", (run_id,))


def test_the_same_run_id_is_queued_once(connection):
    assert enqueue_run(connection, request("a"))
    assert not enqueue_run(connection, request("a", symbol="ETH/USD"))
    run = claim_next(connection, "worker")
    assert run is not None
    assert run.request == request("a")
    assert claim_next(connection, "other") is None


def test_urgent_runs_go_first_then_old_ones(connection):
    for run_id, priority in (("old", 0), ("new", 0), ("urgent", 5)):
        enqueue_run(connection, request(run_id), priority=priority)
    claimed = [claim_next(connection, "worker") for _ in range(3)]
    assert [run.run_id for run in claimed if run] == ["urgent", "old", "new"]


def test_one_run_can_be_asked_for_by_its_id(connection):
    enqueue_run(connection, request("a"))
    enqueue_run(connection, request("b"))
    run = claim_run(connection, "worker", "b")
    assert run is not None
    assert run.run_id == "b"
    assert claim_run(connection, "worker", "b") is None


def test_workers_that_claim_at_once_get_different_runs(connection, database):
    for number in range(20):
        enqueue_run(connection, request(str(number)))
    claimed: list[str] = []

    def work(owner: str) -> None:
        with psycopg.connect(database, autocommit=True) as own:
            while (run := claim_next(own, owner)) is not None:
                claimed.append(run.run_id)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(claimed) == sorted(str(number) for number in range(20))


def test_a_run_whose_lease_ended_is_claimed_again_with_its_progress_and_the_late_owner_is_refused(connection):
    enqueue_run(connection, request("run-1"))
    first = claim_next(connection, "worker")
    assert first is not None
    note_progress(connection, {"run-1": {"generation": 3}})
    assert holds(connection, first)
    assert claim_next(connection, "worker") is None
    _end_lease(connection, "run-1")
    second = claim_next(connection, "worker")
    assert second is not None
    assert (second.attempt, run_state(connection, "run-1").progress) == (2, {"generation": 3})
    assert not holds(connection, first)
    with pytest.raises(LeaseLostError, match="attempt 1"), connection.transaction():
        finish_run(connection, first, [champion()])
    assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    finish_run(connection, second, [champion()])
    assert run_state(connection, "run-1").status == "DONE"


def test_a_run_that_kills_every_worker_fails_and_is_not_claimed_again(connection):
    enqueue_run(connection, request("killer"))
    for _ in range(3):
        assert claim_next(connection, "worker", max_attempts=3) is not None
        _end_lease(connection, "killer")
    assert claim_next(connection, "worker", max_attempts=3) is None
    state = run_state(connection, "killer")
    assert state.status == "FAILED"
    assert "3 times" in state.error


def test_a_cancelled_run_is_not_claimed_and_its_worker_notices(connection):
    enqueue_run(connection, request("a"))
    run = claim_next(connection, "worker")
    assert cancel_run(connection, "a")
    assert not cancel_run(connection, "a")
    assert not holds(connection, run)
    assert claim_next(connection, "worker") is None


def test_a_failed_run_keeps_its_reason(connection):
    enqueue_run(connection, request("a"))
    fail_run(connection, claim_next(connection, "worker"), "no candles")
    state = run_state(connection, "a")
    assert (state.status, state.error) == ("FAILED", "no candles")
    assert run_state(connection, "unknown") is None


def test_finishing_a_run_puts_its_champions_into_the_outbox_with_the_requests_objective(connection):
    enqueue_run(connection, request("run-1", objective="sortino"))
    finish_run(connection, claim_next(connection, "worker"), [champion(0), champion(1)])
    rows = connection.execute("SELECT topic, key, value FROM outbox ORDER BY id").fetchall()
    assert [row[:2] for row in rows] == [("discovered-strategies", "BTC/USD")] * 2
    assert '"objective":"sortino"' in rows[0][2]


def of_symbol(symbol: str, name: str, **changes: object) -> DiscoveryRequest:
    return request(f"{symbol}-{name}", symbol=f"{symbol}/USD", **changes)


def test_a_claim_takes_runs_of_one_data_set_and_of_the_oldest_ones_window_first(connection):
    for index in range(2):
        for start in (0, 3_600_000):
            enqueue_run(connection, request(f"btc-{start}-{index}", start_time=start))
        enqueue_run(connection, request(f"newer-{index}", end_time=90_000_000))
        enqueue_run(connection, request(f"eth-{index}", symbol="ETH/USD"))
    claimed = [run.run_id for run in claim_runs(connection, "worker", limit=3)]
    assert claimed == ["btc-0-0", "btc-3600000-0", "btc-0-1"]
    assert {run.request.symbol for run in claim_runs(connection, "worker", limit=10)} == {"ETH/USD"}


def test_symbols_take_turns_by_the_worker_time_that_they_were_given(connection):
    for number in range(40):
        enqueue_run(connection, of_symbol("BIG", f"{number:02}"))
    for number in range(4):
        enqueue_run(connection, of_symbol("SMALL", str(number)))
    served = []
    for _ in range(10):
        run = claim_next(connection, "worker")
        served.append(run.request.symbol)
        finish_run(connection, run, [])
        settle(connection, RUNS, run.lease, 6.0 if run.request.symbol == "BIG/USD" else 2.0)
    # Two seconds against six: three small ones for each big one, as long as there are any.
    assert served[:7].count("SMALL/USD") == 4
    assert served[7:] == ["BIG/USD"] * 3


def test_a_symbol_that_comes_back_after_a_pause_does_not_catch_up_on_it(connection):
    enqueue_run(connection, of_symbol("OLD", "0"))
    first = claim_next(connection, "worker")
    finish_run(connection, first, [])
    for number in range(60):
        enqueue_run(connection, of_symbol("BUSY", f"{number:02}"))
    for _ in range(40):
        run = claim_next(connection, "worker")
        finish_run(connection, run, [])
        settle(connection, RUNS, run.lease, 20.0)
    for number in range(20):
        enqueue_run(connection, of_symbol("OLD", f"again-{number:02}"))
    served = []
    for _ in range(8):
        run = claim_next(connection, "worker")
        served.append(run.request.symbol)
        finish_run(connection, run, [])
        settle(connection, RUNS, run.lease, 20.0)
    # 800 seconds behind, but it leads by no more than 30 of them.
    assert 3 <= served.count("BUSY/USD") <= 4


def test_a_worker_goes_on_with_the_symbol_that_it_holds_but_not_for_ever(connection):
    for number in range(30):
        enqueue_run(connection, of_symbol("HELD", f"{number:02}"))
        enqueue_run(connection, of_symbol("OTHER", f"{number:02}"))
    finish_run(connection, claim_next(connection, "elsewhere"), [])
    finish_run(connection, claim_next(connection, "elsewhere"), [])
    served = [
        run.request.symbol
        for _ in range(12)
        if (run := claim_next(connection, "worker", held=[("simulated", "HELD/USD")])) is not None
    ]
    lead = served.index("OTHER/USD")
    # OTHER, which came second, starts one claim further on.
    assert 30.0 / CHARGE_S <= lead <= 30.0 / CHARGE_S + 3


def test_a_run_that_yields_goes_behind_the_others_and_may_do_so_more_often_than_it_may_vanish(connection):
    enqueue_run(connection, request("long"))
    enqueue_run(connection, request("short"))
    for _ in range(5):
        run = claim_run(connection, "worker", "long")
        assert run.attempt == 1
        assert yield_runs(connection, [run]) == {"long"}
    assert run_state(connection, "long").slices == 5
    assert claim_next(connection, "worker").run_id == "short"
    assert claim_next(connection, "worker").run_id == "long"


def test_a_run_whose_worker_vanished_is_claimed_alone(connection):
    for number in range(3):
        enqueue_run(connection, request(str(number)))
    assert len(claim_runs(connection, "worker", limit=2)) == 2
    _end_lease(connection, "0")
    assert [run.run_id for run in claim_runs(connection, "other", limit=5)] == ["0"]


def test_the_newest_checkpoint_is_kept_and_ends_with_its_run(connection):
    enqueue_run(connection, request("a"))
    run = claim_next(connection, "worker")
    for generation in (1, 2):
        saved = save_checkpoints(connection, [(run.lease, StoredCheckpoint(generation, bytes([generation])))])
        assert saved == {"a"}
    assert load_checkpoints(connection, ["a", "unknown"]) == {"a": StoredCheckpoint(2, b"\x02")}
    yield_runs(connection, [run])
    run = claim_next(connection, "worker")
    assert load_checkpoints(connection, ["a"])["a"].generation == 2
    finish_run(connection, run, [])
    assert load_checkpoints(connection, ["a"]) == {}


def test_a_late_worker_cannot_overwrite_the_checkpoint_of_the_next(connection):
    enqueue_run(connection, request("a"))
    enqueue_run(connection, request("b"))
    late = claim_run(connection, "worker", "a")
    other = claim_run(connection, "worker", "b")
    _end_lease(connection, "a")
    # The same process may claim it again: the epoch tells the claims apart, not the owner.
    newer = claim_run(connection, "worker", "a")
    assert save_checkpoints(connection, [(newer.lease, StoredCheckpoint(7, b"newer"))]) == {"a"}
    both = [(late.lease, StoredCheckpoint(9, b"late")), (other.lease, StoredCheckpoint(1, b"b"))]
    assert save_checkpoints(connection, both) == {"b"}
    assert load_checkpoints(connection, ["a"])["a"] == StoredCheckpoint(7, b"newer")


def test_a_damaged_checkpoint_is_not_read(connection):
    enqueue_run(connection, request("a"))
    run = claim_next(connection, "worker")
    save_checkpoints(connection, [(run.lease, StoredCheckpoint(3, b"state"))])
    connection.execute("UPDATE discovery_checkpoints SET content = 'other'")
    assert load_checkpoints(connection, ["a"]) == {}


def test_the_run_of_a_process_that_is_known_to_be_gone_need_not_be_waited_for(connection):
    enqueue_run(connection, request("a"))
    assert claim_run(connection, "host:1", "a") is not None
    assert claim_run(connection, "host:2", "a") is None
    again = claim_run(connection, "host:2", "a", gone=["host:1"])
    assert again is not None
    assert again.attempt == 2


def test_waiting_runs_are_counted_no_further_than_asked(connection):
    for number in range(5):
        enqueue_run(connection, request(str(number)))
    assert waiting(connection, RUNS, 100) == 5
    assert waiting(connection, RUNS, 3) == 3
    claim_runs(connection, "worker", limit=4)
    assert waiting(connection, RUNS, 100) == 1


# What the code before revision 0002 does with a run.
CLAIM_BEFORE = """
UPDATE discovery_runs SET
    status = 'RUNNING', lease_owner = 'old', attempts = attempts + 1,
    lease_until = now() + make_interval(secs => 60), started_at = coalesce(started_at, now())
WHERE run_id = (
    SELECT run_id FROM discovery_runs
    WHERE (status = 'QUEUED' OR (status = 'RUNNING' AND lease_until < now()))
    ORDER BY priority DESC, created_at FOR UPDATE SKIP LOCKED LIMIT 1
)
RETURNING run_id, request, attempts, progress
"""
ENQUEUE_BEFORE = "INSERT INTO discovery_runs (run_id, request, priority) VALUES (%s, %s::jsonb, 0)"


def test_runs_queued_before_an_upgrade_keep_their_place_and_old_workers_go_on_beside_new_ones(database):
    migrate(database, "0001")
    with psycopg.connect(database, autocommit=True) as connection:
        for name in ("z-first", "a-second", "m-third"):
            connection.execute(ENQUEUE_BEFORE, (name, msgspec.json.encode(request(name)).decode()))
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        assert connection.execute(CLAIM_BEFORE).fetchone()[0] == "z-first"
        newer = claim_next(connection, "new")
        assert newer.run_id == "a-second"
        assert connection.execute(CLAIM_BEFORE).fetchone()[0] == "m-third"
        assert connection.execute(CLAIM_BEFORE).fetchone() is None
        connection.execute(ENQUEUE_BEFORE, ("late", msgspec.json.encode(request("late")).decode()))
        assert claim_next(connection, "new").run_id == "late"
        # The old worker dies with its run: a new one has it next, and the old one's late claim is not its own.
        _end_lease(connection, "z-first")
        assert claim_next(connection, "new").attempt == 2
