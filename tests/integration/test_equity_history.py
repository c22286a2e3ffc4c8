"""An account's equity over time: one mark a minute, drawdowns that deposits do not hide, and what is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.store.accounts import Account, open_account
from alpharay.store.equity_marks import (
    DAY_MS,
    FINE_DAYS,
    HOUR_MS,
    KEPT_DAYS,
    MINUTE_MS,
    equity_history,
    forget_marks,
    keep_mark,
)
from alpharay.store.migrate import migrate

pytestmark = pytest.mark.timeout(120)

START = 20_000 * DAY_MS
Database = Connection[TupleRow]


@pytest.fixture
def connection(database: str) -> Iterator[Database]:
    migrate(database)
    with psycopg.connect(database) as opened:
        open_account(opened, Account(account_id="paper", kind="paper", currency="USD"))
        yield opened


def keep(connection: Database, minute: int, equity: int, capital: int = 1_000) -> bool:
    time_ms = START + minute * MINUTE_MS
    closed = {"BTC/USD": time_ms - 5_000, "ETH/USD": time_ms - 9_000}
    return keep_mark(
        connection, "paper", Decimal(equity), Decimal(equity - capital), time_ms=time_ms + 250, closed_ms=closed
    )


def test_a_minute_keeps_its_first_mark_and_what_its_prices_rested_on(connection: Database) -> None:
    assert keep(connection, 0, 1_000)
    assert not keep(connection, 0, 5)
    history = equity_history(connection, "paper", START, START + HOUR_MS)
    (point,) = history.points
    assert (point.time_ms, point.equity, point.priced_ms, point.drawdown) == (START, 1_000, START - 9_000, 0.0)
    assert (history.max_drawdown, history.max_drawdown_ms) == (0.0, None)
    assert equity_history(connection, "paper", START + 1, START + HOUR_MS).points == ()


def test_drawdown_is_from_the_best_and_a_deposit_is_no_gain(connection: Database) -> None:
    for minute, equity, capital in ((0, 1_000, 1_000), (1, 1_200, 1_000), (2, 900, 1_000), (3, 1_900, 2_000)):
        keep(connection, minute, equity, capital)
    history = equity_history(connection, "paper", START, START + HOUR_MS)
    assert [point.drawdown for point in history.points] == pytest.approx([0.0, 0.0, 0.25, 1.0 - 1_900 / 2_200])
    assert [int(point.peak) for point in history.points] == [1_000, 1_200, 1_200, 2_200]
    assert (history.max_drawdown, history.max_drawdown_ms) == (pytest.approx(0.25), START + 2 * MINUTE_MS)


def test_few_points_still_end_at_the_newest_and_know_the_deepest(connection: Database) -> None:
    for minute in range(100):
        keep(connection, minute, 500 if minute == 41 else 1_000 + minute)
    history = equity_history(connection, "paper", START, START + 100 * MINUTE_MS, most_points=10)
    assert (len(history.points), history.step_ms) == (10, 10 * MINUTE_MS)
    assert (history.points[-1].time_ms, history.points[-1].equity) == (START + 99 * MINUTE_MS, 1_099)
    assert all(point.drawdown == 0.0 for point in history.points)
    assert (history.max_drawdown, history.max_drawdown_ms) == (1.0 - 500 / 1_040, START + 41 * MINUTE_MS)


def test_old_minutes_become_hours_and_very_old_ones_go(connection: Database) -> None:
    for minute in (7, 30, 59, 60, 61):
        keep(connection, minute, 1_000)
    now = START + FINE_DAYS * DAY_MS + 61 * MINUTE_MS
    assert forget_marks(connection, "paper", now_ms=now) == 2
    left = equity_history(connection, "paper", START, START + 2 * HOUR_MS).points
    assert [(point.time_ms - START) // MINUTE_MS for point in left] == [7, 60, 61]
    assert forget_marks(connection, "paper", now_ms=now) == 0
    assert forget_marks(connection, "paper", now_ms=now + KEPT_DAYS * DAY_MS) == 3


def test_an_account_that_has_lost_all_has_a_drawdown_of_all(connection: Database) -> None:
    keep(connection, 0, 0, capital=0)
    keep(connection, 1, 1_000)
    keep(connection, 2, 0)
    history = equity_history(connection, "paper", START, START + HOUR_MS)
    assert history.max_drawdown == 1.0
