"""The book of an account in PostgreSQL: entries, and balances and lots as their projection.

`alpharay.portfolio.ledger` says how a fill becomes an entry. The database refuses an entry that is not in balance and
every change of one that is booked. Bookings of one account queue up at its row of balances, so that each sees the
state that the one before has left; a fill is booked once, however often and by however many it is brought.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from types import MappingProxyType

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.portfolio.ledger import (
    Book,
    Entry,
    Fill,
    Lot,
    Position,
    Posting,
    booked,
    capital_entry,
    funding_entry,
    posted,
    replayed,
)
from alpharay.store.accounts import Account, account_named

FETCH_ROWS = 2_000

_ENTRIES = """
SELECT number, entry_id, time_ms, account, amount, symbol, quantity
FROM ledger_entries JOIN ledger_postings USING (account_id, number)
WHERE account_id = %s AND number > %s ORDER BY number, line
"""


class EntryConflictError(ValueError):
    """The id is booked already, with another content; nothing was changed."""


def book_fill(connection: Connection[TupleRow], account_id: str, fill: Fill) -> bool:
    """Book a fill in the connection's transaction; False when it is booked already, and then nothing changes.

    Raises EntryConflictError when its id is booked with another content, UnknownAccountError, and ValueError when the
    symbol is not settled in the account's currency.
    """
    account = account_named(connection, account_id)
    balances = _locked_balances(connection, account_id)
    known = connection.execute(
        "SELECT symbol, side, quantity, price, fee, time_ms FROM ledger_fills WHERE account_id = %s AND fill_id = %s",
        (account_id, fill.fill_id),
    ).fetchone()
    content = (fill.symbol, fill.side, fill.quantity, fill.price, fill.fee, fill.time_ms)
    if known is not None:
        if tuple(known) != content:
            raise EntryConflictError(f"fill {fill.fill_id} of account {account_id} is booked as {known}, was {content}")
        return False
    before = _book(account, balances, _positions(connection, account_id, fill.symbol))
    entry, after = booked(before, fill)
    _store(connection, account, "fill", entry, before, after)
    connection.execute(
        "INSERT INTO ledger_fills (account_id, fill_id, symbol, side, quantity, price, fee, time_ms) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (account_id, fill.fill_id, *content),
    )
    return True


def book_capital(
    connection: Connection[TupleRow], account_id: str, entry_id: str, amount: Decimal, *, time_ms: int
) -> bool:
    """Book money that is paid in, or out when `amount` is below zero; as `book_fill` for an id that is known."""
    return _book_money(connection, account_id, "capital", capital_entry(entry_id, amount, time_ms))


def book_funding(
    connection: Connection[TupleRow], account_id: str, entry_id: str, amount: Decimal, *, time_ms: int
) -> bool:
    """Book funding that is paid, or received when `amount` is below zero; as `book_fill` for an id that is known."""
    return _book_money(connection, account_id, "funding", funding_entry(entry_id, amount, time_ms))


def book_of(connection: Connection[TupleRow], account_id: str) -> Book:
    """Return the state of an account from its projection; raises UnknownAccountError."""
    account = account_named(connection, account_id)
    # One statement, so that balances and lots are of one moment.
    rows = connection.execute(
        "SELECT b.entries, b.cash, b.fees, b.funding, b.realised, b.capital, l.symbol, l.quantity, l.cost "
        "FROM ledger_balances b LEFT JOIN ledger_lots l USING (account_id) WHERE account_id = %s "
        "ORDER BY l.symbol, l.lot",
        (account_id,),
    ).fetchall()
    return _book(account, rows[0][:6], _grouped([row[6:] for row in rows if row[6] is not None]))


def positions(connection: Connection[TupleRow], account_id: str) -> Mapping[str, Position]:
    """Return what an account holds, by symbol; what is flat is absent."""
    return book_of(connection, account_id).positions


def cash(connection: Connection[TupleRow], account_id: str) -> Decimal:
    """Return the money of an account that is in no position."""
    return book_of(connection, account_id).cash


def entries_of(connection: Connection[TupleRow], account_id: str, *, after: int = 0) -> Iterator[Entry]:
    """Yield an account's entries in the order of their booking, those with a number above `after`."""
    with connection.transaction(), connection.cursor(name="ledger_entries") as cursor:
        cursor.itersize = FETCH_ROWS
        cursor.execute(_ENTRIES, (account_id, after))
        for _, rows in groupby(cursor, key=lambda row: int(row[0])):
            lines = list(rows)
            postings = tuple(Posting(*line[3:]) for line in lines)
            yield Entry(lines[0][1], lines[0][2], postings)


