"""Each component by itself, answered from the same snapshot as the whole signal."""

from __future__ import annotations

import pytest
from test_signal_api import HOUR_MS, NAMES, Bench, bench, candles, error_of, snapshot  # noqa: F401 - fixtures

from alpharay.features.feature_set import FEATURE_NAMES
from alpharay.market.candles import Candles
from alpharay.settings import SIGNAL_SERVICES, Settings
from alpharay.signals.trading_state import TradingState
from serve_apps.edges.edges import edges_of
from serve_apps.signal import ACCESS

ROUTES = ("features", "market-context", "strategies", "risk-check")


def components_of(bench: Bench, candles: Candles) -> dict[str, object]:
    answer = bench.ask(symbol="SOL", price=float(candles.close[-1])).json()
    return {one["name"]: one for one in answer["components"]}


def test_each_component_says_alone_what_it_says_in_the_signal(bench: Bench, candles: Candles) -> None:
    whole = components_of(bench, candles)
    assert bench.client.get("/market-context/SOL").json()["component"] == whole["market_context"]
    assert bench.client.get("/strategies/SOL/USD").json()["component"] == whole["strategies"]
    assert bench.client.post("/ml/predict", json={"symbol": "SOL"}).json()["component"] == whole["model"]
    checked = bench.client.get("/risk-check/SOL").json()
    assert (checked["component"], checked["size"]) == (whole["risk"], whole["size"])


def test_features_are_told_with_their_meaning_and_time_frames(bench: Bench) -> None:
    told = bench.client.get("/features/SOL", params={"timeframe": "1h"}).json()
    assert tuple(told["features"]) == FEATURE_NAMES == tuple(told["descriptions"])
    assert told["timeframes"] == ["1h", "4h", "12h", "1d"]
    assert all(isinstance(told["features"][name], float) for name in FEATURE_NAMES if name.startswith("x1_"))
    short = bench.client.get("/features/SOLANA").json()
    assert None in short["features"].values()


def test_the_context_tells_momentum_volatility_and_that_sentiment_is_not_available(bench: Bench) -> None:
    told = bench.client.get("/market-context/SOL").json()
    assert [one["candles"] for one in told["momentum"]] == [8, 24, 72, 216]
    assert told["volatility"] > 0.0
    assert told["volatility_regime"] in ("low", "normal", "high")
    assert told["sentiment"] == {"score": 0.0, "status": "not_available"}


def test_strategies_are_told_with_their_votes(bench: Bench) -> None:
    told = bench.client.get("/strategies/SOL").json()
    assert {one["name"] for one in told["strategies"]} == set(NAMES)
    assert told["problems"] == []


def test_the_risk_check_tells_what_would_have_been_without_a_halt(bench: Bench) -> None:
    bench.state = TradingState(account="paper", halts=("all accounts are halted",))
    assert bench.trading.refresh()
    told = bench.client.get("/risk-check/SOL").json()
    assert (told["action"], told["suggested_fraction"]) == ("HOLD", 0.0)
    assert told["component"]["flags"] == ["veto"]
    assert told["action_before_risk"] in ("BUY", "SELL", "HOLD")


def test_old_data_is_told_as_such_and_not_refused(bench: Bench) -> None:
    bench.now_ms += 6 * HOUR_MS
    told = bench.client.get("/market-context/SOL").json()
    assert (told["fresh"], told["data_age_seconds"]) == (False, None)


@pytest.mark.parametrize("route", ROUTES)
def test_an_unknown_market_is_refused_in_the_one_shape(bench: Bench, route: str) -> None:
    error_of(bench.client.get(f"/{route}/NOPE"), 404, "unknown_symbol")
    error_of(bench.client.get(f"/{route}/SOL", params={"timeframe": "x"}), 422, "invalid_field")
    error_of(bench.client.get(f"/{route}/SOL", params={"exchange": "kraken"}), 404, "unknown_market")
    error_of(bench.client.get(f"/{route}/"), 422, "invalid_field")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{}", 422, "missing_field"),
        (b'{"symbol": 1}', 422, "invalid_field"),
        (b'{"symbol": "SOL", "price": 1}', 422, "unknown_field"),
        (b"x", 400, "invalid_json"),
    ],
)
def test_a_prediction_of_nothing_is_refused(bench: Bench, body: bytes, status: int, code: str) -> None:
    headers = {"Content-Type": "application/json"}
    error_of(bench.client.post("/ml/predict", content=body, headers=headers), status, code)


def test_each_service_has_health_and_metrics_that_a_probe_may_ask_for(bench: Bench) -> None:
    rules = edges_of(Settings(), "signal", ACCESS).rules
    bench.refresher.start()
    try:
        for prefix in SIGNAL_SERVICES:
            assert bench.client.get(f"/{prefix}/health").json() == {"status": "alive"}
            assert "alpharay_signal_requests" in bench.client.get(f"/{prefix}/metrics").text
            for path in (f"/{prefix}/health", f"/{prefix}/metrics"):
                assert rules.scope_needed("GET", path) is None
    finally:
        bench.refresher.stop()
    assert bench.client.get("/ml/health").status_code == 503


def test_every_question_about_a_signal_needs_no_more_than_read() -> None:
    rules = edges_of(Settings(), "signal", ACCESS).rules
    for path in ("/generate_signal", "/generate_signals", "/orchestrator/generate_signals", "/ml/predict"):
        assert rules.scope_needed("POST", path) == "read"
    for path in ("/signals/stream", "/features/SOL", "/orchestrator/signals/stream", "/analytics/signals/x/health"):
        assert rules.scope_needed("GET", path) == "read"
