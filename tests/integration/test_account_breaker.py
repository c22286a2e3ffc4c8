"""The circuit breaker that the executor feeds: it opens by the book, lets ways out pass, and closes by small trials."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from test_order_execution import START, WHOLE, bars, paper, status, taken, wait_for, watched

from alpharay.models.volatility import FittedVolatility
from alpharay.portfolio.orders import BrokerOrder, Order
from alpharay.risk.circuit_breaker import BreakerState, Reading, breaker_settings, read
from alpharay.risk.limits import RiskLimits
from alpharay.store.account_breaker import account_reading
from alpharay.store.account_equity import mark_equity
from alpharay.store.account_prices import PriceSource
from alpharay.store.accounts import Account, open_account
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.ledger import book_capital, book_of
from alpharay.store.migrate import migrate
from alpharay.store.order_execution import Round, execute_round
from alpharay.store.order_placement import OrderWish, place_order
from alpharay.store.orders import intend, order_state
from alpharay.store.paper_broker import PaperBroker
from alpharay.store.risk_models import ModelKey, RiskModel, store_model
from alpharay.store.trading_halts import (
    TradingHaltedError,
    change_breaker,
    halt,
    resume,
    set_limits,
    trading_events,
    trading_switches,
)
from benchmarks.signal_data import store_candles

pytestmark = pytest.mark.timeout(180)

MINUTE = 60_000
PRICES = {"BTC/USD": Decimal(100)}
WIDE = RiskLimits(position=None, concentration=None, gross=None, net=None, orders_per_second=None)
BUY = Order(order_id="buy", account_id="paper", symbol="BTC/USD", side="buy", quantity=Decimal(10))
SELL = replace(BUY, order_id="sell", side="sell", quantity=Decimal(4))


@pytest.fixture
def pool(database: str) -> Iterator[DatabasePool]:
    """A paper account of 1,000 USD with wide limits, and three candles at a price of 100."""
    migrate(database)
    store_candles(database, bars(0, 3))
    with open_pool(database, application="test", max_connections=8) as pool:
        with pool.connection() as connection:
            open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
            book_capital(connection, "paper", "start", Decimal(1_000), time_ms=1)
            set_limits(connection, "paper", WIDE, actor="test", reason="test")
        yield pool


class Desk:
    """An executor whose clock the test moves: minutes since the first candle."""

    def __init__(self, pool: DatabasePool, database: str, broker: PaperBroker | None = None) -> None:
        self.pool, self.database, self.minute = pool, database, 3
        self.broker, self.lease = broker or paper(pool), taken(pool)

    def candle(self, price: float) -> None:
        store_candles(self.database, bars(self.minute, 1, price=price))
        self.minute += 1

    def round(self, *, seen: Reading | None = None, later_ms: int = 0) -> Round:
        now_ms = START + self.minute * MINUTE + later_ms

        def reading(connection: Connection[TupleRow]) -> Reading:
            source = PriceSource("test", "1m", now_ms)
            return seen or account_reading(connection, "paper", source, oldest_ms=5 * MINUTE, now_ms=now_ms)

        return execute_round(self.pool, self.broker, self.lease, now_ms=now_ms, reading=reading)

    def intend(self, *orders: Order) -> None:
        with self.pool.connection() as connection:
            for order in orders:
                intend(connection, order, assessed=True)

    def place(self, order_id: str, side: str, fraction: float) -> Decimal:
        wish = OrderWish(order_id=order_id, account_id="paper", symbol="BTC/USD", side=side, fraction=fraction)
        with self.pool.connection() as connection:
            made = place_order(connection, wish, PRICES, now_ms=START + self.minute * MINUTE)
        return made.proposal.quantity

    def phase(self) -> str:
        with self.pool.connection() as connection:
            return trading_switches(connection)["paper"].phase

    def hold_ten(self) -> None:
        """Buy ten at 100."""
        self.intend(BUY)
        self.round()
        self.candle(100.0)
        self.round()
        assert status(self.pool, "buy") == "filled"
        with self.pool.connection() as connection:
            book = book_of(connection, "paper")
            mark_equity(connection, "paper", book, PRICES, time_ms=START + self.minute * MINUTE)


@pytest.fixture
def desk(pool: DatabasePool, database: str) -> Desk:
    return Desk(pool, database, PaperBroker(pool, "paper", exchange="test", timeframe="1m", terms=WHOLE))


def test_a_loss_in_the_book_opens_it_with_evidence_and_what_waits_to_open_is_withdrawn(desk: Desk) -> None:
    desk.hold_ten()
    desk.intend(replace(BUY, order_id="more"), SELL)
    desk.candle(94.0)
    done = desk.round()
    assert (desk.phase(), done.withdrawn, done.released) == ("open", 1, 1)
    assert (status(desk.pool, "more"), status(desk.pool, "sell")) == ("cancelled", "open")
    with desk.pool.connection() as connection:
        event = trading_events(connection, "paper")[0]
        why = order_state(connection, "more").reason or ""
    assert (event.kind, event.actor) == ("BREAKER", "executor")
    assert event.reason.startswith("the loss of the day was 6.")
    assert event.details["evidence"]["loss"] == pytest.approx(0.06, abs=1e-3)
    assert "circuit breaker opened: the loss of the day" in why
    # It lasts as long as the loss does, and while it does nothing is opened; what is held may go.
    assert desk.place("p1", "buy", 0.1) == 0
    assert desk.place("p2", "sell", 5.0) == 6


def test_after_the_cool_down_small_trials_are_released_and_close_it(desk: Desk) -> None:
    desk.round(seen=Reading(loss=0.06))
    assert desk.phase() == "open"
    desk.round(seen=Reading(loss=0.0), later_ms=2 * MINUTE)
    assert desk.phase() == "half-open"
    assert [desk.place(f"t{number}", "buy", 0.4) for number in range(5)] == [Decimal(1)] * 5
    done = desk.round(seen=Reading(loss=0.0), later_ms=2 * MINUTE)
    assert done.released == 3
    assert "half-open" in (done.halted or "")
    assert desk.phase() == "closed"
    assert desk.round(seen=Reading(loss=0.0), later_ms=2 * MINUTE).released == 2
    with desk.pool.connection() as connection:
        told = [event.details["to"] for event in trading_events(connection, "paper") if event.kind == "BREAKER"]
    assert told == ["closed", "half-open", "open"]


def test_rejections_open_it_and_a_failed_trial_opens_it_anew(pool: DatabasePool, database: str) -> None:
    class Refusing(PaperBroker):
        def submit(self, order: Order) -> BrokerOrder:
            super().submit(order)
            return BrokerOrder(order_id=order.order_id, status="rejected", reason="no")

    desk = Desk(pool, database, Refusing(pool, "paper", exchange="test", timeframe="1m"))
    calm = Reading(loss=0.0)
    desk.intend(*(replace(BUY, order_id=f"o{number}") for number in range(12)))
    desk.round(seen=calm)
    assert desk.phase() == "open"
    with pool.connection() as connection:
        first = trading_switches(connection)["paper"].breaker
        assert trading_events(connection, "paper")[0].details["evidence"] == {"released": 12, "failed": 12}
    desk.round(seen=calm, later_ms=2 * MINUTE)
    assert desk.place("trial", "buy", 0.4) == 1
    desk.round(seen=calm, later_ms=2 * MINUTE)
    with pool.connection() as connection:
        again = trading_switches(connection)["paper"].breaker
    assert (again.phase, again.openings, again.reason) == ("open", first.openings + 1, "a trial failed")


def test_a_burst_of_orders_and_prices_too_old_open_it(desk: Desk) -> None:
    with desk.pool.connection() as connection:
        set_limits(connection, "paper", replace(WIDE, orders_per_second=2), actor="test", reason="test")
    desk.intend(*(replace(BUY, order_id=f"o{number}") for number in range(4)))
    assert desk.round().withdrawn == 4
    with desk.pool.connection() as connection:
        assert "4 orders were made within a second" in trading_events(connection, "paper")[0].reason
        change_breaker(connection, "paper", lambda _: BreakerState(), actor="test")
        set_limits(connection, "paper", WIDE, actor="test", reason="test")
    desk.hold_ten()
    assert desk.phase() == "closed"
    desk.round(later_ms=6 * MINUTE)
    with desk.pool.connection() as connection:
        assert "price of BTC/USD was 360 s old, at most 300 s serve" in trading_events(connection, "paper")[0].reason
        unknown = account_reading(connection, "paper", None, oldest_ms=1, now_ms=START)
    assert unknown.blind == "the exchange's clock does not answer"


def test_a_market_that_turns_wild_is_read_from_its_model(desk: Desk) -> None:
    desk.hold_ten()
    calm = FittedVolatility(
        model="garch", distribution="normal", mean=0.0, omega=1e-7, alpha=0.3, beta=0.6, gamma=0.0,
        degrees_of_freedom=None, next_variance=1e-6, observations=500,
    )  # fmt: skip
    key = ModelKey("volatility", "test", "BTC/USD", "", "1m")
    newest = START + (desk.minute - 1) * MINUTE
    source = PriceSource("test", "1m", newest + 2 * MINUTE)
    with desk.pool.connection() as connection:
        store_model(connection, RiskModel(key=key, state=calm, decided_at=newest))
        before = account_reading(connection, "paper", source, oldest_ms=5 * MINUTE, now_ms=newest)
    assert before.volatility == pytest.approx(1.0)
    desk.candle(101.0)
    with desk.pool.connection() as connection:
        after = account_reading(connection, "paper", source, oldest_ms=5 * MINUTE, now_ms=newest)
    # One step of the recursion, by hand.
    variance = 1e-7 + 0.3 * math.log(1.01) ** 2 + 0.6 * 1e-6
    assert after.volatility == pytest.approx(math.sqrt(variance / 1e-6), rel=1e-9)
    desk.round(seen=after)
    with desk.pool.connection() as connection:
        assert "times its long-run level" in trading_events(connection, "paper")[0].reason


def test_a_breaker_that_opens_while_an_order_is_handed_over_waits_for_it_and_nothing_follows(
    pool: DatabasePool, database: str
) -> None:
    handing, go_on, opened = threading.Event(), threading.Event(), threading.Event()

    def hang(_: Order) -> None:
        handing.set()
        assert go_on.wait(60.0)

    broker, rounds, lease = watched(pool, hang), [], taken(pool)
    with pool.connection() as connection:
        for number in range(3):
            intend(connection, replace(BUY, order_id=f"o{number}"))
    executor = threading.Thread(target=lambda: rounds.append(execute_round(pool, broker, lease)))
    executor.start()
    assert handing.wait(60.0)

    def trip() -> None:
        with psycopg.connect(database) as connection:
            settings = breaker_settings(RiskLimits())
            change_breaker(connection, "paper", lambda state: read(state, settings, Reading(loss=0.9), 1), actor="test")
        opened.set()

    breaker = threading.Thread(target=trip)
    breaker.start()
    with psycopg.connect(database, autocommit=True) as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        wait_for(lambda: connection.execute(waiting).fetchone() == (1,), "the breaker's waiting")
    assert not opened.is_set()
    go_on.set()
    for thread in (breaker, executor):
        thread.join(timeout=60)
    assert broker.handed == ["o0"]
    assert rounds[0].released == 1
    assert "circuit breaker (open)" in (rounds[0].halted or "")


@pytest.mark.parametrize(("scope", "passes"), [("INCREASES", True), ("ALL", False)])
def test_a_halt_is_the_same_where_orders_are_placed_and_where_they_are_released(
    desk: Desk, scope: str, passes: bool
) -> None:
    desk.hold_ten()
    desk.intend(replace(BUY, order_id="more"), SELL, replace(SELL, order_id="through", quantity=Decimal(7)))
    with desk.pool.connection() as connection:
        halt(connection, "paper", actor="test", reason="test", scope=scope)
    done = desk.round()
    # Ten are held and four are on their way out: to sell seven more would open a position.
    assert done.released == (1 if passes else 0)
    assert status(desk.pool, "sell") == ("open" if passes else "intended")
    assert (status(desk.pool, "more"), status(desk.pool, "through")) == ("intended", "intended")
    assert done.halted is not None
    if passes:
        assert desk.place("p1", "buy", 0.1) == 0
        with desk.pool.connection() as connection:
            # A narrower halt never loosens a wider one.
            halt(connection, "paper", actor="test", reason="test")
            halt(connection, "paper", actor="test", reason="test", scope="INCREASES")
            assert trading_switches(connection)["paper"].scope == "ALL"
    with pytest.raises(TradingHaltedError, match="kill switch"):
        desk.place("p2", "sell", 0.1)
    with desk.pool.connection() as connection:
        resume(connection, "paper", actor="test", reason="test")
    assert desk.round().released == (2 if passes else 3)


def test_a_limit_price_below_the_market_covers_no_more_than_is_short(desk: Desk) -> None:
    desk.intend(replace(SELL, order_id="short", quantity=Decimal(5)))
    desk.round()
    desk.candle(100.0)
    desk.round()
    with desk.pool.connection() as connection:
        assert book_of(connection, "paper").positions["BTC/USD"].quantity == -5
        halt(connection, "paper", actor="test", reason="test", scope="INCREASES")
        wish = OrderWish(
            order_id="cover", account_id="paper", symbol="BTC/USD", side="buy", fraction=3.0, limit_price=Decimal(50)
        )
        made = place_order(connection, wish, PRICES, now_ms=START)
    # 500 at 50 would be ten.
    assert made.state.order.quantity == 5