def replay(connection: Connection[TupleRow], account_id: str) -> Book:
    """Return the state of an account from nothing but its entries: equal to `book_of`, or the projection is wrong."""
    account = account_named(connection, account_id)
    return replayed(Book(currency=account.currency, method=account.method), entries_of(connection, account_id))


def _book_money(connection: Connection[TupleRow], account_id: str, kind: str, entry: Entry) -> bool:
    account = account_named(connection, account_id)
    balances = _locked_balances(connection, account_id)
    known = connection.execute(
        "SELECT kind, time_ms, (SELECT amount FROM ledger_postings p WHERE p.account_id = e.account_id "
        "AND p.number = e.number AND p.account = 'cash') FROM ledger_entries e WHERE account_id = %s AND entry_id = %s",
        (account_id, entry.entry_id),
    ).fetchone()
    content = (kind, entry.time_ms, entry.postings[0].amount)
    if known is not None:
        if tuple(known) != content:
            raise EntryConflictError(
                f"entry {entry.entry_id} of account {account_id} is booked as {known}, was {content}"
            )
        return False
    before = _book(account, balances, {})
    _store(connection, account, kind, entry, before, posted(before, entry))
    return True


def _locked_balances(connection: Connection[TupleRow], account_id: str) -> TupleRow:
    row = connection.execute(
        "SELECT entries, cash, fees, funding, realised, capital FROM ledger_balances WHERE account_id = %s FOR UPDATE",
        (account_id,),
    ).fetchone()
    assert row is not None, "an account is opened with its balances"
    return row


def _positions(connection: Connection[TupleRow], account_id: str, symbol: str) -> dict[str, Position]:
    rows = connection.execute(
        "SELECT symbol, quantity, cost FROM ledger_lots WHERE account_id = %s AND symbol = %s ORDER BY lot",
        (account_id, symbol),
    ).fetchall()
    return _grouped(rows)


def _grouped(rows: list[TupleRow]) -> dict[str, Position]:
    """Return positions of rows (symbol, quantity, cost) that are in the order of symbols and lots."""
    return {
        symbol: Position(symbol, tuple(Lot(quantity.normalize(), cost) for _, quantity, cost in lots))
        for symbol, lots in groupby(rows, key=lambda row: str(row[0]))
    }


def _book(account: Account, balances: TupleRow, held: Mapping[str, Position]) -> Book:
    entries, cash, fees, funding, realised, capital = balances
    return Book(
        currency=account.currency,
        method=account.method,
        cash=cash,
        fees=fees,
        funding=funding,
        realised=realised,
        capital=capital,
        positions=MappingProxyType(dict(held)),
        entries=entries,
    )


def _store(
    connection: Connection[TupleRow], account: Account, kind: str, entry: Entry, before: Book, after: Book
) -> None:
    """Store an entry and what it changes: the balances, and the lots of the symbols that it moves."""
    account_id = account.account_id
    connection.execute(
        "INSERT INTO ledger_entries (account_id, number, entry_id, kind, time_ms) VALUES (%s, %s, %s, %s, %s)",
        (account_id, after.entries, entry.entry_id, kind, entry.time_ms),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ledger_postings (account_id, number, line, account, currency, amount, symbol, quantity) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (account_id, after.entries, line, one.account, account.currency, one.amount, one.symbol, one.quantity)
                for line, one in enumerate(entry.postings, start=1)
            ],
        )
        cursor.execute(
            "UPDATE ledger_balances SET entries = %s, cash = %s, fees = %s, funding = %s, realised = %s, capital = %s "
            "WHERE account_id = %s",
            (after.entries, after.cash, after.fees, after.funding, after.realised, after.capital, account_id),
        )
        for symbol in {one.symbol for one in entry.postings if one.symbol is not None}:
            if before.position(symbol).lots:
                cursor.execute("DELETE FROM ledger_lots WHERE account_id = %s AND symbol = %s", (account_id, symbol))
            cursor.executemany(
                "INSERT INTO ledger_lots (account_id, symbol, lot, quantity, cost) VALUES (%s, %s, %s, %s, %s)",
                [
                    (account_id, symbol, number, lot.quantity, lot.cost)
                    for number, lot in enumerate(after.position(symbol).lots, start=1)
                ],
            )
