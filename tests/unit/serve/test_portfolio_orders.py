"""Orders over HTTP: dry unless they say otherwise, one an id, refused with field and value."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from portfolio_bench import (
    Bench,
    error_of,
)
from psycopg_pool import PoolTimeout

from alpharay.risk.limits import RiskLimits
from alpharay.store.orders import (
    OrderConflictError,
)
from alpharay.store.priced_orders import PriceUnusableError
from alpharay.store.trading_halts import TradingHaltedError


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
