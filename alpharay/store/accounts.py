"""Accounts: whose money a book is about. Paper and live are different accounts, and none changes its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.portfolio.ledger import Method
from alpharay.store import trading_halts
from alpharay.store.trading_halts import UnknownAccountError

AccountKind = Literal["paper", "live"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account: `currency` is that of all its amounts, `method` how cost leaves its positions."""

    account_id: str
    kind: AccountKind
    currency: str
    method: Method = "average"


def open_account(connection: Connection[TupleRow], account: Account) -> bool:
    """Open an account with an empty book and a kill switch; False when it is open already.

    Raises ValueError when it is open with another kind, currency or method.
    """
    trading_halts.open_account(
        connection, account.account_id, actor="accounts", reason=f"{account.kind} account opened"
    )
    added = connection.execute(
        "INSERT INTO accounts (account_id, kind, currency, method) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (account.account_id, account.kind, account.currency, account.method),
    )
    if added.rowcount == 1:
        connection.execute("INSERT INTO ledger_balances (account_id) VALUES (%s)", (account.account_id,))
        return True
    known = account_named(connection, account.account_id)
    if known != account:
        raise ValueError(f"account {account.account_id} is open as {known}, was asked for as {account}")
    return False


def account_named(connection: Connection[TupleRow], account_id: str) -> Account:
    """Return an account; raises UnknownAccountError."""
    row = connection.execute(
        "SELECT kind, currency, method FROM accounts WHERE account_id = %s", (account_id,)
    ).fetchone()
    if row is None:
        raise UnknownAccountError(f"account {account_id!r} has no book: open it first")
    return Account(account_id=account_id, kind=row[0], currency=row[1], method=row[2])


def all_accounts(connection: Connection[TupleRow]) -> dict[str, Account]:
    """Return every account by its id."""
    rows = connection.execute("SELECT account_id, kind, currency, method FROM accounts ORDER BY account_id").fetchall()
    return {row[0]: Account(account_id=row[0], kind=row[1], currency=row[2], method=row[3]) for row in rows}
