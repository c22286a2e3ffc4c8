"""The alpha ledger in PostgreSQL: which interval of a market was drawn as unseen, for which test. No one draws twice.

`alpharay.validation.ledger` says why. The table's exclusion constraint refuses what overlaps, whoever writes it; the
lock on the market's row makes those who draw at the same time queue up, so that each sees what the other has taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.validation.ledger import Interval, unused
from alpharay.validation.unseen import Choose


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One interval that was used as unseen."""

    test_id: str
    strategy_id: str
    exchange: str
    symbol: str
    interval: Interval
    drawn_at: datetime


def draw_interval(
    connection: Connection[TupleRow],
    *,
    exchange: str,
    symbol: str,
    test_id: str,
    strategy_id: str,
    within: Interval,
    choose: Choose,
) -> Interval | None:
    """Draw what `choose` picks of the unused time `within`, for this test; None when it picks nothing.

    A test that has drawn before gets the same interval again. Once the transaction commits nobody else can draw it.
    """
    with connection.transaction():
        market_id = _locked_market(connection, exchange, symbol)
        drawn = connection.execute(
            "SELECT start_time, end_time FROM alpha_ledger WHERE test_id = %s", (test_id,)
        ).fetchone()
        if drawn is not None:
            return Interval(int(drawn[0]), int(drawn[1]))
        used = connection.execute(
            "SELECT start_time, end_time FROM alpha_ledger WHERE market_id = %s AND end_time > %s AND start_time < %s",
            (market_id, within.start, within.end),
        ).fetchall()
        chosen = choose(unused([Interval(int(start), int(end)) for start, end in used], within))
        if chosen is None:
            return None
        if chosen.start < within.start or chosen.end > within.end:
            raise ValueError(f"an interval to draw must lie within {within}, was {chosen}")
        connection.execute(
            "INSERT INTO alpha_ledger (test_id, strategy_id, market_id, start_time, end_time) "
            "VALUES (%s, %s, %s, %s, %s)",
            (test_id, strategy_id, market_id, chosen.start, chosen.end),
        )
        return chosen


def ledger_entries(connection: Connection[TupleRow], exchange: str, symbol: str) -> list[LedgerEntry]:
    """Return what was drawn of a market, oldest interval first."""
    rows = connection.execute(
        "SELECT test_id, strategy_id, exchange, symbol, start_time, end_time, drawn_at "
        "FROM alpha_ledger JOIN alpha_ledger_markets USING (market_id) "
        "WHERE exchange = %s AND symbol = %s ORDER BY start_time",
        (exchange, symbol),
    ).fetchall()
    return [
        LedgerEntry(test_id, strategy_id, exchange, symbol, Interval(start, end), drawn_at)
        for test_id, strategy_id, exchange, symbol, start, end, drawn_at in rows
    ]


def _locked_market(connection: Connection[TupleRow], exchange: str, symbol: str) -> int:
    connection.execute(
        "INSERT INTO alpha_ledger_markets (exchange, symbol) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (exchange, symbol),
    )
    row = connection.execute(
        "SELECT market_id FROM alpha_ledger_markets WHERE exchange = %s AND symbol = %s FOR UPDATE",
        (exchange, symbol),
    ).fetchone()
    assert row is not None, "the market was inserted before, here or by somebody else"
    return int(row[0])
