"""The routes under /analytics with a fixed record: no Ray, no server, no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
import schemathesis
from fastapi import FastAPI
from hostile_requests import check_described, check_refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from starlette.testclient import TestClient

from alpharay.analytics.decisions import DecisionRow, MarketName, StrategySet, decisions_of
from alpharay.analytics.record import AppliedTerms, SignalRecord
from alpharay.store.signal_outcomes import StoredOutcome
from alpharay.store.signals import StoredSignal
from serve_apps.background_copy import BackgroundCopy
from serve_apps.signal_analytics import SignalAnalytics
from serve_apps.signal_analytics_api import ANALYTICS_PATHS, add_analytics
from serve_apps.web.documents import add_documents
from serve_apps.web.error_routes import add_error_routes

HOUR = 3_600_000
SOL, BTC = MarketName("binance", "SOL/USD", "1h"), MarketName("binance", "BTC/USD", "1h")
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def record_of(returns: list[float]) -> SignalRecord:
    rows = [
        DecisionRow(
            market=SOL if place % 2 else BTC,
            strategy_set=StrategySet(("first", "second"), (1, -1)),
            side=1 if place < 3 else -1,
            confidence=0.1 * place,
            entry_time=place * 50 * HOUR,
            exit_time=(place * 50 + 24) * HOUR,
            net_return=net,
            signals=place + 1,
        )
        for place, net in enumerate(returns)
    ]
    endings = {(SOL, "BUY", "HORIZON"): 7, (SOL, "BUY", "WAITING"): 2, (BTC, "HOLD", "NONE"): 9}
    return SignalRecord(
        days=30.0,
        decisions=decisions_of(rows),
        endings=endings,
        terms={AppliedTerms(24, 0.001, 0.0002): len(rows)},
        strategy_names={"first": "MACD_CROSSOVER"},
    )


@dataclass
class Bench:
    record: SignalRecord = field(default_factory=lambda: record_of([0.02, -0.01, 0.03, 0.01, -0.02]))
    stored: Callable[[], Any] = lambda: (None, None)
    failing: bool = False

    def __post_init__(self) -> None:
        self.copy = BackgroundCopy(self._source, SignalRecord(days=30.0), name="test")
        self.analytics = SignalAnalytics(self.copy, lambda _: self.stored(), default_quote="USD")
        self.api = FastAPI(docs_url=None, redoc_url=None)
        self.registry = CollectorRegistry()
        add_analytics(self.api, self.analytics, self.registry)
        add_error_routes(self.api, ANALYTICS_PATHS)
        add_documents(self.api, {}, ANALYTICS_PATHS)
        self.client = TestClient(self.api, raise_server_exceptions=False)

    def _source(self) -> SignalRecord:
        if self.failing:
            raise ConnectionError("the database is away")
        return self.record

    def get(self, path: str, **query: object) -> httpx.Response:
        return self.client.get(f"/analytics/{path}", params=query)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.copy.refresh()
    return bench


def refused(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert error["code"] == code
    return error


def test_the_summary_says_how_many_how_they_ended_and_how_good_they_were(bench: Bench) -> None:
    answer = bench.get("summary").json()
    assert answer["signals"] == {"BUY": 9, "HOLD": 9}
    assert answer["endings"] == {"HORIZON": 7, "NONE": 9, "WAITING": 2}
    assert answer["terms"] == [{"horizon": 24, "fee": 0.001, "slippage": 0.0002, "decisions": 5}]
    told = answer["performance"]
    assert (told["signals"], told["decisions"], told["independent"]) == (15, 5, 5.0)
    assert told["hit_rate"]["value"] == 0.6
    assert 0.0 < told["hit_rate"]["low"] < 0.6 < told["hit_rate"]["high"] < 1.0
    assert told["mean_return"]["value"] == pytest.approx(0.006)
    assert {action: part["decisions"] for action, part in answer["by_action"].items()} == {"BUY": 3, "SELL": 2}
    assert answer["record_age_seconds"] >= 0.0
    assert answer["last_error"] is None


def test_markets_and_strategies_have_their_own_figures(bench: Bench) -> None:
    markets = bench.get("by-symbol").json()["markets"]
    assert [(one["symbol"], one["performance"]["decisions"]) for one in markets] == [("BTC/USD", 3), ("SOL/USD", 2)]
    strategies = bench.get("by-strategy").json()["strategies"]
    # Each answers for what it asked for: the first for the BUYs, the second for the SELLs.
    assert [(one["strategy_id"], one["name"], one["performance"]["decisions"]) for one in strategies] == [
        ("first", "MACD_CROSSOVER", 3),
        ("second", None, 2),
    ]
    assert [market["symbol"] for market in strategies[0]["markets"]] == ["BTC/USD", "SOL/USD"]
    short = bench.get("by-strategy", limit=1).json()
    assert (len(short["strategies"]), short["strategies_known"]) == (1, 2)


def test_the_curve_has_as_many_bins_as_asked_for(bench: Bench) -> None:
    curve = bench.get("calibration", bins=4).json()["calibration"]
    assert [part["decisions"] for part in curve["bins"]] == [3, 2, 0, 0]
    assert curve["bins"][3]["hit_rate"] == {"value": None, "low": None, "high": None}
    assert 0.0 <= curve["brier_score"] <= 1.0


def test_one_market_is_chosen_by_a_bare_symbol(bench: Bench) -> None:
    answer = bench.get("summary", symbol="sol").json()
    assert answer["performance"]["decisions"] == 2
    assert answer["signals"] == {"BUY": 9}
    assert bench.get("summary", exchange="binance", timeframe="1h").json()["performance"]["decisions"] == 5


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "named"),
    [
        ("summary", {"symbol": "DOGE"}, 404, "unknown_market", "symbol"),
        ("summary", {"timeframe": "1d"}, 404, "unknown_market", "timeframe"),
        ("by-symbol", {"symbol": "no symbol"}, 422, "invalid_field", "symbol"),
        ("by-strategy", {"limit": "many"}, 422, "invalid_field", "limit"),
        ("calibration", {"bins": 0}, 422, "invalid_field", "bins"),
        ("signals/none-such", {}, 404, "unknown_signal", "signal_id"),
        ("signals/" + "x" * 300, {}, 404, "unknown_signal", "signal_id"),
        ("signals/%00", {}, 404, "unknown_signal", "signal_id"),
    ],
)
def test_what_is_unknown_or_wrong_is_named(
    bench: Bench, path: str, query: dict[str, object], status: int, code: str, named: str
) -> None:
    assert refused(bench.get(path, **query), status, code)["field"] == named


def test_before_the_first_record_it_is_not_ready() -> None:
    bench = Bench(failing=True)
    bench.copy.refresh()
    response = bench.get("summary")
    refused(response, 503, "not_ready")
    assert "Retry-After" in response.headers


def test_the_last_record_serves_on_and_says_what_is_wrong(bench: Bench) -> None:
    bench.failing = True
    bench.copy.refresh()
    answer = bench.get("summary").json()
    assert answer["performance"]["decisions"] == 5
    assert "the database is away" in answer["last_error"]


def test_a_new_record_has_new_answers(bench: Bench) -> None:
    assert bench.get("summary").json()["performance"]["decisions"] == 5
    bench.record = record_of([0.02])
    bench.copy.refresh()
    assert bench.get("summary").json()["performance"]["decisions"] == 1


def test_no_signals_at_all_have_an_answer() -> None:
    bench = Bench(record=SignalRecord(days=30.0))
    bench.copy.refresh()
    answer = bench.get("summary").json()
    assert (answer["signals"], answer["performance"]["hit_rate"]["value"]) == ({}, None)
    assert bench.get("by-symbol").json()["markets"] == bench.get("by-strategy").json()["strategies"] == []
    assert bench.get("calibration").json()["calibration"]["brier_score"] is None


def stored(action: str) -> StoredSignal:
    return StoredSignal(
        signal_id="mine", request_id="r", correlation_id="c", exchange="binance", symbol="SOL/USD", timeframe="1h",
        action=action, confidence=0.5, price=100.0, candle_time=0, candle_close=100.0, strategy_ids=["first"],
        strategy_sides=[1], exchange_time=HOUR, generated_at=HOUR, stored_at=NOW, settled=False,
    )  # fmt: skip


OUTCOME = StoredOutcome(
    ending="OPPOSITE", entry_time=2 * HOUR, entry_price=100.0, exit_time=5 * HOUR, exit_price=102.0, gross_return=0.02,
    net_return=0.0176, horizon=24, fee=0.001, slippage=0.0002, worked_out_at=NOW,
)  # fmt: skip


@pytest.mark.parametrize(
    ("action", "outcome", "ending"), [("HOLD", None, "NONE"), ("BUY", None, "WAITING"), ("BUY", OUTCOME, "OPPOSITE")]
)
def test_a_signal_and_what_became_of_it(bench: Bench, action: str, outcome: StoredOutcome | None, ending: str) -> None:
    bench.stored = lambda: (stored(action), outcome)
    answer = bench.get("signals/mine").json()
    assert answer["ending"] == ending
    assert answer["signal"]["correlation_id"] == "c"
    assert (answer["outcome"] or {}).get("net_return") == (None if outcome is None else 0.0176)


def test_a_signal_cannot_be_looked_up_without_the_database(bench: Bench) -> None:
    def away() -> Any:
        raise psycopg.OperationalError("connection refused")

    bench.stored = away
    response = bench.get("signals/mine")
    refused(response, 503, "database_unavailable")
    assert response.headers["Retry-After"] == "2"
    assert bench.get("summary").status_code == 200


def test_answers_are_counted_by_route_and_outcome(bench: Bench) -> None:
    bench.get("summary")
    bench.get("calibration", bins="x")
    text = generate_latest(bench.registry).decode()
    assert 'alpharay_analytics_requests_total{outcome="ok",route="summary"} 1.0' in text
    assert 'alpharay_analytics_requests_total{outcome="invalid_field",route="calibration"} 1.0' in text
    assert "alpharay_analytics_decisions 5.0" in text


def test_what_the_document_describes_is_what_is_answered() -> None:
    bench = Bench(stored=lambda: (stored("BUY"), OUTCOME))
    bench.copy.refresh()
    check_described(bench.api, schemathesis.GenerationMode.POSITIVE, examples=15, least=5)


texts = st.text(max_size=40) | st.sampled_from(["SOL", "BTC/USD", "1h", "-1", "1e400", "nan", "\x00", "9" * 400])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["summary", "by-symbol", "by-strategy", "calibration"]),
    st.dictionaries(st.sampled_from(["symbol", "exchange", "timeframe", "limit", "bins"]), texts),
)
def test_any_query_is_answered_or_refused_in_one_shape(path: str, query: dict[str, str]) -> None:
    check_refusal(HOSTILE.get(path, **query))


HOSTILE = Bench()
HOSTILE.copy.refresh()


def test_a_record_without_some_sets_still_answers(bench: Bench) -> None:
    decisions = replace(bench.record.decisions, sets=(StrategySet(()),))
    bench.record = replace(bench.record, decisions=decisions)
    bench.copy.refresh()
    assert bench.get("by-strategy").json()["strategies"] == []
