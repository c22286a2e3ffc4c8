"""What the portfolio service tells of risk, equity and the strategies that were selected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from portfolio_bench import (
    BOOK,
    NOW_MS,
    STANDING,
    Bench,
    error_of,
)

from alpharay.store.account_returns import RiskUnknownError


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
