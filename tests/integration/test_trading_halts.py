"""The kill switch and the circuit breaker against orders under way, on two and more real connections."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from typer.testing import CliRunner

from alpharay.cli.limits import app as limits_command
from alpharay.risk.circuit_breaker import BreakerSettings, BreakerState, Reading, read
from alpharay.risk.limits import RiskLimits
from alpharay.settings import settings
from alpharay.store.migrate import migrate
from alpharay.store.trading_halts import (
    ALL_ACCOUNTS,
    PAPER,
    EventIdReusedError,
    TradingHaltedError,
    UnknownAccountError,
    change_breaker,
    halt,
    open_account,
    require_trading,
    resume,
    set_limits,
    trading_events,
    trading_switches,
)

WAIT_S = 20.0
Database = Connection[TupleRow]


@pytest.fixture
def url(database: str) -> str:
    migrate(database)
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE released (account text, released_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
    return database


@pytest.fixture
def connection(url: str) -> Iterator[Database]:
    with psycopg.connect(url) as opened:
        yield opened


def release(connection: Database, account: str = PAPER) -> None:
    """Release an order as an executor does, without the commit."""
    require_trading(connection, account)
    connection.execute("INSERT INTO released VALUES (%s)", (account,))


def waits_for_a_lock(watcher: Database, process: int) -> bool:
    row = watcher.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (process,)).fetchone()
    watcher.rollback()
    return row == ("Lock",)


def wait_for_lock(watcher: Database, process: int) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while not waits_for_a_lock(watcher, process):
        assert time.monotonic() < give_up_at, "nobody waits for a lock"
        time.sleep(0.02)


@pytest.mark.parametrize("switch", [PAPER, ALL_ACCOUNTS])
def test_a_halt_waits_for_the_release_under_way_and_the_next_one_is_refused(url: str, switch: str) -> None:
    with psycopg.connect(url) as executor, psycopg.connect(url) as operator, psycopg.connect(url) as watcher:
        release(executor)
        turned = threading.Thread(
            target=lambda: (halt(operator, switch, actor="ann", reason="test"), operator.commit())
        )
        turned.start()
        wait_for_lock(watcher, operator.info.backend_pid)
        executor.commit()
        turned.join(WAIT_S)
        assert not turned.is_alive()
        with pytest.raises(TradingHaltedError, match="halted by the kill switch"):
            release(executor)


def test_a_release_that_waits_for_an_uncommitted_halt_sees_it(url: str) -> None:
    refused: list[Exception] = []

    def late(executor: Database) -> None:
        try:
            release(executor)
            executor.commit()
        except TradingHaltedError as error:
            refused.append(error)

    with psycopg.connect(url) as executor, psycopg.connect(url) as operator, psycopg.connect(url) as watcher:
        # The executor's transaction began before the halt, as that of a process that was stopped in between.
        executor.execute("SELECT 1")
        halt(operator, PAPER, actor="ann", reason="test")
        waiting = threading.Thread(target=late, args=(executor,))
        waiting.start()
        wait_for_lock(watcher, executor.info.backend_pid)
        operator.commit()
        waiting.join(WAIT_S)
        assert len(refused) == 1
        assert watcher.execute("SELECT count(*) FROM released").fetchone() == (0,)


def test_no_release_of_many_executors_is_later_than_the_halt(url: str) -> None:
    enough = threading.Event()

    def trade() -> None:
        with psycopg.connect(url) as executor:
            while True:
                try:
                    release(executor)
                    executor.commit()
                except TradingHaltedError:
                    return
                enough.set()

    executors = [threading.Thread(target=trade) for _ in range(4)]
    for one in executors:
        one.start()
    assert enough.wait(WAIT_S)
    with psycopg.connect(url) as operator:
        halt(operator, actor="ann", reason="test")
        operator.commit()
        at_commit = operator.execute("SELECT clock_timestamp(), (SELECT count(*) FROM released)").fetchone()
        operator.commit()
        for one in executors:
            one.join(WAIT_S)
            assert not one.is_alive()
        newest = operator.execute("SELECT max(released_at), count(*) FROM released").fetchone()
    assert newest is not None
    assert at_commit is not None
    assert newest[0] < at_commit[0]
    assert newest[1] == at_commit[1] > 0


def test_a_halt_of_all_accounts_outlasts_the_resume_of_one(connection: Database) -> None:
    open_account(connection, "live-1", actor="ann", reason="new")
    halt(connection, actor="ann", reason="all")
    halt(connection, "live-1", actor="ann", reason="one")
    resume(connection, "live-1", actor="ann", reason="one again")
    with pytest.raises(TradingHaltedError, match="all accounts"):
        require_trading(connection, "live-1")
    resume(connection, actor="ann", reason="all again")
    assert not require_trading(connection, "live-1").halted


def test_every_change_is_an_event_with_actor_and_reason_and_cannot_be_rewritten(connection: Database) -> None:
    halt(connection, PAPER, actor="ann", reason="fat finger")
    set_limits(connection, PAPER, RiskLimits(position=0.1), actor="bob", reason="smaller")
    resume(connection, PAPER, actor="ann", reason="checked")
    told = [(event.kind, event.actor, event.reason) for event in trading_events(connection, PAPER)]
    assert told == [("RESUME", "ann", "checked"), ("LIMITS", "bob", "smaller"), ("HALT", "ann", "fat finger")]
    assert trading_events(connection, newest=1)[0].account == PAPER
    assert trading_switches(connection)[PAPER].limits == RiskLimits(position=0.1)
    connection.commit()
    for statement in (
        "UPDATE trading_events SET actor = 'eve'",
        "DELETE FROM trading_events",
        "TRUNCATE trading_events",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation, match="only appended"):
            connection.execute(statement)
        connection.rollback()


def test_the_same_event_again_changes_nothing_even_after_a_resume(connection: Database) -> None:
    halt(connection, PAPER, actor="ann", reason="test", event_id="h-1")
    resume(connection, PAPER, actor="ann", reason="test")
    assert not halt(connection, PAPER, actor="ann", reason="test", event_id="h-1").halted
    assert len(trading_events(connection)) == 2
    with pytest.raises(EventIdReusedError, match="h-1"):
        resume(connection, PAPER, actor="ann", reason="test", event_id="h-1")


def test_an_unknown_account_is_told_and_neither_trades_nor_is_halted(connection: Database) -> None:
    for attempt in (require_trading, partial(halt, actor="ann", reason="test")):
        with pytest.raises(UnknownAccountError, match=r"'papre' is unknown; known are \*, paper"):
            attempt(connection, "papre")


@pytest.mark.parametrize("change", [{"actor": " ", "reason": "x"}, {"actor": "ann", "reason": ""}])
def test_a_change_without_actor_or_reason_is_refused(connection: Database, change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must say something"):
        halt(connection, PAPER, **change)


def test_an_open_breaker_stops_releases_and_a_half_open_one_lets_a_trial_through(connection: Database) -> None:
    settings = BreakerSettings(cool_down_ms=1_000)
    opened = change_breaker(
        connection, PAPER, lambda state: read(state, settings, Reading(loss=0.06), 5_000), actor="breaker"
    )
    assert opened.phase == "open"
    with pytest.raises(TradingHaltedError, match=r"circuit breaker \(open\): the loss of the day was 6.00%"):
        require_trading(connection, PAPER, trial=True)
    change_breaker(connection, PAPER, lambda state: read(state, settings, Reading(loss=0.0), 7_000), actor="breaker")
    with pytest.raises(TradingHaltedError, match="half-open"):
        require_trading(connection, PAPER)
    assert require_trading(connection, PAPER, trial=True).phase == "half-open"
    change_breaker(connection, PAPER, lambda state: replace(BreakerState(), clock_ms=state.clock_ms), actor="breaker")
    assert require_trading(connection, PAPER).breaker == BreakerState(clock_ms=7_000)
    changes = [event.details for event in trading_events(connection, PAPER)]
    assert changes == [
        {"from": "half-open", "to": "closed"},
        {"from": "open", "to": "half-open"},
        {"from": "closed", "to": "open"},
    ]


def test_opening_an_account_twice_keeps_its_limits(connection: Database) -> None:
    limits = RiskLimits(gross=2.0, orders_per_second=None)
    assert open_account(connection, "live-1", actor="ann", reason="new", limits=limits).limits == limits
    assert open_account(connection, "live-1", actor="ann", reason="new").limits == limits
    assert [event.kind for event in trading_events(connection, "live-1")] == ["OPEN"]


def test_limits_are_set_once_under_their_id_and_what_they_were_is_kept(connection: Database) -> None:
    tight = RiskLimits(position=0.1, net=None)
    for _ in range(2):
        set_limits(connection, PAPER, tight, actor="ann", reason="smaller", event_id="l-1")
    (event,) = trading_events(connection, PAPER)
    assert event.details is not None
    assert (event.details["from"]["position"], event.details["to"]["position"]) == (0.2, 0.1)
    assert event.details["to"]["net"] is None
    with pytest.raises(EventIdReusedError, match="l-1"):
        set_limits(connection, PAPER, RiskLimits(), actor="ann", reason="wider", event_id="l-1")
    halt(connection, PAPER, actor="ann", reason="x", event_id="h-1", scope="INCREASES")
    with pytest.raises(EventIdReusedError, match="h-1"):
        halt(connection, PAPER, actor="ann", reason="x", event_id="h-1")


def test_limits_are_shown_and_set_by_a_command(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHARAY_DATABASE_URL", url)
    settings.cache_clear()
    run = CliRunner()
    try:
        told = run.invoke(
            limits_command, ["set", PAPER, "--position", "0.1", "--without", "net", "--reason", "one market", "--json"]
        )
        assert told.exit_code == 0, told.output
        assert json.loads(told.output)["limits"] == {**json.loads(told.output)["limits"], "position": 0.1, "net": None}
        shown = run.invoke(limits_command, ["show", PAPER])
        assert "may trade" in shown.output
        refused = (
            (["show", "papre"], "'papre' is unknown"),
            (["set", PAPER, "--reason", "x"], "name at least one limit"),
            (["set", PAPER, "--reason", "x", "--net", "1", "--without", "net"], "exclude each other"),
            (["set", PAPER, "--reason", " ", "--net", "1"], "must say something"),
        )
        for arguments, text in refused:
            answer = run.invoke(limits_command, arguments)
            assert (answer.exit_code, text in answer.stderr) == (2, True), answer.output
    finally:
        settings.cache_clear()
    with psycopg.connect(url) as connection:
        (event,) = trading_events(connection, PAPER)
        assert (event.kind, event.reason, bool(event.actor)) == ("LIMITS", "one market", True)
