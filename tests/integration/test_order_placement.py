"""A signal becomes a sized, assessed, filled and booked order; limits hold with orders under way and at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
from test_order_execution import bars, check_books, paper, taken

from alpharay.backtest.frictions import Frictions
from alpharay.bus.messages import SignalMessage
from alpharay.market.timeframe import DAY_MS
from alpharay.portfolio.sizing import TradeRecord, blended
from alpharay.risk.limits import RiskLimits
from alpharay.store.account_equity import mark_equity
from alpharay.store.accounts import Account, open_account
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.ledger import book_capital, book_of, replay
from alpharay.store.migrate import migrate
from alpharay.store.order_execution import execute_round
from alpharay.store.order_placement import OrderWish, place_order
from alpharay.store.orders import OrderConflictError, find_order, newest_orders, order_state
from alpharay.store.trading_halts import TradingHaltedError, halt, set_limits
from benchmarks.signal_data import store_candles

pytestmark = pytest.mark.timeout(120)

PRICES = {"BTC/USD": Decimal(100), "ETH/USD": Decimal(10)}
WISH = OrderWish(order_id="o1", account_id="paper", symbol="BTC/USD", side="buy", fraction=0.1)
NOW = 20_000 * DAY_MS


@pytest.fixture
def pool(database) -> Iterator[DatabasePool]:
    migrate(database)
    store_candles(database, bars(0, 3))
    with open_pool(database, application="test", max_connections=8) as pool:
        with pool.connection() as connection:
            open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
            book_capital(connection, "paper", "start", Decimal(10_000), time_ms=1)
        yield pool


def place(pool: DatabasePool, wish: OrderWish, **options):
    with pool.connection() as connection:
        return place_order(connection, wish, PRICES, now_ms=NOW, **options)


def test_signal_is_walked_to_a_booked_fill(pool, database) -> None:
    signal = SignalMessage(
        signal_id="s1", request_id="r1", exchange="test", symbol="BTC/USD", timeframe="1m", action="BUY",
        confidence=0.3, price=100.0, candle_time=NOW, candle_close=100.0, strategy_ids=("a",), generated_at=NOW,
    )  # fmt: skip
    size = blended(
        TradeRecord(wins=60, losses=40, average_win=0.02, average_loss=0.015),
        confidence=signal.confidence,
        volatility=0.6,
    )
    wish = OrderWish(
        order_id=signal.signal_id, account_id="paper", symbol=signal.symbol, side="buy", fraction=size.fraction
    )
    placed = place(pool, wish, frictions=Frictions(lot_size=0.01), correlation_id="c1")
    assert placed.state.status == "intended"
    assert placed.state.order.quantity == Decimal(str(size.fraction * 100.0)).quantize(Decimal("0.01"), "ROUND_DOWN")
    broker, lease = paper(pool), taken(pool)
    execute_round(pool, broker, lease)
    store_candles(database, bars(3, 1))
    execute_round(pool, broker, lease)
    with pool.connection() as connection:
        assert order_state(connection, "s1").status == "filled"
        book = book_of(connection, "paper")
        assert book.positions["BTC/USD"].quantity == placed.state.order.quantity
        assert replay(connection, "paper") == book
    check_books(pool)


def test_dry_run_says_what_would_be_and_leaves_nothing(pool) -> None:
    dry = place(pool, WISH, dry_run=True)
    assert (dry.state.status, dry.state.order.quantity) == ("intended", Decimal(10))
    with pool.connection() as connection:
        assert find_order(connection, "o1") is None
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM account_equity").fetchone() == (0,)
    assert place(pool, WISH).state == dry.state


def test_the_same_wish_again_is_the_same_order_though_the_size_would_differ(pool) -> None:
    first = place(pool, WISH)
    again = place(pool, replace(WISH, fraction=0.05))
    assert (again.proposal, again.state) == (None, first.state)
    with pytest.raises(OrderConflictError):
        place(pool, replace(WISH, side="sell"))


def test_orders_under_way_count_against_the_limit(pool) -> None:
    first = place(pool, replace(WISH, fraction=0.15))
    second = place(pool, replace(WISH, order_id="o2", fraction=0.15))
    third = place(pool, replace(WISH, order_id="o3", fraction=0.15))
    assert (first.state.order.quantity, second.state.order.quantity) == (Decimal(15), Decimal(5))
    assert third.state is None
    assert any("position" in reason for reason in third.proposal.reasons)


def test_wishes_at_once_never_exceed_the_limit_together(pool, database) -> None:
    with pool.connection() as connection:
        set_limits(connection, "paper", RiskLimits(orders_per_second=None), actor="test", reason="the test")
    together = threading.Barrier(6)

    def ask(number: int) -> None:
        with psycopg.connect(database) as connection:
            together.wait(timeout=30)
            place_order(connection, replace(WISH, order_id=f"w{number}"), PRICES, now_ms=NOW)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    with pool.connection() as connection:
        orders = newest_orders(connection, "paper")
    assert sum(one.order.quantity for one in orders) == Decimal(20)


def test_halted_account_places_nothing_not_even_dry(pool) -> None:
    with pool.connection() as connection:
        halt(connection, "paper", actor="test", reason="the test")
    for dry_run in (True, False):
        with pytest.raises(TradingHaltedError):
            place(pool, WISH, dry_run=dry_run)


def test_symbol_without_a_price_is_refused(pool) -> None:
    with pytest.raises(ValueError, match="price of SOL/USD"):
        place(pool, replace(WISH, symbol="SOL/USD"))


def test_losses_are_measured_from_the_last_mark_before_the_day_and_from_the_best(pool, database) -> None:
    place(pool, WISH)
    broker, lease = paper(pool), taken(pool)
    execute_round(pool, broker, lease)
    store_candles(database, bars(3, 1))
    execute_round(pool, broker, lease)
    marks = []
    for later, price in ((0, 100), (1, 120), (DAY_MS, 110), (DAY_MS + 1, 90)):
        with pool.connection() as connection:
            book = book_of(connection, "paper")
            marks.append(mark_equity(connection, "paper", book, {"BTC/USD": Decimal(price)}, time_ms=NOW + later))
    assert [mark.equity for mark in marks] == [10_000, 10_200, 10_100, 9_900]
    assert [mark.day_start for mark in marks] == [10_000, 10_000, 10_200, 10_200]
    assert [mark.peak for mark in marks] == [10_000, 10_200, 10_200, 10_200]
    with pool.connection() as connection:
        # Money that is paid in is no gain.
        book_capital(connection, "paper", "more", Decimal(5_000), time_ms=2)
        book = book_of(connection, "paper")
        mark = mark_equity(connection, "paper", book, {"BTC/USD": Decimal(90)}, time_ms=NOW + DAY_MS + 2)
    assert (mark.equity, mark.day_start, mark.peak) == (14_900, 15_200, 15_200)
