"""The book in PostgreSQL: once, in balance, unchangeable, and equal to the replay of its entries."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest

from alpharay.portfolio.ledger import Book, Fill, booked, capital_entry, posted
from alpharay.store.accounts import Account, open_account
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.ledger import (
    EntryConflictError,
    book_capital,
    book_fill,
    book_funding,
    book_of,
    cash,
    entries_of,
    positions,
    replay,
)
from alpharay.store.migrate import migrate
from alpharay.store.trading_halts import UnknownAccountError

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def pool(database) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="test") as pool:
        with pool.connection() as connection:
            open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
            book_capital(connection, "paper", "start", Decimal(100_000), time_ms=1)
        yield pool


def fill(fill_id: str = "f1", **changed: object) -> Fill:
    fields = {
        "symbol": "BTC/USD", "side": "buy", "quantity": Decimal("0.5"), "price": Decimal("60000.123"),
        "fee": Decimal("30.01"), "time_ms": 5,
    }  # fmt: skip
    return Fill(fill_id=fill_id, **{**fields, **changed})  # type: ignore[arg-type]


def test_fill_is_booked_with_its_fee_and_its_position(pool) -> None:
    with pool.connection() as connection:
        assert book_fill(connection, "paper", fill())
    with pool.connection() as connection:
        assert cash(connection, "paper") == Decimal(100_000) - Decimal("30000.0615") - Decimal("30.01")
        held = positions(connection, "paper")["BTC/USD"]
        assert (held.quantity, held.cost) == (Decimal("0.5"), Decimal("30000.0615"))
        assert book_of(connection, "paper").balance == 0
        assert book_of(connection, "paper").fees == Decimal("30.01")


def test_the_same_fill_twice_is_booked_once_and_another_body_is_refused(pool) -> None:
    with pool.connection() as connection:
        assert book_fill(connection, "paper", fill())
        assert not book_fill(connection, "paper", fill())
        before = book_of(connection, "paper")
    with pool.connection() as connection, pytest.raises(EntryConflictError, match="f1"):
        book_fill(connection, "paper", fill(price=Decimal(1)))
    with pool.connection() as connection, pytest.raises(EntryConflictError, match="start"):
        book_capital(connection, "paper", "start", Decimal(7), time_ms=1)
    with pool.connection() as connection:
        assert not book_capital(connection, "paper", "start", Decimal(100_000), time_ms=1)
        assert book_of(connection, "paper") == before


def test_one_fill_from_many_connections_at_once_is_booked_once(pool, database) -> None:
    together = threading.Barrier(4)
    booked_by: list[bool] = []

    def bring(number: int) -> None:
        with psycopg.connect(database) as connection:
            together.wait(timeout=30)
            for one in range(10):
                booked_by.append(book_fill(connection, "paper", fill(f"f{one}")))
                connection.commit()

    threads = [threading.Thread(target=bring, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(booked_by) == 40
    assert sum(booked_by) == 10
    with pool.connection() as connection:
        assert book_of(connection, "paper").entries == 11
        assert positions(connection, "paper")["BTC/USD"].quantity == Decimal(5)
        assert replay(connection, "paper") == book_of(connection, "paper")


def insert_entry(connection, *amounts: str, number: int = 2) -> None:
    connection.execute(
        "INSERT INTO ledger_entries (account_id, number, entry_id, kind, time_ms) "
        "VALUES ('paper', %s, 'by hand', 'capital', 1)",
        (number,),
    )
    for line, amount in enumerate(amounts, start=1):
        insert_posting(connection, line, amount, number=number)


def insert_posting(connection, line: int, amount: str, *, number: int = 2) -> None:
    connection.execute(
        "INSERT INTO ledger_postings (account_id, number, line, account, currency, amount) "
        "VALUES ('paper', %s, %s, 'cash', 'USD', %s)",
        (number, line, amount),
    )


@pytest.mark.parametrize("amounts", [("5", "-4.99999999"), ("5",), ()])
def test_entry_out_of_balance_is_refused_by_the_database_when_it_commits(database, pool, amounts) -> None:
    with psycopg.connect(database) as connection:
        insert_entry(connection, *amounts)
        with pytest.raises(psycopg.errors.CheckViolation, match="of account paper must"):
            connection.commit()
    with pool.connection() as connection:
        assert len(list(entries_of(connection, "paper"))) == 1


def test_posting_after_the_check_of_its_entry_is_checked_too(database, pool) -> None:
    with psycopg.connect(database) as connection:
        insert_entry(connection, "5", "-5")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(psycopg.errors.CheckViolation, match="sum to 0 in USD"):
            insert_posting(connection, 3, "1")


def test_booked_entry_takes_no_more_postings(database, pool) -> None:
    with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.CheckViolation, match="no more"):
        insert_posting(connection, 3, "1", number=1)


@pytest.mark.parametrize("table", ["accounts", "ledger_entries", "ledger_postings", "ledger_fills"])
@pytest.mark.parametrize("change", ["UPDATE {} SET account_id = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_is_booked_cannot_be_changed(database, pool, table, change) -> None:
    with psycopg.connect(database, autocommit=True) as connection, pytest.raises(psycopg.errors.IntegrityError):
        connection.execute(change.format(table))


@pytest.mark.parametrize("method", ["average", "fifo"])
@pytest.mark.parametrize("seed", [1, 2])
def test_replay_and_projection_equal_the_pure_book_for_random_fills(database, pool, method, seed) -> None:
    draw = random.Random(seed)
    book = posted(Book(currency="USD", method=method), capital_entry("start", Decimal(1_000_000), 0))
    with psycopg.connect(database) as connection:
        open_account(connection, Account(account_id="random", kind="paper", currency="USD", method=method))
        book_capital(connection, "random", "start", Decimal(1_000_000), time_ms=0)
        for number in range(120):
            one = fill(
                f"r{number}",
                symbol=draw.choice(["BTC/USD", "ETH/USD:USD", "SOL/USD"]),
                side=draw.choice(["buy", "sell"]),
                quantity=Decimal(draw.randint(1, 10**13)).scaleb(-12),
                price=Decimal(draw.randint(1, 10**9)).scaleb(-4),
                fee=Decimal(draw.randint(-(10**6), 10**7)).scaleb(-9),
                time_ms=number,
            )
            assert book_fill(connection, "random", one)
            book = booked(book, one)[1]
            connection.commit()
        assert book_of(connection, "random") == book
        assert replay(connection, "random") == book
        assert book.balance == 0


def test_funding_is_paid_from_cash_once(pool) -> None:
    with pool.connection() as connection:
        assert book_funding(connection, "paper", "funding-1", Decimal("1.5"), time_ms=9)
        assert not book_funding(connection, "paper", "funding-1", Decimal("1.5"), time_ms=9)
        book = book_of(connection, "paper")
    assert (book.cash, book.funding) == (Decimal("99998.5"), Decimal("1.5"))


def test_booking_that_fails_leaves_no_trace(pool) -> None:
    with pool.connection() as connection, pytest.raises(ValueError, match="settled in USD"):
        book_fill(connection, "paper", fill(symbol="BTC/EUR"))
    with pool.connection() as connection, pytest.raises(UnknownAccountError, match="nobody"):
        book_fill(connection, "nobody", fill())
    with pool.connection() as connection:
        assert book_of(connection, "paper").entries == 1


def test_account_keeps_its_kind(pool) -> None:
    with pool.connection() as connection:
        assert not open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
        with pytest.raises(ValueError, match="live"):
            open_account(connection, Account(account_id="paper", kind="live", currency="USD"))
