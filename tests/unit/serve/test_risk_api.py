"""The risk service's HTTP side with fixed copies: no Ray, no server, no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
from starlette.testclient import TestClient

from alpharay.models.volatility import forecast
from alpharay.risk.calibration import CalibrationSettings, PriceHistory, fit_market, fit_pair, pair_history
from alpharay.risk.circuit_breaker import BreakerState
from alpharay.risk.limits import RiskLimits
from alpharay.risk.market_view import MarketName, MarketRisk, PairName, PairRisk, RiskView, StateView
from alpharay.risk.value_at_risk import historical_risk
from alpharay.store.trading_halts import EventIdReusedError, TradingSwitch, UnknownAccountError, halt, set_limits
from serve_apps.background_copy import BackgroundCopy
from serve_apps.risk_api import BODY_LIMIT_BYTES, risk_api
from serve_apps.risk_forecasts import PATHS
from serve_apps.risk_service import RiskService, SwitchChange, SwitchCopy

HOUR_MS = 3_600_000
BARS = 400
NOW_MS = BARS * HOUR_MS + 60_000


def walk(seed: int) -> PriceHistory:
    steps = np.random.default_rng(seed).normal(0.0, 0.01, BARS)
    return PriceHistory(np.arange(BARS, dtype=np.int64) * HOUR_MS, 100.0 * np.exp(np.cumsum(steps)))


def market(symbol: str, history: PriceHistory, timeframe: str = "1h") -> MarketRisk:
    fits = fit_market(history, timeframe, CalibrationSettings())
    last = int(history.open_time[-1])
    views: dict[str, Any] = {kind: StateView(fit.state, NOW_MS - 5_000, last) for kind, fit in fits.items()}
    return MarketRisk(MarketName("x", symbol, timeframe), history, **views)


@pytest.fixture(scope="module")
def view() -> RiskView:
    btc, eth = walk(1), walk(2)
    flat = PriceHistory(btc.open_time, np.full(BARS, 7.0))
    markets = [market("BTC/USD", btc), market("ETH/USD", eth), market("ETH/USD", eth, "1d"), market("FLAT/USD", flat)]
    noise = np.random.default_rng(3).normal(0.0, 0.002, BARS)
    y = PriceHistory(btc.open_time, np.exp(0.7 * np.log(btc.close) + 1.0 + noise))
    pair = pair_history(y, btc)
    name = PairName("x", "SOL/USD", "BTC/USD", "1h")
    hedge: Any = fit_pair(pair).state
    return RiskView(
        {one.name: one for one in markets}, {name: PairRisk(name, pair, StateView(hedge, NOW_MS, 0))}, ("one problem",)
    )


@dataclass
class Bench:
    """The service with what it reads replaced: what a test can turn."""

    view: RiskView
    switches: dict[str, TradingSwitch] = field(
        default_factory=lambda: {name: TradingSwitch(account=name) for name in ("*", "paper", "live-1")}
    )
    fails: bool = False
    write_fails: Exception | None = None
    clock: float = 50.0

    def __post_init__(self) -> None:
        self.models = BackgroundCopy(lambda: self.view, RiskView(), name="models", monotonic=lambda: self.clock)
        self.halts = BackgroundCopy(self.read, SwitchCopy({}), name="switches", monotonic=lambda: self.clock)
        self.service = RiskService(self.models, self.halts, self.commit, default_quote="USD", now_ms=lambda: NOW_MS)
        self.client = TestClient(risk_api(self.service, versions={"alpharay": "1"}), raise_server_exceptions=False)

    def read(self) -> SwitchCopy:
        if self.fails:
            raise ConnectionError("down")
        return SwitchCopy(self.switches)

    def commit(self, change: SwitchChange) -> TradingSwitch:
        """Do what the database would: only the outcome is of interest here."""
        if self.write_fails is not None:
            raise self.write_fails
        assert isinstance(change, partial)
        account = change.keywords["account"]
        if change.func is set_limits:
            self.switches = {**self.switches, account: TradingSwitch(account=account, limits=change.keywords["limits"])}
        else:
            scope = change.keywords.get("scope", "ALL")
            switch = TradingSwitch(account=account, halted=change.func is halt, scope=scope)
            self.switches = {**self.switches, account: switch}
        return self.switches[account]

    def refresh(self) -> Bench:
        self.models.refresh()
        self.halts.refresh()
        return self

    def turn(self, account: str, **fields: Any) -> None:
        self.switches = {**self.switches, account: TradingSwitch(account=account, **fields)}
        self.halts.refresh()

    def assess(self, **fields: Any) -> httpx.Response:
        body = {"trade": {"symbol": "BTC", "notional": 1_000.0}, "state": {"equity": 10_000.0}, **fields}
        return self.client.post("/assess", json=body)


@pytest.fixture
def bench(view: RiskView) -> Bench:
    return Bench(view).refresh()


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"code", "field", "value", "message", "hint"}
    assert error["code"] == code
    return error


def test_volatility_is_the_forecast_of_the_stored_state(bench: Bench, view: RiskView) -> None:
    answer = bench.client.get("/volatility/BTC/USD", params={"horizon": 5, "level": 0.9}).json()
    state = view.markets[MarketName("x", "BTC/USD", "1h")].volatility
    assert state is not None
    expected = forecast(state.state, 5, level=0.9, paths=PATHS)
    assert answer["forecast"]["volatility"] == expected.volatility.tolist()
    assert answer["forecast"]["total_high"] == expected.total_high.tolist()
    assert (answer["horizon"], answer["level"], answer["fallback"], answer["model"]) == (5, 0.9, False, "garch")
    assert (answer["state_age_seconds"], answer["data_age_seconds"]) == (5.0, 60.0)
    again = bench.client.get("/volatility/btc", params={"horizon": 5, "level": 0.9})
    assert again.json() == answer


def test_a_fallback_is_flagged(bench: Bench) -> None:
    answer = bench.client.get("/volatility/FLAT").json()
    assert (answer["fallback"], answer["fallback_reason"]) == (True, "all returns are equal")
    assert answer["forecast"]["volatility"] == [0.0] * 24


def test_regime_tells_change_run_length_mean_and_volatility(bench: Bench) -> None:
    answer = bench.client.get("/regime/BTC/USD").json()
    assert 0.0 <= answer["change_probability"] <= 1.0
    assert 1 <= answer["run_length"] <= BARS
    assert answer["volatility"] == pytest.approx(0.01, rel=0.3)
    assert abs(answer["mean"]) < 0.01


def test_hedge_finds_the_ratio_and_a_spread_that_returns(bench: Bench) -> None:
    answer = bench.client.get("/hedge", params={"y": "SOL", "x": "BTC/USD"}).json()
    assert answer["beta"] == pytest.approx(0.7, abs=0.02)
    assert abs(answer["spread_z"]) < 4.0
    assert 0.0 <= answer["half_life"] < 5.0


def test_var_of_one_asset_is_the_risk_of_its_returns(bench: Bench, view: RiskView) -> None:
    body = {"weights": {"BTC": 0.5}, "level": 0.95, "observations": 300}
    answer = bench.client.post("/var", json=body).json()
    close = view.markets[MarketName("x", "BTC/USD", "1h")].history.close[-301:]
    expected = historical_risk(0.5 * (close[1:] / close[:-1] - 1.0), level=0.95)
    found = answer["methods"]["historical"]
    assert found["value_at_risk"] == pytest.approx(expected.value_at_risk, rel=1e-12)
    assert found["expected_shortfall"] == pytest.approx(expected.expected_shortfall, rel=1e-12)
    assert set(answer["methods"]) == {"historical", "gaussian", "filtered"}
    assert answer["observations"] == 300
    assert sum(answer["shortfall_contributions"].values()) == pytest.approx(expected.expected_shortfall, rel=1e-9)


def test_var_of_positions_is_told_in_money_too(bench: Bench) -> None:
    body = {"positions": {"BTC": 5_000.0, "ETH": -2_000.0}, "equity": 10_000.0}
    answer = bench.client.post("/var", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["weights"] == {"BTC/USD": 0.5, "ETH/USD": -0.2}
    found = answer.json()["methods"]["gaussian"]
    assert found["value_at_risk_money"] == pytest.approx(10_000.0 * found["value_at_risk"])


def test_of_several_time_frames_the_shortest_answers_unless_one_is_asked_for(bench: Bench) -> None:
    assert bench.client.get("/volatility/ETH").json()["timeframe"] == "1h"
    assert bench.client.get("/volatility/ETH", params={"timeframe": "1d"}).json()["timeframe"] == "1d"


def test_an_assessment_has_each_limits_reason_and_headroom(bench: Bench) -> None:
    answer = bench.assess(trade={"symbol": "BTC", "notional": 3_000.0}).json()
    assert (answer["decision"], answer["notional"], answer["halted"]) == ("reduced", 2_000.0, False)
    checks = {check["limit"]: check for check in answer["checks"]}
    assert checks["position"]["headroom"] == 2_000.0
    assert checks["gross"]["reason"] is None
    assert answer["reasons"] == [checks["position"]["reason"]]
    assert bench.assess().json()["decision"] == "allowed"


def test_limits_of_the_request_only_narrow_the_accounts(bench: Bench) -> None:
    assert bench.assess(limits={"position": 0.05}).json()["notional"] == 500.0
    bench.turn("paper", limits=RiskLimits(position=0.02))
    assert bench.assess(limits={"position": 0.9}).json()["notional"] == 200.0
    bench.turn("paper", limits=RiskLimits(position=None, concentration=None))
    assert bench.assess(limits={"position": 0.03}).json()["notional"] == 300.0


def test_two_spellings_of_a_symbol_are_one_position(bench: Bench) -> None:
    state = {"equity": 10_000.0, "positions": {"BTC/USD": 1_500.0}}
    assert bench.assess(state=state).json()["notional"] == 500.0
    both = {"equity": 10_000.0, "positions": {"BTC/USD": 1_500.0, "btc": 1.0}}
    assert error_of(bench.assess(state=both), 422, "invalid_field")["field"] == "state.positions"


@pytest.mark.parametrize(
    ("account", "fields", "reason"),
    [
        ("paper", {"halted": True}, "account 'paper' is halted by the kill switch"),
        ("*", {"halted": True}, "all accounts are halted by the kill switch"),
        (
            "paper",
            {"breaker": BreakerState(phase="open", reason="too wild")},
            "account 'paper' is stopped by the circuit breaker (open): too wild",
        ),
    ],
)
def test_what_is_halted_is_refused(bench: Bench, account: str, fields: dict[str, Any], reason: str) -> None:
    bench.turn(account, **fields)
    answer = bench.assess().json()
    assert (answer["decision"], answer["notional"], answer["halted"]) == ("refused", 0.0, True)
    assert answer["reasons"][0].startswith(reason)
    assert bench.assess(account="live-1").json()["halted"] == (account == "*")


LONG = {"equity": 10_000.0, "positions": {"BTC/USD": 600.0}}
OPEN = BreakerState(phase="open", reason="too wild")


@pytest.mark.parametrize(
    ("account", "fields", "reduces"),
    [
        ("paper", {"halted": True, "scope": "INCREASES"}, True),
        ("*", {"halted": True, "scope": "INCREASES"}, True),
        ("paper", {"breaker": OPEN}, True),
        ("paper", {"halted": True}, False),
        ("*", {"halted": True}, False),
        ("paper", {"halted": True, "breaker": OPEN}, False),
    ],
)
def test_a_way_out_passes_every_halt_but_the_kill_switch(
    bench: Bench, account: str, fields: dict[str, Any], reduces: bool
) -> None:
    bench.turn(account, **fields)
    out = bench.assess(state=LONG, trade={"symbol": "BTC", "notional": -600.0}).json()
    assert (out["decision"], out["halt"]) == (("allowed", "INCREASES") if reduces else ("refused", "ALL"))
    # Through zero is a way in: only what is held may be sold.
    through = bench.assess(state=LONG, trade={"symbol": "BTC", "notional": -1_000.0}).json()
    assert (through["decision"], through["notional"]) == (("reduced", -600.0) if reduces else ("refused", 0.0))
    more = bench.assess(state=LONG, trade={"symbol": "BTC", "notional": 100.0}).json()
    assert (more["decision"], more["notional"]) == ("refused", 0.0)


def test_a_half_open_breaker_allows_a_trial(bench: Bench) -> None:
    bench.turn("paper", breaker=BreakerState(phase="half-open", reason="too wild"))
    answer = bench.assess().json()
    assert (answer["decision"], answer["notional"], answer["halt"]) == ("reduced", 250.0, "INCREASES")


LIMITS = {
    "position": 0.1, "concentration": None, "gross": 0.5, "net": 0.5, "daily_loss": 0.02, "drawdown": 0.05,
    "orders_per_second": 2,
}  # fmt: skip


def test_limits_that_are_put_count_at_once(bench: Bench) -> None:
    body = {"actor": "ann", "reason": "smaller", "limits": LIMITS}
    answer = bench.client.put("/limits/paper", json=body).json()
    assert (answer["account"], answer["limits"]) == ("paper", LIMITS)
    assert bench.assess(trade={"symbol": "BTC", "notional": 3_000.0}).json()["notional"] == 1_000.0


@pytest.mark.parametrize(
    ("account", "body", "status", "code", "field"),
    [
        ("paper", {"actor": "a", "reason": "b", "limits": {**LIMITS, "gross": -1.0}}, 422, "invalid_field", "limits"),
        ("paper", {"actor": "a", "reason": "b", "limits": {"gross": 1.0}}, 422, "missing_field", "limits.position"),
        ("paper", {"reason": "b", "limits": LIMITS}, 422, "missing_field", "actor"),
        ("papre", {"actor": "a", "reason": "b", "limits": LIMITS}, 404, "unknown_account", "account"),
        ("*", {"actor": "a", "reason": "b", "limits": LIMITS}, 404, "unknown_account", "account"),
        ("a%00b", {"actor": "a", "reason": "b", "limits": LIMITS}, 404, "unknown_account", "account"),
    ],
)
def test_limits_that_are_none_are_refused(
    bench: Bench, account: str, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    assert error_of(bench.client.put(f"/limits/{account}", json=body), status, code)["field"] == field


def test_switches_older_than_a_second_allow_nothing_until_they_are_read_again(bench: Bench) -> None:
    bench.clock += 1.0
    assert bench.assess().status_code == 200
    bench.fails = True
    bench.halts.refresh()
    bench.clock += 0.01
    response = bench.assess()
    error = error_of(response, 503, "trading_state_unknown")
    assert response.headers["retry-after"] == "1"
    assert "1.0 s old, at most 1 s serves (ConnectionError: down)" in error["message"]
    assert bench.client.get("/ready").status_code == 503
    assert bench.client.get("/volatility/BTC").status_code == 200
    bench.fails = False
    bench.halts.refresh()
    assert bench.assess().status_code == 200
    assert bench.client.get("/ready").status_code == 200


def test_a_reading_that_took_long_is_old_when_it_ends(bench: Bench) -> None:
    read = bench.read

    def slow() -> SwitchCopy:
        found = read()
        bench.clock += 3.0
        return found

    bench.halts._source = slow
    bench.halts.refresh()
    error_of(bench.assess(), 503, "trading_state_unknown")


def test_before_the_first_copies_nothing_is_answered(view: RiskView) -> None:
    bench = Bench(view)
    error_of(bench.assess(), 503, "trading_state_unknown")
    error_of(bench.client.get("/halts"), 503, "not_ready")
    assert error_of(bench.client.get("/volatility/BTC"), 503, "not_ready")
    assert bench.client.get("/health/ready").status_code == 503
    assert "+Inf" in bench.client.get("/metrics").text


def test_a_halt_is_in_this_replicas_answers_at_once(bench: Bench) -> None:
    body = {"actor": "ann", "reason": "test"}
    answer = bench.client.post("/halt", json=body).json()
    assert (answer["account"], answer["halted"], answer["scope"], answer["phase"]) == ("*", True, "ALL", "closed")
    assert bench.assess().json()["decision"] == "refused"
    assert bench.client.post("/resume", json=body).json()["halted"] is False
    assert bench.assess().json()["decision"] == "allowed"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (psycopg.OperationalError("connection refused"), 503, "database_unavailable"),
        (psycopg.errors.LockNotAvailable("busy"), 503, "database_unavailable"),
        (psycopg.errors.QueryCanceled("slow"), 503, "database_unavailable"),
        (UnknownAccountError("account 'x' is unknown"), 404, "unknown_account"),
        (EventIdReusedError("event_id 'e' belongs to another change"), 422, "event_id_reused"),
    ],
)
def test_a_halt_that_was_not_committed_says_so(bench: Bench, failure: Exception, status: int, code: str) -> None:
    bench.write_fails = failure
    response = bench.client.post("/halt", json={"actor": "ann", "reason": "test"})
    error_of(response, status, code)
    assert ("retry-after" in response.headers) == (status == 503)


def test_halts_tell_accounts_and_limits(bench: Bench) -> None:
    bench.turn("paper", halted=True)
    answer = bench.client.get("/halts").json()
    assert [(one["account"], one["halted"]) for one in answer["accounts"]] == [
        ("*", False), ("live-1", False), ("paper", True),
    ]  # fmt: skip
    assert answer["accounts"][0]["limits"]["position"] == 0.2
    assert answer["age_seconds"] == 0.0


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("/assess", b"{", 400, "invalid_json", None),
        ("/assess", b"[]", 400, "invalid_json", None),
        ("/assess", b"[" * 3_000, 400, "invalid_json", None),
        ("/assess", b"\xff\xfe", 400, "invalid_json", None),
        ("/assess", b"{}", 422, "missing_field", "trade"),
        ("/assess", b'{"trade":{"symbol":"BTC"},"state":{"equity":1}}', 422, "missing_field", "trade.notional"),
        ("/assess", b'{"trade":{"symbol":"BTC","notional":0},"state":{"equity":1}}', 422, "invalid_field", "trade"),
        (
            "/assess",
            b'{"trade":{"symbol":"BTC","notional":NaN},"state":{"equity":1}}',
            422,
            "invalid_field",
            "trade.notional",
        ),
        (
            "/assess",
            b'{"trade":{"symbol":"BTC","notional":1e400},"state":{"equity":1}}',
            422,
            "invalid_field",
            "trade.notional",
        ),
        (
            "/assess",
            b'{"trade":{"symbol":"BTC","notional":1,"side":"buy"},"state":{"equity":1}}',
            422,
            "unknown_field",
            "trade.side",
        ),
        (
            "/assess",
            b'{"trade":{"symbol":"BTC","notional":1},"state":{"equity":1,"positions":{"ETH":1e300}}}',
            422,
            "invalid_field",
            "state.positions[...]",
        ),
        (
            "/assess",
            b'{"trade":{"symbol":"BTC","notional":1},"state":{"equity":1},"limits":{"postion":1}}',
            422,
            "unknown_field",
            "limits.postion",
        ),
        (
            "/assess",
            b'{"trade":{"symbol":"BTC","notional":1},"state":{"equity":1},"limits":{"drawdown":-1}}',
            422,
            "invalid_field",
            "limits",
        ),
        (
            "/assess",
            b'{"trade":{"symbol":"BTC","notional":1},"state":{"equity":1},"account":"papre"}',
            404,
            "unknown_account",
            "account",
        ),
        ("/assess", b" " * (BODY_LIMIT_BYTES + 1), 413, "body_too_large", "Content-Length"),
        ("/var", b"{}", 422, "missing_field", "weights"),
        ("/var", b'{"weights":{}}', 422, "invalid_field", "weights"),
        ("/var", b'{"positions":{"BTC":1}}', 422, "missing_field", "equity"),
        ("/var", b'{"weights":{"XYZ":1}}', 404, "unknown_symbol", "symbol"),
        ("/var", b'{"weights":{"BTC":1},"level":1}', 422, "invalid_field", "level"),
        ("/halt", b'{"reason":"x"}', 422, "missing_field", "actor"),
        ("/halt", b'{"actor":"  ","reason":"x"}', 422, "invalid_field", "actor"),
        ("/resume", b'{"actor":"a","reason":"x","account":"No Such"}', 422, "invalid_field", "account"),
        ("/halt", b'{"actor":"a","reason":"x","scope":"SOME"}', 422, "invalid_field", "scope"),
        ("/resume", b'{"actor":"a","reason":"x","scope":"ALL"}', 422, "unknown_field", "scope"),
    ],
)
def test_what_is_wrong_with_a_body_is_told_by_field(
    bench: Bench, path: str, body: bytes, status: int, code: str, field: str | None
) -> None:
    response = bench.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert error_of(response, status, code)["field"] == field


@pytest.mark.parametrize(
    ("path", "status", "code", "field"),
    [
        ("/volatility/XYZ", 404, "unknown_symbol", "symbol"),
        ("/volatility/BTC/USD/x", 422, "invalid_field", "symbol"),
        ("/volatility/BTC?horizon=0", 422, "invalid_field", "horizon"),
        ("/volatility/BTC?horizon=nan", 422, "invalid_field", "horizon"),
        ("/volatility/BTC?level=nan", 422, "invalid_field", "level"),
        ("/regime/FLAT", 404, "unknown_symbol", "symbol"),
        ("/regime/BTC?recent=1e3", 422, "invalid_field", "recent"),
        ("/hedge?y=BTC", 422, "missing_field", "x"),
        ("/hedge?y=BTC&x=ETH", 404, "unknown_pair", "y"),
        ("/nothing", 404, "not_found", "path"),
        ("/assess", 405, "method_not_allowed", "method"),
    ],
)
def test_what_is_wrong_with_a_question_is_told(bench: Bench, path: str, status: int, code: str, field: str) -> None:
    assert error_of(bench.client.get(path), status, code)["field"] == field


def test_metrics_count_by_route_and_outcome(bench: Bench) -> None:
    bench.assess()
    bench.client.get("/volatility/XYZ")
    bench.turn("*", halted=True)
    bench.turn("paper", breaker=OPEN)
    text = bench.client.get("/metrics").text
    assert 'alpharay_risk_requests_total{outcome="allowed",route="assess"} 1.0' in text
    assert 'alpharay_risk_requests_total{outcome="unknown_symbol",route="volatility"} 1.0' in text
    assert "alpharay_risk_halted_accounts 1.0" in text
    assert "alpharay_risk_stopped_breakers 1.0" in text


def test_status_and_documents_name_what_there_is(bench: Bench) -> None:
    status = bench.client.get("/status").json()
    assert status["models"]["problems"] == ["one problem"]
    assert len(status["markets"]) == 4
    document = bench.client.get("/openapi.json").json()
    assert {"/assess", "/halt", "/volatility/{symbol}"} <= set(document["paths"])
    assert "AssessRequest" in document["components"]["schemas"]
    assert bench.client.get("/docs").status_code == 200
