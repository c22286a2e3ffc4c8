"""What the portfolio service tells of accounts and sizes over HTTP, and of itself."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from portfolio_bench import (
    BOOK,
    NOW_MS,
    RECORD,
    STANDING,
    Bench,
    error_of,
)

from alpharay.portfolio.ledger import Book
from alpharay.portfolio.risk_parity import risk_parity_weights
from alpharay.portfolio.sizing import TradeRecord, blended
from alpharay.store.account_equity import EquityMark
from alpharay.store.account_prices import AccountStanding, DatedPrice
from serve_apps.portfolio_api import BODY_LIMIT_BYTES


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
