"""The portfolio service with a database that is told what to answer: no Ray, no server, no PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import numpy as np
from starlette.testclient import TestClient

from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.portfolio.ledger import Book, Fill, Lot, Position
from alpharay.portfolio.order_proposal import propose_order
from alpharay.portfolio.orders import Order, OrderState
from alpharay.portfolio.paper_fills import PaperTerms
from alpharay.risk.limits import PortfolioState, RiskLimits
from alpharay.store.account_equity import EquityMark
from alpharay.store.account_prices import AccountStanding, DatedPrice, account_standing
from alpharay.store.account_returns import AccountReturns, account_returns
from alpharay.store.accounts import Account
from alpharay.store.equity_marks import EquityHistory, EquityPoint, equity_history
from alpharay.store.order_bookings import OrderBooking, expected_booking, order_booking
from alpharay.store.order_placement import OrderWish, Placement
from alpharay.store.orders import (
    UnknownOrderError,
    find_order,
    newest_fills,
    newest_orders,
    order_state,
    want_cancelled,
)
from alpharay.store.priced_orders import PricedPlacement, place_at_newest_prices
from alpharay.store.selected_strategies import Rotation, SelectedMarket, SelectedStrategy, selected_markets
from alpharay.store.signals import StoredSignal, stored_signal
from alpharay.store.trading_halts import TradingSwitch
from serve_apps.background_copy import BackgroundCopy
from serve_apps.portfolio_api import portfolio_api
from serve_apps.portfolio_service import AccountsCopy, PortfolioService, Prices
from serve_apps.portfolio_signal_orders import SignalOrders

NOW_MS = 1_700_000_000_000
ORDER = Order(order_id="o1", account_id="paper", symbol="BTC/USD", side="buy", quantity=Decimal("0.5"))
STATE = OrderState(order=ORDER, status="open", revision=3)
FILL = Fill(fill_id="f1", symbol="BTC/USD", side="buy", quantity=Decimal("0.5"), price=Decimal(100), time_ms=5)
BOOK = Book(
    currency="USD",
    cash=Decimal(9_900),
    capital=Decimal(10_000),
    positions={"BTC/USD": Position("BTC/USD", (Lot(Decimal(1), Decimal(100)),))},
)
PRICES = {"BTC/USD": DatedPrice(Decimal(90), NOW_MS - 60_000, 60_000)}
STANDING = AccountStanding(BOOK, PRICES, EquityMark(Decimal(9_990), Decimal(10_100), Decimal(11_100)))
HISTORY = EquityHistory(
    (EquityPoint(NOW_MS - 60_000, Decimal(9_000), Decimal(10_000), 0.1, NOW_MS - 70_000),), 60_000, 0.1, NOW_MS - 60_000
)
MEMBER = SelectedStrategy("s1", "MACD_CROSSOVER", "DEPLOYED", 1.0, 0.6, 0.5, 0.7, 0.9, 300, 40, 5, "best of two")
SELECTED = SelectedMarket(
    exchange="test", symbol="BTC/USD", timeframe="1m", decided_at=7, quality=0.6, mean_correlation=0.0,
    members=(MEMBER,), rotations=(Rotation("s1", "MACD_CROSSOVER", "DEPLOYED", 5, "best of two"),),
)  # fmt: skip
SIGNAL = {
    "signal_id": "s-1", "action": "BUY", "symbol": "BTC", "exchange": "test", "timeframe": "1m",
    "candle_time": NOW_MS - 90_000, "confidence": 0.4, "suggested_fraction": 0.05, "reason": "more than is needed",
}  # fmt: skip
WANT = {"order_id": "o1", "symbol": "BTC", "side": "buy", "fraction": 0.1}
RECORD = {"wins": 60, "losses": 40, "average_win": 0.02, "average_loss": 0.015}


@dataclass
class Bench:
    """The service with its database replaced: what a test can turn."""

    fails: Exception | None = None
    unreadable: bool = False
    standing: AccountStanding = STANDING
    limits: RiskLimits = field(default_factory=RiskLimits)
    placed: list[OrderWish] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    signal: StoredSignal | None = None
    clock: float = 0.0

    def __post_init__(self) -> None:
        self.accounts = BackgroundCopy(self.read, AccountsCopy({}, {}), name="accounts", monotonic=lambda: 5.0)
        self.service = PortfolioService(
            self.accounts,
            self.transaction,
            ExchangeClock(None, wall_clock_ms=lambda: NOW_MS),
            Prices(exchange="test", timeframe="1m", oldest_timeframes=5.0),
            default_quote="USD",
            now_ms=lambda: NOW_MS,
        )
        self.signals = SignalOrders(self.service, PaperTerms(), monotonic=lambda: self.clock, sleep=self.wait)
        self.api = portfolio_api(self.service, self.signals, versions={"alpharay": "1"})
        self.client = TestClient(self.api, raise_server_exceptions=False)

    def read(self) -> AccountsCopy:
        if self.unreadable:
            raise ConnectionError("down")
        account = Account(account_id="paper", kind="paper", currency="USD")
        return AccountsCopy({"paper": account}, {name: TradingSwitch(account=name) for name in ("*", "paper")})

    def transaction(self, work: Callable[..., Any]) -> Any:
        """Do what the database would: only the outcome is of interest here."""
        if self.fails is not None:
            raise self.fails
        assert isinstance(work, partial)
        self.asked.append(work.keywords)
        if work.func is place_at_newest_prices:
            return self.place(**work.keywords)
        if work.func in (order_state, want_cancelled) and work.keywords["order_id"] not in ("o1", "paper:s-1"):
            raise UnknownOrderError("order is unknown")
        answers: dict[Callable[..., Any], Any] = {
            account_standing: self.standing,
            newest_orders: [STATE],
            newest_fills: [("o1", FILL)],
            find_order: next((STATE for one in self.placed if one.order_id == work.keywords.get("order_id")), None),
            stored_signal: self.signal,
            expected_booking: OrderBooking((FILL,), (), BOOK),
            order_booking: OrderBooking((FILL,), (), BOOK),
            account_returns: self.returns(work.keywords.get("beside", ())),
            equity_history: HISTORY,
            selected_markets: [SELECTED],
            order_state: STATE,
            want_cancelled: replace(STATE, cancel_wanted=True),
        }
        return answers[work.func]

    def wait(self, seconds: float) -> None:
        self.clock += seconds

    def walk(self, signal: dict[str, Any] | None = None, **fields: Any) -> httpx.Response:
        """Ask for the order of a signal; `signal` are fields that differ."""
        whole = fields if "signal_id" in fields else {"signal": {**SIGNAL, **(signal or {})}, **fields}
        return self.client.post("/orders/from-signal", json=whole)

    def returns(self, beside: tuple[str, ...]) -> AccountReturns | None:
        """Return what the account's book weighs, and random returns of its symbols."""
        symbols = tuple(sorted({*self.standing.book.positions, *beside}))
        table = np.random.default_rng(3).normal(0.0, 0.01, (300, len(symbols))) if symbols else None
        weights = dict.fromkeys(self.standing.book.positions, 0.009)
        return AccountReturns(self.standing, 10_000.0, weights, symbols, table)

    def place(self, wish: OrderWish, dry_run: bool, **_: Any) -> PricedPlacement:
        if any(one.order_id == wish.order_id for one in self.placed):
            return PricedPlacement(Placement(None, STATE), {})
        state = PortfolioState(equity=10_000.0, day_start_equity=10_000.0, peak_equity=10_000.0)
        proposal = propose_order(wish.symbol, wish.side, wish.fraction, 90.0, state=state, limits=self.limits)
        if proposal.quantity == 0:
            return PricedPlacement(Placement(proposal, None), PRICES)
        if not dry_run:
            self.placed.append(wish)
        made = OrderState(order=replace(ORDER, quantity=proposal.quantity), status="intended", revision=1)
        return PricedPlacement(Placement(proposal, made), PRICES)

    def want(self, **fields: Any) -> httpx.Response:
        return self.client.post("/orders", json={**WANT, **fields})


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"code", "field", "value", "message", "hint"}
    assert error["code"] == code
    return error
