"""The executor with the paper broker: killed between the steps, two at once, halted with orders under way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import psycopg
import pytest

from alpharay.backtest.costs import NO_COSTS
from alpharay.backtest.frictions import FeeTier, Frictions, SquareRootImpact
from alpharay.market.candles import Candles
from alpharay.portfolio.broker import BrokerUnavailableError
from alpharay.portfolio.ledger import Fill
from alpharay.portfolio.orders import BrokerOrder, Order
from alpharay.portfolio.paper_fills import PaperTerms
from alpharay.store.accounts import Account, open_account
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.executor_leases import give_up_lease, lease_owner, take_lease
from alpharay.store.lease_queue import LeaseLostError
from alpharay.store.ledger import book_capital, book_of, replay
from alpharay.store.migrate import migrate
from alpharay.store.order_execution import execute_round
from alpharay.store.orders import fills_of, intend, order_state, orders_with, want_cancelled
from alpharay.store.paper_broker import PaperBroker
from alpharay.store.trading_halts import halt, resume
from benchmarks.signal_data import store_candles

pytestmark = pytest.mark.timeout(180)

REPOSITORY = Path(__file__).resolve().parents[2]
START = 1_700_000_040_000 // 60_000 * 60_000
ORDER = Order(order_id="o1", account_id="paper", symbol="BTC/USD", side="buy", quantity=Decimal("0.5"))
WHOLE = PaperTerms(costs=NO_COSTS, frictions=Frictions())


def bars(first: int, count: int, price: float = 100.0, volume: float = 50.0) -> Candles:
    flat = np.full(count, price)
    times = START + (first + np.arange(count, dtype=np.int64)) * 60_000
    return Candles("test", "BTC/USD", "1m", times, flat, flat + 1.0, flat - 1.0, flat, np.full(count, volume))


@pytest.fixture
def pool(database) -> Iterator[DatabasePool]:
    migrate(database)
    store_candles(database, bars(0, 3))
    with open_pool(database, application="test", max_connections=8) as pool:
        with pool.connection() as connection:
            open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
            book_capital(connection, "paper", "start", Decimal(100_000), time_ms=1)
        yield pool


def paper(pool: DatabasePool, terms: PaperTerms = WHOLE) -> PaperBroker:
    return PaperBroker(pool, "paper", exchange="test", timeframe="1m", terms=terms)


class WatchedBroker(PaperBroker):
    """Notes what it is handed, and does `first` before it takes it."""

    handed: list[str]
    first: Callable[[Order], None]

    def submit(self, order: Order) -> BrokerOrder:
        self.handed.append(order.order_id)
        self.first(order)
        return super().submit(order)


def watched(pool: DatabasePool, first: Callable[[Order], None] = lambda _: None) -> WatchedBroker:
    broker = WatchedBroker(pool, "paper", exchange="test", timeframe="1m", terms=WHOLE)
    broker.handed, broker.first = [], first
    return broker


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:g} s"
        time.sleep(0.02)


def intend_orders(pool: DatabasePool, count: int) -> list[str]:
    with pool.connection() as connection:
        for number in range(count):
            intend(connection, replace(ORDER, order_id=f"o{number}"))
    return [f"o{number}" for number in range(count)]


def taken(pool: DatabasePool, owner: str = "test", **options):
    with pool.connection() as connection:
        lease = take_lease(connection, "paper", owner, **options)
    assert lease is not None
    return lease


def status(pool: DatabasePool, order_id: str = "o1") -> str:
    with pool.connection() as connection:
        return order_state(connection, order_id).status


def check_books(pool: DatabasePool) -> None:
    """What the broker has filled is what the ledger has booked, once, and the book is the sum of its entries."""
    with pool.connection() as connection:
        book = book_of(connection, "paper")
        assert book == replay(connection, "paper")
        assert book.balance == 0
        at_broker = connection.execute("SELECT fill_id, quantity, price, fee FROM paper_fills ORDER BY 1").fetchall()
        booked = connection.execute("SELECT fill_id, quantity, price, fee FROM ledger_fills ORDER BY 1").fetchall()
        assert at_broker == booked


def test_order_goes_from_intent_to_booked_fills_as_candles_come(pool, database) -> None:
    terms = PaperTerms(
        costs=NO_COSTS, frictions=Frictions(impact=SquareRootImpact(coefficient=0.0, participation=0.005))
    )
    broker, lease = paper(pool, terms), taken(pool)
    with pool.connection() as connection:
        intend(connection, ORDER)
    assert execute_round(pool, broker, lease).released == 1
    assert status(pool) == "open"  # nothing that was known before fills it
    store_candles(database, bars(3, 1))
    assert execute_round(pool, broker, lease).changed == 1
    assert status(pool) == "partially_filled"
    assert execute_round(pool, broker, lease).changed == 0
    store_candles(database, bars(4, 10))
    execute_round(pool, broker, lease)
    assert status(pool) == "filled"
    with pool.connection() as connection:
        fills = fills_of(connection, "o1")
        assert len(fills) > 2
        assert sum(fill.quantity for fill in fills) == ORDER.quantity
        assert book_of(connection, "paper").positions["BTC/USD"].cost == Decimal(50)
    check_books(pool)


def test_exchange_rules_reject_an_order(pool) -> None:
    lease = taken(pool)
    with pool.connection() as connection:
        intend(connection, ORDER)
        intend(connection, replace(ORDER, order_id="o2", symbol="ETH/USD"))
    execute_round(pool, paper(pool, PaperTerms(frictions=Frictions(minimum_notional=60.0))), lease)
    with pool.connection() as connection:
        first, second = order_state(connection, "o1"), order_state(connection, "o2")
    assert (first.status, second.status) == ("rejected", "rejected")
    assert "at least 60" in (first.reason or "")
    assert "no candles of ETH/USD" in (second.reason or "")


def test_fee_tier_is_that_of_the_money_traded_before(pool, database) -> None:
    frictions = Frictions(fee_tiers=(FeeTier(volume=40.0, fee=0.0),))
    broker, lease, a_day = paper(pool, PaperTerms(frictions=frictions)), taken(pool), 24 * 60
    for order_id, minute in (("o1", 3), ("o2", 4), ("o3", a_day + 4)):
        with pool.connection() as connection:
            intend(connection, replace(ORDER, order_id=order_id))
        execute_round(pool, broker, lease)
        store_candles(database, bars(minute, 1))
        execute_round(pool, broker, lease)
    with pool.connection() as connection:
        fees = [fills_of(connection, order_id)[0].fee for order_id in ("o1", "o2", "o3")]
    assert fees[0] == fees[1] > 0
    assert fees[2] == 0


def dying_executor(database: str, when: str, mark: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "tests/integration/dying_executor.py"), database, when, str(mark)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_executor_killed_while_it_hands_over_leaves_one_order_at_the_broker(pool, database, tmp_path, when) -> None:
    mark = tmp_path / "hangs"
    with pool.connection() as connection:
        intend(connection, ORDER)
    child = dying_executor(database, when, mark)
    try:
        wait_for(mark.exists, "the hand-over")
    finally:
        child.kill()
        child.wait(timeout=20)
    store_candles(database, bars(3, 2))
    assert status(pool) == "sending"
    broker = watched(pool)
    lease = taken(pool, "next", gone=["dying"])
    # The first thing that the next one does is to ask: what the broker has is never sent again.
    first = execute_round(pool, broker, lease)
    execute_round(pool, broker, lease)
    assert first.settled == 1
    assert broker.handed == ([] if when == "after" else ["o1"])
    if when == "before":
        store_candles(database, bars(5, 2))
        execute_round(pool, broker, lease)
    assert status(pool) == "filled"
    with pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM paper_orders").fetchone() == (1,)
        assert book_of(connection, "paper").positions["BTC/USD"].quantity == ORDER.quantity
    check_books(pool)


def test_executor_stopped_while_it_hands_over_blocks_no_halt_and_sends_nothing_twice_when_it_wakes(
    pool, database, tmp_path
) -> None:
    mark = tmp_path / "hangs"
    with pool.connection() as connection:
        intend(connection, ORDER)
    child = dying_executor(database, "before", mark)
    try:
        wait_for(mark.exists, "the hand-over")
        child.send_signal(signal.SIGSTOP)
        # The server ends the stopped one's transaction, and with it its hold on the switch and the lease.
        with psycopg.connect(database) as connection:
            halt(connection, actor="test", reason="the test")
        broker, lease = watched(pool), taken(pool, "next", gone=["dying"])
        assert execute_round(pool, broker, lease).halted is not None
        assert (status(pool), broker.handed) == ("intended", [])
        with pool.connection() as connection:
            resume(connection, actor="test", reason="the test")
        execute_round(pool, broker, lease)
        assert broker.handed == ["o1"]
        mark.with_suffix(".go").touch()
        child.send_signal(signal.SIGCONT)
        assert child.wait(timeout=60) != 0
    finally:
        child.kill()
        child.wait(timeout=20)
    store_candles(database, bars(3, 2))
    execute_round(pool, broker, lease)
    assert status(pool) == "filled"
    with pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM paper_orders").fetchone() == (1,)
    check_books(pool)


def test_broker_that_does_not_answer_is_asked_before_anything_is_sent_again(pool) -> None:
    class Silent(PaperBroker):
        def submit(self, order: Order) -> BrokerOrder:
            super().submit(order)
            raise BrokerUnavailableError("the answer was lost")

    lease = taken(pool)
    intend_orders(pool, 2)
    silent = Silent(pool, "paper", exchange="test", timeframe="1m", terms=WHOLE)
    one = execute_round(pool, silent, lease)
    assert (one.failed, one.released) == (1, 0)
    assert (status(pool, "o0"), status(pool, "o1")) == ("sending", "intended")
    broker = watched(pool)
    assert execute_round(pool, broker, lease).settled == 1
    assert broker.handed == ["o1"]
    assert (status(pool, "o0"), status(pool, "o1")) == ("open", "open")


def test_two_executors_at_once_send_each_order_once(pool, database) -> None:
    order_ids = intend_orders(pool, 12)
    broker = watched(pool)
    done = threading.Event()
    errors: list[BaseException] = []

    def execute(owner: str) -> None:
        draw = random.Random(owner)
        lease = None
        while not done.is_set():
            try:
                if lease is None:
                    with pool.connection() as connection:
                        # As if every holder were dead: they take the account from each other, again and again.
                        lease = take_lease(connection, "paper", owner, gone=["a", "b"])
                if lease is not None:
                    execute_round(pool, broker, lease)
                done.wait(draw.uniform(0.0, 0.02))
            except LeaseLostError:
                lease = None
                done.wait(draw.uniform(0.1, 0.4))
            except BaseException as error:
                errors.append(error)
                raise

    threads = [threading.Thread(target=execute, args=(owner,)) for owner in ("a", "b")]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: all(status(pool, one) == "open" for one in order_ids), "the release of all orders")
    finally:
        done.set()
        for thread in threads:
            thread.join(timeout=30)
    assert errors == []
    assert sorted(broker.handed) == sorted(order_ids)
    store_candles(database, bars(3, 1))
    execute_round(pool, broker, taken(pool, "c", gone=["a", "b"]))
    assert {status(pool, one) for one in order_ids} == {"filled"}
    check_books(pool)


def test_executor_whose_lease_was_taken_sends_and_records_nothing(pool) -> None:
    late = taken(pool, "late")
    intend_orders(pool, 1)
    with pool.connection() as connection:
        assert take_lease(connection, "paper", "next") is None
        assert lease_owner(connection, "paper") == "late"
    newer = taken(pool, "next", gone=["late"])
    assert newer.epoch == late.epoch + 1
    broker = watched(pool)
    with pytest.raises(LeaseLostError, match="epoch 1"):
        execute_round(pool, broker, late)
    assert broker.handed == []
    assert status(pool, "o0") == "intended"
    with pool.connection() as connection:
        assert not give_up_lease(connection, late)
        assert give_up_lease(connection, newer)
        assert take_lease(connection, "paper", "third") is not None


def test_account_cannot_be_taken_while_an_order_is_handed_over(pool, database) -> None:
    refused = []

    def take(order: Order) -> None:
        with psycopg.connect(database, options="-c lock_timeout=300") as connection:
            try:
                take_lease(connection, "paper", "other", gone=["test"])
            except psycopg.errors.LockNotAvailable:
                refused.append(order.order_id)

    order_ids = intend_orders(pool, 2)
    execute_round(pool, watched(pool, take), taken(pool))
    assert refused == order_ids


def test_halt_waits_for_the_order_that_is_handed_over_and_nothing_goes_out_after_it(pool, database) -> None:
    order_ids = intend_orders(pool, 3)
    handing, go_on, halted = threading.Event(), threading.Event(), threading.Event()

    def hang(order: Order) -> None:
        handing.set()
        assert go_on.wait(60.0)

    broker = watched(pool, hang)
    rounds = []
    executor = threading.Thread(target=lambda: rounds.append(execute_round(pool, broker, taken(pool))))
    executor.start()
    assert handing.wait(60.0)

    def pull() -> None:
        with psycopg.connect(database) as connection:
            halt(connection, actor="test", reason="the test")
        halted.set()

    switch = threading.Thread(target=pull)
    switch.start()
    with psycopg.connect(database, autocommit=True) as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        wait_for(lambda: connection.execute(waiting).fetchone() == (1,), "the halt's waiting")
    assert not halted.is_set()
    go_on.set()
    for thread in (switch, executor):
        thread.join(timeout=60)
    assert halted.is_set()
    assert broker.handed == order_ids[:1]
    assert rounds[0].released == 1
    assert "kill switch" in (rounds[0].halted or "")
    lease = taken(pool, "next", gone=["test"])
    again = execute_round(pool, broker, lease)
    assert again.halted is not None
    assert broker.handed == order_ids[:1]
    # Fills of what was sent before are still booked.
    store_candles(database, bars(3, 1))
    assert execute_round(pool, broker, lease).changed == 1
    with pool.connection() as connection:
        resume(connection, actor="test", reason="the test")
    execute_round(pool, broker, lease)
    assert broker.handed == order_ids
    check_books(pool)


def test_halts_at_any_moment_let_nothing_out_after_they_committed(pool, database) -> None:
    broker = watched(pool)
    lease = taken(pool)
    done = threading.Event()

    def execute() -> None:
        while not done.is_set():
            execute_round(pool, broker, lease)

    executor = threading.Thread(target=execute)
    executor.start()
    draw = random.Random(5)
    try:
        for number in range(12):
            with psycopg.connect(database) as connection:
                for one in range(3):
                    intend(connection, replace(ORDER, order_id=f"r{number}-{one}"))
            time.sleep(draw.uniform(0.0, 0.06))
            with psycopg.connect(database) as connection:
                halt(connection, "paper", actor="test", reason="the test")
            out = len(broker.handed)
            time.sleep(0.05)
            assert len(broker.handed) == out
            with psycopg.connect(database) as connection:
                resume(connection, "paper", actor="test", reason="the test")
        wait_for(lambda: len(set(broker.handed)) == 36, "the release of all orders")
    finally:
        done.set()
        executor.join(timeout=30)


def test_order_is_cancelled_at_the_broker_and_an_expired_one_never_gets_there(pool) -> None:
    broker, lease = watched(pool), taken(pool)
    with pool.connection() as connection:
        intend(connection, ORDER)
        intend(connection, replace(ORDER, order_id="o2", expires_ms=1_000))
        intend(connection, replace(ORDER, order_id="o3", expires_ms=3_000))
    one = execute_round(pool, broker, lease, now_ms=2_000)
    assert (one.released, one.expired) == (2, 1)
    assert (status(pool, "o2"), broker.handed) == ("cancelled", ["o1", "o3"])
    with pool.connection() as connection:
        assert want_cancelled(connection, "o1").cancel_wanted
    assert execute_round(pool, broker, lease, now_ms=4_000).changed == 2
    assert (status(pool), status(pool, "o3")) == ("cancelled", "cancelled")


def test_answer_that_does_not_fit_is_counted_and_never_sent_again(pool) -> None:
    class Confused(PaperBroker):
        def submit(self, order: Order) -> BrokerOrder:
            super().submit(order)
            return self.look_up(order.order_id)

        def look_up(self, order_id: str) -> BrokerOrder:
            too_much = Fill(fill_id="x", symbol="BTC/USD", side="buy", quantity=Decimal(9), price=Decimal(1))
            return BrokerOrder(order_id=order_id, status="filled", fills=(too_much,))

    lease = taken(pool)
    intend_orders(pool, 1)
    confused = Confused(pool, "paper", exchange="test", timeframe="1m", terms=WHOLE)
    assert execute_round(pool, confused, lease).failed == 1
    assert execute_round(pool, confused, lease).failed == 1
    assert status(pool, "o0") == "sending"
    with pool.connection() as connection:
        assert book_of(connection, "paper").entries == 1
        assert len(orders_with(connection, "paper", ("sending",))) == 1
