"""Orders: one for each id, only legal steps, fills booked with the status, every change told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from alpharay.bus.codec import MessageDecoder
from alpharay.bus.messages import FillMessage, OrderMessage
from alpharay.bus.topics import FILLS, ORDERS
from alpharay.portfolio.ledger import Fill
from alpharay.portfolio.orders import BrokerOrder, Order
from alpharay.store.accounts import Account, open_account
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.ledger import book_capital, book_of, replay
from alpharay.store.migrate import migrate
from alpharay.store.orders import (
    OrderConflictError,
    UnknownOrderError,
    fills_of,
    find_order,
    intend,
    newest_orders,
    order_state,
    orders_with,
    record,
    step,
    want_cancelled,
)
from alpharay.store.trading_halts import TradingHaltedError, halt, resume

pytestmark = pytest.mark.timeout(120)

ORDER = Order(order_id="o1", account_id="paper", symbol="BTC/USD", side="buy", quantity=Decimal("0.3"))


@pytest.fixture
def pool(database) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="test") as pool:
        with pool.connection() as connection:
            open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
            book_capital(connection, "paper", "start", Decimal(100_000), time_ms=1)
        yield pool


def fill(fill_id: str, quantity: str) -> Fill:
    return Fill(
        fill_id=fill_id, symbol="BTC/USD", side="buy", quantity=Decimal(quantity), price=Decimal(50_000),
        fee=Decimal(1), time_ms=7,
    )  # fmt: skip


def told(connection, topic: str, message_type) -> list:
    rows = connection.execute("SELECT value FROM outbox WHERE topic = %s ORDER BY id", (topic,)).fetchall()
    return [MessageDecoder(message_type).decode(row[0].encode()) for row in rows]


def test_the_same_order_twice_is_one_order_and_the_same_answer(pool) -> None:
    with pool.connection() as connection:
        first = intend(connection, ORDER, correlation_id="c1")
        assert intend(connection, ORDER) == first
        assert (first.status, first.revision) == ("intended", 1)
        assert [one.order_id for one in told(connection, ORDERS, OrderMessage)] == ["o1"]
        assert newest_orders(connection, "paper") == [first]


def test_another_body_under_the_same_id_is_refused(pool) -> None:
    with pool.connection() as connection:
        intend(connection, ORDER)
        with pytest.raises(OrderConflictError, match="o1"):
            intend(connection, replace(ORDER, quantity=Decimal("0.4")))
        assert order_state(connection, "o1").order == ORDER


def test_the_same_order_from_many_connections_at_once_is_one_order(pool, database) -> None:
    together = threading.Barrier(6)
    answers = []

    def ask() -> None:
        with psycopg.connect(database) as connection:
            together.wait(timeout=30)
            answers.append(intend(connection, ORDER))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(answers) == 6
    assert len(set(answers)) == 1
    with pool.connection() as connection:
        assert len(newest_orders(connection, "paper")) == 1
        assert len(told(connection, ORDERS, OrderMessage)) == 1


def test_no_order_is_made_while_trading_is_halted_but_a_known_one_is_still_answered(pool) -> None:
    with pool.connection() as connection:
        known = intend(connection, ORDER)
        halt(connection, actor="test", reason="the test")
    with pool.connection() as connection, pytest.raises(TradingHaltedError):
        intend(connection, replace(ORDER, order_id="o2"))
    with pool.connection() as connection:
        assert intend(connection, ORDER) == known
        assert find_order(connection, "o2") is None
        resume(connection, actor="test", reason="the test")
        assert intend(connection, replace(ORDER, order_id="o2")).status == "intended"


def test_fills_are_booked_with_the_status_and_once(pool) -> None:
    first = BrokerOrder(order_id="o1", status="partially_filled", fills=(fill("f1", "0.1"),))
    both = BrokerOrder(order_id="o1", status="filled", fills=(*first.fills, fill("f2", "0.2")))
    with pool.connection() as connection:
        intend(connection, ORDER, correlation_id="c1")
        step(connection, "o1", "sending")
        assert record(connection, first).status == "partially_filled"
        assert record(connection, first).revision == 3
        assert record(connection, both).status == "filled"
        assert record(connection, both).revision == 4
    with pool.connection() as connection:
        book = book_of(connection, "paper")
        assert book.positions["BTC/USD"].quantity == Decimal("0.3")
        assert book.cash == Decimal(100_000 - 15_000 - 2)
        assert replay(connection, "paper") == book
        assert fills_of(connection, "o1") == list(both.fills)
        statuses = [one.status for one in told(connection, ORDERS, OrderMessage)]
        assert statuses == ["intended", "sending", "partially_filled", "filled"]
        assert [one.fill_id for one in told(connection, FILLS, FillMessage)] == ["f1", "f2"]
        headers = connection.execute("SELECT DISTINCT headers ->> 'correlation-id' FROM outbox").fetchall()
        assert headers == [("c1",)]


def test_broker_answer_that_is_not_about_the_order_changes_nothing(pool) -> None:
    with pool.connection() as connection:
        intend(connection, ORDER)
        step(connection, "o1", "sending")
    for wrong, why in (
        ((fill("f1", "0.4"),), "at most"),
        ((replace(fill("f1", "0.1"), side="sell"),), "must be to"),
    ):
        with pool.connection() as connection, pytest.raises(ValueError, match=why):
            record(connection, BrokerOrder(order_id="o1", status="partially_filled", fills=wrong))
    with pool.connection() as connection:
        assert order_state(connection, "o1").status == "sending"
        assert book_of(connection, "paper").entries == 1


@pytest.mark.parametrize("statement", [
    "UPDATE orders SET quantity = 7",
    "UPDATE orders SET status = 'filled', filled_quantity = quantity",
    "UPDATE orders SET status = 'open'",
    "UPDATE orders SET status = 'nonsense'",
    "UPDATE orders SET filled_quantity = 0.1",
])  # fmt: skip
def test_database_refuses_a_step_or_a_change_that_is_none(pool, database, statement) -> None:
    with pool.connection() as connection:
        intend(connection, ORDER)
    with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(statement)


def test_order_that_was_not_sent_is_cancelled_at_once_and_one_at_the_broker_is_marked(pool) -> None:
    with pool.connection() as connection:
        intend(connection, ORDER)
        intend(connection, replace(ORDER, order_id="o2"))
        step(connection, "o2", "sending")
        halt(connection, actor="test", reason="cancelling works while halted")
        assert want_cancelled(connection, "o1").status == "cancelled"
        assert want_cancelled(connection, "o1").status == "cancelled"
        marked = want_cancelled(connection, "o2")
        assert (marked.status, marked.cancel_wanted) == ("sending", True)
        assert orders_with(connection, "paper", ("sending",)) == [marked]
        with pytest.raises(UnknownOrderError, match="o3"):
            want_cancelled(connection, "o3")


def test_symbol_of_another_currency_is_refused_before_it_can_trade(pool) -> None:
    with pool.connection() as connection, pytest.raises(ValueError, match="settle in USD"):
        intend(connection, replace(ORDER, symbol="BTC/EUR"))
