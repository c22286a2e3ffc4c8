"""The portfolio service's HTTP side with a database that is told what to answer: no Ray, no server, no PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
from psycopg_pool import PoolTimeout
from starlette.testclient import TestClient

from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.portfolio.ledger import Book, Fill, Lot, Position
from alpharay.portfolio.order_proposal import propose_order
from alpharay.portfolio.orders import Order, OrderState
from alpharay.portfolio.paper_fills import PaperTerms
from alpharay.portfolio.risk_parity import risk_parity_weights
from alpharay.portfolio.sizing import TradeRecord, blended
from alpharay.risk.limits import PortfolioState, RiskLimits
from alpharay.store.account_equity import EquityMark
from alpharay.store.account_prices import AccountStanding, DatedPrice, account_standing
from alpharay.store.account_returns import AccountReturns, RiskUnknownError, account_returns
from alpharay.store.accounts import Account
from alpharay.store.equity_marks import EquityHistory, EquityPoint, equity_history
from alpharay.store.order_bookings import OrderBooking, expected_booking, order_booking
from alpharay.store.order_placement import OrderWish, Placement
from alpharay.store.orders import (
    OrderConflictError,
    UnknownOrderError,
    find_order,
    newest_fills,
    newest_orders,
    order_state,
    want_cancelled,
)
from alpharay.store.priced_orders import PricedPlacement, PriceUnusableError, place_at_newest_prices
from alpharay.store.selected_strategies import Rotation, SelectedMarket, SelectedStrategy, selected_markets
from alpharay.store.signals import StoredSignal, stored_signal
from alpharay.store.trading_halts import TradingHaltedError, TradingSwitch
from serve_apps.background_copy import BackgroundCopy
from serve_apps.portfolio_api import BODY_LIMIT_BYTES, portfolio_api
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


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.accounts.refresh()
    return made


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"code", "field", "value", "message", "hint"}
    assert error["code"] == code
    return error


def test_positions_are_at_the_newest_closes_with_their_ages(bench: Bench) -> None:
    answer = bench.client.get("/accounts/paper/positions").json()
    assert (answer["equity"], answer["cash"], answer["unpriced"]) == ("9990", "9900", [])
    (held,) = answer["positions"]
    assert (held["quantity"], held["cost"], held["value"], held["unrealised"]) == (
        "1", "100", "90.00000000", "-10.00000000",
    )  # fmt: skip
    assert (held["price"], held["data_age_seconds"], held["stale"]) == ("90", 60.0, False)


def test_a_price_that_is_old_is_flagged_and_one_that_is_missing_leaves_no_equity(bench: Bench) -> None:
    bench.standing = replace(STANDING, prices={"BTC/USD": DatedPrice(Decimal(90), NOW_MS, 300_001)})
    assert bench.client.get("/accounts/paper/positions").json()["positions"][0]["stale"] is True
    bench.standing = AccountStanding(BOOK, {}, None)
    answer = bench.client.get("/accounts/paper/positions").json()
    assert (answer["equity"], answer["unpriced"], answer["positions"][0]["value"]) == (None, ["BTC/USD"], None)
    assert answer["positions"][0]["stale"] is True
    assert bench.client.get("/performance").json()["equity"] is None


def test_performance_is_measured_from_capital_best_and_day_start(bench: Bench) -> None:
    answer = bench.client.get("/performance", params={"account": "paper"}).json()
    assert answer["return"] == pytest.approx(-0.001)
    assert answer["drawdown"] == pytest.approx(1.0 - 9_990 / 11_100)
    assert answer["today_loss"] == pytest.approx(1.0 - 9_990 / 10_100)
    assert (answer["profit"], answer["data_age_seconds"]) == ("-10", 60.0)


def test_an_account_without_capital_has_no_return(bench: Bench) -> None:
    empty = Book(currency="USD")
    bench.standing = AccountStanding(empty, {}, EquityMark(Decimal(0), Decimal(0), Decimal(0)))
    answer = bench.client.get("/performance").json()
    assert (answer["return"], answer["drawdown"], answer["today_loss"]) == (None, 0.0, 0.0)


def test_orders_and_fills_are_listed(bench: Bench) -> None:
    answer = bench.client.get("/orders", params={"status": "open", "limit": "7"}).json()
    assert answer["orders"][0]["order_id"] == "o1"
    assert (bench.asked[-1]["statuses"], bench.asked[-1]["limit"]) == (("open",), 7)
    assert bench.client.get("/orders").json()["orders"][0]["status"] == "open"
    assert bench.asked[-1]["statuses"] == ()
    assert bench.client.get("/orders/o1").json()["quantity"] == "0.5"
    (fill,) = bench.client.get("/fills").json()["fills"]
    assert (fill["order_id"], fill["fill"]["price"]) == ("o1", "100")


@pytest.mark.parametrize(
    ("path", "status", "code", "field"),
    [
        ("/accounts/nobody/positions", 404, "unknown_account", "account"),
        ("/orders?account=nobody", 404, "unknown_account", "account"),
        ("/fills?account=*", 404, "unknown_account", "account"),
        ("/orders/none", 404, "unknown_order", "order_id"),
        ("/orders/a%20b", 422, "invalid_field", "order_id"),
        ("/orders?status=lost", 422, "invalid_field", "status"),
        ("/orders?limit=0", 422, "invalid_field", "limit"),
        ("/fills?limit=1001", 422, "invalid_field", "limit"),
    ],
)
def test_what_is_wrong_is_named(bench: Bench, path: str, status: int, code: str, field: str) -> None:
    assert error_of(bench.client.get(path), status, code)["field"] == field


def test_each_method_sizes_with_its_explanation(bench: Bench) -> None:
    methods = {
        "fixed_fraction": {"risk": 0.01, "stop_distance": 0.05},
        "fractional_kelly": {"record": RECORD},
        "volatility_target": {"target": 0.1, "volatility": 0.5},
        "blended": {"record": RECORD, "confidence": 0.5, "volatility": 0.5},
    }
    covariance = [[0.04, 0.01], [0.01, 0.09]]
    answer = bench.client.post(
        "/size",
        json={
            "methods": methods,
            "risk_parity": {"symbols": ["btc", "ETH/USD"], "covariance": covariance},
            "equity": 1_000.0,
        },
    ).json()
    sizes = answer["sizes"]
    assert sizes.keys() == methods.keys()
    assert sizes["fixed_fraction"]["fraction"] == pytest.approx(0.2)
    assert sizes["volatility_target"]["notional"] == 200.0
    expected = blended(TradeRecord(**RECORD), confidence=0.5, volatility=0.5)
    assert (sizes["blended"]["fraction"], sizes["blended"]["explanation"]) == (expected.fraction, expected.explanation)
    assert [part["weight"] for part in sizes["blended"]["parts"]] == [0.4, 0.3, 0.3]
    weights = answer["risk_parity"]["weights"]
    assert list(weights.values()) == risk_parity_weights(covariance).tolist()
    assert answer["risk_parity"]["risk_shares"] == pytest.approx({"BTC/USD": 0.5, "ETH/USD": 0.5})
    assert bench.asked == []


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "methods"),
        ({"methods": {"luck": {}}}, "unknown_field", "methods.luck"),
        ({"methods": {"fixed_fraction": {"risk": 0.1}}}, "missing_field", "methods.fixed_fraction.stop_distance"),
        (
            {"methods": {"fixed_fraction": {"risk": 0.1, "stop_distance": 0}}},
            "invalid_field",
            "methods.fixed_fraction.stop_distance",
        ),
        (
            {"methods": {"fractional_kelly": {"record": {**RECORD, "average_win": 1e3, "average_loss": 5e-324}}}},
            "invalid_field",
            "methods.fractional_kelly",
        ),
        ({"risk_parity": {"symbols": ["BTC"], "covariance": [[1, 0]]}}, "invalid_field", "risk_parity.covariance"),
        ({"risk_parity": {"symbols": ["BTC"], "covariance": [[0]]}}, "invalid_field", "risk_parity"),
        (
            {"risk_parity": {"symbols": ["BTC", "btc/usd"], "covariance": [[1, 0], [0, 1]]}},
            "invalid_field",
            "risk_parity.symbols",
        ),
        ({"risk_parity": {"symbols": ["B C"], "covariance": [[1]]}}, "invalid_field", "risk_parity.symbols"),
    ],
)
def test_a_size_that_cannot_be_worked_out_names_the_field(bench: Bench, body: Any, code: str, field: str) -> None:
    assert error_of(bench.client.post("/size", json=body), 422, code)["field"] == field


def test_an_order_is_dry_unless_it_says_so(bench: Bench) -> None:
    dry = bench.want().json()
    assert (dry["dry_run"], dry["stored"], dry["decision"], bench.placed) == (True, False, "allowed", [])
    assert (dry["price"], dry["data_age_seconds"], dry["order"]["symbol"]) == ("90", 60.0, "BTC/USD")
    assert {check["limit"] for check in dry["checks"]} >= {"position", "gross", "drawdown"}
    assert bench.asked[-1]["oldest_ms"] == 300_000
    real = bench.want(dry_run=False).json()
    assert (real["stored"], real["quantity"], len(bench.placed)) == (True, dry["quantity"], 1)


def test_the_same_id_again_is_the_same_order(bench: Bench) -> None:
    bench.want(dry_run=False)
    again = bench.want(dry_run=False).json()
    assert (again["repeated"], again["decision"], again["order"]["order_id"]) == (True, "repeated", "o1")
    assert len(bench.placed) == 1
    bench.fails = OrderConflictError("belongs to another")
    assert error_of(bench.want(side="sell"), 422, "order_id_reused")["field"] == "order_id"


def test_an_order_is_sized_by_a_method(bench: Bench) -> None:
    answer = bench.want(fraction=None, methods={"fixed_fraction": {"risk": 0.01, "stop_distance": 0.1}}).json()
    assert answer["wanted"] == pytest.approx(1_000.0)
    assert answer["size"]["method"] == "fixed_fraction"


def test_a_limit_that_refuses_says_why(bench: Bench) -> None:
    bench.limits = RiskLimits(position=0.0)
    answer = bench.want(dry_run=False).json()
    assert (answer["decision"], answer["stored"], answer["order"]) == ("refused", False, None)
    assert any("position" in reason for reason in answer["reasons"])


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"fraction": None}, "missing_field", "fraction"),
        ({"methods": {}}, "missing_field", "fraction"),
        ({"fraction": None, "methods": {}}, "invalid_field", "methods"),
        ({"fraction": -0.1}, "invalid_field", "fraction"),
        ({"side": "hold"}, "invalid_field", "side"),
        ({"order_id": "a b"}, "invalid_field", "order_id"),
        ({"symbol": "B C"}, "invalid_field", "symbol"),
        ({"limit_price": 0}, "invalid_field", "limit_price"),
        ({"extra": 1}, "unknown_field", "extra"),
        ({"dry_run": "no"}, "invalid_field", "dry_run"),
    ],
)
def test_a_wrong_order_names_field_and_value(bench: Bench, fields: dict[str, Any], code: str, field: str) -> None:
    assert error_of(bench.want(**fields), 422, code)["field"] == field
    assert bench.asked == []


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (TradingHaltedError("account 'paper' is halted"), 409, "trading_halted", None),
        (PriceUnusableError("BTC/USD", "too old"), 409, "stale_data", "60"),
        (ValueError("too many under way"), 422, "order_impossible", None),
        (psycopg.OperationalError("lost"), 503, "database_unavailable", "1"),
        (psycopg.errors.QueryCanceled("slow"), 503, "database_unavailable", "1"),
        (PoolTimeout("none free"), 503, "database_unavailable", "1"),
        (KeyError("a bug"), 500, "internal_error", None),
    ],
)
def test_why_an_order_is_not_placed_is_told(
    bench: Bench, error: Exception, status: int, code: str, retry: str | None
) -> None:
    bench.fails = error
    response = bench.want(dry_run=False)
    error_of(response, status, code)
    assert response.headers.get("Retry-After") == retry


def test_while_the_database_is_away_nothing_waits_for_it_and_sizes_are_still_told(bench: Bench) -> None:
    bench.unreadable = True
    bench.accounts.refresh()
    for response in (bench.want(), bench.client.get("/orders"), bench.client.delete("/orders/o1")):
        error_of(response, 503, "database_unavailable")
        assert response.headers["Retry-After"] == "1"
    assert bench.asked == []
    assert bench.client.get("/ready").status_code == 503
    assert "down" in bench.client.get("/status").json()["accounts"]["last_error"]
    size = {"methods": {"volatility_target": {"target": 0.1, "volatility": 0.5}}}
    assert bench.client.post("/size", json=size).status_code == 200
    bench.unreadable = False
    bench.accounts.refresh()
    assert bench.client.get("/ready").status_code == 200
    assert bench.want().status_code == 200


def test_cancel_is_asked_for(bench: Bench) -> None:
    assert bench.client.delete("/orders/o1").json()["cancel_wanted"] is True
    error_of(bench.client.delete("/orders/none"), 404, "unknown_order")


def test_health_metrics_and_documents(bench: Bench) -> None:
    assert bench.client.get("/health").status_code == 503, "the copy's thread does not run here"
    bench.want()
    text = bench.client.get("/metrics").text
    assert 'alpharay_portfolio_requests_total{outcome="allowed",route="place"} 1.0' in text
    assert "alpharay_portfolio_accounts 1.0" in text
    assert "/accounts/{account}/positions" in bench.client.get("/docs").text
    assert "/size" in bench.client.get("/").json()["paths"]
    too_large = b'{"order_id": "' + b"a" * BODY_LIMIT_BYTES + b'"}'
    response = bench.client.post("/orders", content=too_large, headers={"Content-Type": "application/json"})
    error_of(response, 413, "body_too_large")
    error_of(bench.client.patch("/orders/o1"), 405, "method_not_allowed")


def test_risk_of_an_account_is_told_in_shares_and_money(bench: Bench) -> None:
    answer = bench.client.get("/accounts/paper/risk", params={"level": "0.95"}).json()
    risk = answer["risk"]
    (part,) = risk["symbols"].values()
    assert (answer["equity"], risk["level"], risk["observations"]) == (10_000.0, 0.95, 300)
    assert risk["value_at_risk_money"] == pytest.approx(10_000.0 * risk["value_at_risk"])
    assert part["component_value_at_risk"] == pytest.approx(risk["value_at_risk"])
    assert risk["groups"]["BTC"]["gross"] == pytest.approx(0.009)
    assert "100% of that is BTC/USD's" in answer["explanation"]
    bench.standing = replace(STANDING, book=replace(BOOK, positions={}))
    assert bench.client.get("/accounts/paper/risk").json()["risk"] is None


def test_marginal_risk_is_that_of_one_more_trade(bench: Bench) -> None:
    body = {"symbol": "ETH", "side": "sell", "notional": 500.0, "groups": {"BTC": "coins", "ETH": "coins"}}
    answer = bench.client.post("/risk/marginal", json=body).json()
    assert (answer["symbol"], answer["change"]) == ("ETH/USD", -0.05)
    assert set(answer["after"]["symbols"]) == {"BTC/USD", "ETH/USD"}
    assert answer["after"]["groups"]["coins"]["net"] == pytest.approx(0.009 - 0.05)
    assert answer["after"]["value_at_risk"] - answer["before"]["value_at_risk"] == pytest.approx(
        answer["incremental_value_at_risk"]
    )
    whole = bench.client.post("/risk/marginal", json={"symbol": "ETH", "side": "buy", "fraction": 0.05}).json()
    assert (whole["change"], whole["after"]["groups"].keys()) == (0.05, {"BTC", "ETH"})


def test_equity_over_time_and_its_drawdown(bench: Bench) -> None:
    answer = bench.client.get("/accounts/paper/equity", params={"from": "1000", "points": "7"}).json()
    assert (answer["from"], answer["to"], answer["max_drawdown"]) == (1_000, NOW_MS + 1, 0.1)
    assert answer["points"][0]["equity"] == "9000"
    assert bench.asked[-1] == {"account_id": "paper", "start_ms": 1_000, "end_ms": NOW_MS + 1, "most_points": 7}
    bench.client.get("/accounts/paper/equity", params={"to": "1000"})
    assert (bench.asked[-1]["start_ms"], bench.asked[-1]["end_ms"]) == (0, 1_000)


def test_selected_strategies_are_told_with_weights_and_reasons(bench: Bench) -> None:
    (market,) = bench.client.get("/strategies/selected", params={"symbol": "btc"}).json()["markets"]
    assert market["members"][0]["weight"] == 1.0
    assert market["rotations"][0]["reason"] == "best of two"
    assert bench.asked[-1] == {"exchange": None, "symbol": "BTC/USD", "timeframe": None, "limit": 100}


@pytest.mark.parametrize(
    ("path", "status", "code", "field"),
    [
        ("/accounts/papre/risk", 404, "unknown_account", "account"),
        ("/accounts/papre/equity", 404, "unknown_account", "account"),
        ("/accounts/paper/equity?from=5&to=5", 422, "invalid_field", "from"),
        ("/accounts/paper/equity?from=x", 422, "invalid_field", "from"),
        ("/accounts/paper/equity?points=0", 422, "invalid_field", "points"),
        ("/accounts/paper/risk?level=1", 422, "invalid_field", "level"),
        ("/accounts/paper/risk?stop_deviations=nan", 422, "invalid_field", "stop_deviations"),
        ("/strategies/selected?symbol=%00", 422, "invalid_field", "symbol"),
        ("/strategies/selected?exchange=%00", 422, "invalid_field", "exchange"),
    ],
)
def test_what_is_wrong_with_a_question_of_risk_is_told(
    bench: Bench, path: str, status: int, code: str, field: str
) -> None:
    assert error_of(bench.client.get(path), status, code)["field"] == field


def test_a_risk_that_cannot_be_told_is_a_conflict(bench: Bench) -> None:
    bench.fails = RiskUnknownError("no candles of SOL/USD are stored")
    assert "SOL/USD" in error_of(bench.client.get("/accounts/paper/risk"), 409, "risk_unknown")["message"]
    body = {"symbol": "ETH", "side": "buy"}
    assert error_of(bench.client.post("/risk/marginal", json=body), 422, "missing_field")["field"] == "fraction"


def test_a_signal_is_walked_dry_and_says_how_it_would_be_booked(bench: Bench) -> None:
    answer = bench.walk().json()
    assert (answer["decision"], answer["stored"], answer["order_id"]) == ("allowed", False, "paper:s-1")
    assert (answer["signal_id"], answer["action"], answer["side"]) == ("s-1", "BUY", "buy")
    assert (answer["expected"]["filled_quantity"], answer["expected"]["position"]) == ("0.5", "1")
    assert bench.placed == []


def test_a_signal_is_one_order_however_often_it_is_sent(bench: Bench) -> None:
    first = bench.walk(dry_run=False).json()
    assert (first["stored"], first["repeated"], len(bench.placed)) == (True, False, 1)
    assert bench.placed[0].fraction == 0.05
    # Old by now, and without a size: what was made is told, nothing is asked anew.
    again = bench.walk({"candle_time": 0, "suggested_fraction": None}, dry_run=False).json()
    assert (again["decision"], again["repeated"], len(bench.placed)) == ("repeated", True, 1)
    assert again["booked"]["fills"][0]["fill_id"] == "f1"
    assert bench.walk(dry_run=True).json()["stored"] is True


def test_it_waits_for_fills_only_so_long(bench: Bench) -> None:
    answer = bench.walk(dry_run=False, wait_seconds=1.0).json()
    assert (answer["order"]["status"], bench.clock) == ("open", pytest.approx(1.0, abs=0.11))


def test_a_sell_sells_and_a_hold_orders_nothing(bench: Bench) -> None:
    assert bench.walk({"action": "SELL"}, fraction=0.02, dry_run=False).json()["side"] == "sell"
    assert (bench.placed[0].side, bench.placed[0].fraction) == ("sell", 0.02)
    held = bench.walk({"action": "HOLD", "signal_id": "s-2"}, dry_run=False).json()
    assert (held["decision"], held["order"], held["stored"], len(bench.placed)) == ("hold", None, False, 1)


def test_a_stored_signal_is_walked_by_its_id(bench: Bench) -> None:
    assert error_of(bench.walk(signal_id="s-9", fraction=0.1), 404, "unknown_signal")["field"] == "signal_id"
    known = {**SIGNAL, "symbol": "BTC/USD"}
    bench.signal = StoredSignal(
        **{name: known.get(name) for name in StoredSignal.__dataclass_fields__}  # type: ignore[arg-type]
    )
    answer = bench.walk(signal_id="s-1", fraction=0.1).json()
    assert (answer["order_id"], answer["decision"]) == ("paper:s-1", "allowed")
    # A stored signal suggests no size.
    assert error_of(bench.walk(signal_id="s-1"), 422, "missing_field")["field"] == "fraction"


def test_a_long_id_still_is_one_order(bench: Bench) -> None:
    answer = bench.walk({"signal_id": "s" * 64}).json()
    assert len(answer["order_id"]) <= 64
    assert answer["order_id"] == bench.walk({"signal_id": "s" * 64}).json()["order_id"]


@pytest.mark.parametrize(
    ("signal", "fields", "status", "code", "field"),
    [
        ({"candle_time": NOW_MS - 360_001}, {}, 409, "stale_data", "signal.candle_time"),
        ({"candle_time": "2020-01-01T00:00:00"}, {}, 422, "invalid_field", "signal.candle_time"),
        ({"candle_time": "2020-01-01T00:00:00Z"}, {}, 409, "stale_data", "signal.candle_time"),
        ({"exchange": "elsewhere"}, {}, 422, "invalid_field", "signal.exchange"),
        ({"timeframe": "7x"}, {}, 422, "invalid_field", "signal.timeframe"),
        ({"symbol": "B\u0000"}, {}, 422, "invalid_field", "signal.symbol"),
        ({"action": "MAYBE"}, {}, 422, "invalid_field", "signal.action"),
        ({"suggested_fraction": None}, {}, 422, "missing_field", "fraction"),
        ({}, {"fraction": 0.1, "methods": {}}, 422, "invalid_field", "fraction"),
        ({}, {"account": "papre"}, 404, "unknown_account", "account"),
        ({}, {"wait_seconds": 6.0}, 422, "invalid_field", "wait_seconds"),
    ],
)
def test_what_is_wrong_with_a_signal_is_told(
    bench: Bench, signal: dict[str, Any], fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    assert error_of(bench.walk(signal, **fields), status, code)["field"] == field
    assert bench.placed == []
