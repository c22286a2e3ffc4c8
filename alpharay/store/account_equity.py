"""How an account stands at given prices: its equity now, at the start of the UTC day, and at its best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.timeframe import DAY_MS
from alpharay.portfolio.ledger import ZERO, Book, valued

# A mark that comes late (older than the one there is) moves only the peak. A day starts where the last mark before it
# stood, so nothing that happens overnight is lost between two days.
_MARK = """
INSERT INTO account_equity AS a (account_id, marked_ms, equity, profit, day, day_start_profit, peak_profit)
VALUES (%(account)s, %(time)s, %(equity)s, %(profit)s, %(day)s, %(profit)s, greatest(%(profit)s, 0))
ON CONFLICT (account_id) DO UPDATE SET
    marked_ms = greatest(a.marked_ms, excluded.marked_ms),
    equity = CASE WHEN excluded.marked_ms >= a.marked_ms THEN excluded.equity ELSE a.equity END,
    profit = CASE WHEN excluded.marked_ms >= a.marked_ms THEN excluded.profit ELSE a.profit END,
    day = greatest(a.day, excluded.day),
    day_start_profit = CASE WHEN excluded.day > a.day THEN a.profit ELSE a.day_start_profit END,
    peak_profit = greatest(a.peak_profit, excluded.profit)
RETURNING day_start_profit, peak_profit
"""


@dataclass(frozen=True, slots=True)
class EquityMark:
    """Equity now, and what it was at the day's start and at its best, both with the money that is paid in now."""

    equity: Decimal
    day_start: Decimal
    peak: Decimal

    @property
    def day_loss(self) -> float:
        """Share of the day's start that was lost; 0 when nothing was."""
        return lost_share(self.equity, self.day_start)

    @property
    def drawdown(self) -> float:
        """Share of the best that was lost; 0 at the best."""
        return lost_share(self.equity, self.peak)


def lost_share(now: Decimal, before: Decimal) -> float:
    """Return the share that was lost, as the limits measure it: 0 when nothing was, or there was nothing to lose."""
    return max(1.0 - float(now / before), 0.0) if before > 0 else 0.0


def mark_equity(
    connection: Connection[TupleRow], account_id: str, book: Book, prices: Mapping[str, Decimal], *, time_ms: int
) -> EquityMark:
    """Value an account's book at a time and keep what its losses are measured from.

    A new account's best is at least what was paid in. Raises ValueError when a held symbol has no price.
    """
    equity = valued(book, prices).equity
    row = connection.execute(
        _MARK,
        {
            "account": account_id,
            "time": time_ms,
            "equity": equity,
            "profit": equity - book.capital,
            "day": time_ms // DAY_MS,
        },
    ).fetchone()
    assert row is not None, "the row was inserted or updated"
    return EquityMark(equity, book.capital + row[0], book.capital + row[1])


def equity_now(
    connection: Connection[TupleRow], account_id: str, book: Book, prices: Mapping[str, Decimal], *, time_ms: int
) -> EquityMark:
    """Return what `mark_equity` would, and keep nothing."""
    equity = valued(book, prices).equity
    profit = equity - book.capital
    row = connection.execute(
        "SELECT profit, day, day_start_profit, peak_profit FROM account_equity WHERE account_id = %s", (account_id,)
    ).fetchone()
    if row is None:
        return EquityMark(equity, equity, book.capital + max(profit, ZERO))
    last_profit, day, day_start_profit, peak_profit = row
    day_start = last_profit if time_ms // DAY_MS > day else day_start_profit
    return EquityMark(equity, book.capital + day_start, book.capital + max(peak_profit, profit))
