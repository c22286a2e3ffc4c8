"""The HTTP side with a fixed snapshot: no Ray, no server, no database."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest
from starlette.testclient import TestClient

from alpharay.bus.background_publisher import BackgroundPublisher
from alpharay.bus.messages import SignalMessage
from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.market.candles import Candles
from alpharay.signals.answer import Limits
from alpharay.signals.evidence import ScoredStrategy
from alpharay.signals.request import read_request
from alpharay.signals.snapshot import EMPTY, Snapshot, market_view, snapshot_of
from alpharay.signals.trading_state import TradingState
from alpharay.store.remembered_answers import MemoryUnavailableError, RememberedAnswers
from alpharay.strategies.catalogue import strategy_named
from benchmarks.signal_data import discovered, generated_candles
from serve_apps.background_copy import BackgroundCopy
from serve_apps.service_log import SERVICE_LOGGER
from serve_apps.signal_api import signal_api
from serve_apps.signal_refresh import SnapshotRefresher
from serve_apps.signal_service import SignalService
from serve_apps.signal_stream import StreamPlaces

HOUR_MS = 3_600_000
END_MS = 480_000 * HOUR_MS
NAMES = ("MACD_CROSSOVER", "PARABOLIC_SAR", "DONCHIAN_BREAKOUT")


def scored(candles: Candles, name: str) -> ScoredStrategy:
    strategy = strategy_named(name)
    found = discovered(strategy, candles)
    return ScoredStrategy(
        strategy_id=found.strategy_id,
        strategy=strategy,
        parameters=found.parameters,
        status="CANDIDATE",
        in_sample=found.in_sample,
        out_of_sample=found.out_of_sample,
        start_time=found.start_time,
        train_end_time=found.train_end_time,
        end_time=found.end_time,
    )


@pytest.fixture(scope="module")
def candles() -> Candles:
    return generated_candles("SOL/USD", bars=500, end_ms=END_MS)


@pytest.fixture(scope="module")
def snapshot(candles: Candles) -> Snapshot:
    bare = generated_candles("SOLANA/USD", bars=3, end_ms=END_MS, timeframe="1d")
    return snapshot_of([market_view(candles, [scored(candles, name) for name in NAMES]), market_view(bare, [])])


@dataclass
class Bench:
    """The service with everything around it replaced: what a test can turn."""

    now_ms: int = END_MS + 60_000
    source: Callable[[], Snapshot] = lambda: EMPTY
    messages: list[SignalMessage] = field(default_factory=list)
    state: TradingState = field(default_factory=lambda: TradingState(account="paper"))
    monotonic_s: float = 0.0

    def __post_init__(self) -> None:
        self.refresher = SnapshotRefresher(lambda: self.source())
        self.trading: BackgroundCopy[TradingState] = BackgroundCopy(
            lambda: self.state, TradingState(account="paper"), name="trading", monotonic=lambda: self.monotonic_s
        )
        assert self.trading.refresh()
        self.answers = RememberedAnswers(None)
        self.service = SignalService(
            self.refresher,
            self.trading,
            ExchangeClock(None, wall_clock_ms=lambda: self.now_ms),
            self.answers,
            Recorder(self.messages),
            limits=Limits(data_age_timeframes=5.0, price_deviation=0.5),
            default_quote="USD",
            now_ms=lambda: self.now_ms,
        )
        self.places = StreamPlaces(longest_s=0.01)
        api = signal_api(self.service, versions={"alpharay": "1"}, places=self.places)
        self.client = TestClient(api, raise_server_exceptions=False)

    def ask(self, body: Any = None, **fields: Any) -> httpx.Response:
        return self.client.post("/generate_signal", json=fields if body is None else body)


class Recorder(BackgroundPublisher):
    """A publisher without a broker."""

    def __init__(self, messages: list[SignalMessage]) -> None:
        self._messages = messages
        self.published = self.dropped = self.failures = 0

    def offer(self, topic: str, message: msgspec.Struct, *, key: str, correlation_id: str) -> bool:
        assert topic == "signals"
        assert isinstance(message, SignalMessage)
        assert key == message.symbol
        assert correlation_id == message.request_id
        self._messages.append(message)
        return True

    @property
    def waiting(self) -> int:
        return 0


@pytest.fixture
def bench(snapshot: Snapshot) -> Bench:
    bench = Bench(source=lambda: snapshot)
    assert bench.refresher.refresh()
    return bench


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"code", "field", "value", "message", "hint"}
    assert error["code"] == code
    return error


def test_a_signal_names_action_confidence_strategies_and_candle(bench: Bench, candles: Candles) -> None:
    close = float(candles.close[-1])
    response = bench.client.post(
        "/generate_signal", json={"symbol": "SOL", "price": close}, headers={"X-Request-ID": "request-7"}
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer["action"] in ("BUY", "SELL", "HOLD")
    assert 0.0 <= answer["confidence"] <= 1.0
    assert (answer["symbol"], answer["exchange"], answer["timeframe"]) == ("SOL/USD", "generated", "1h")
    assert (answer["price"], answer["candle_close"]) == (close, close)
    assert answer["data_age_seconds"] == 60.0
    assert answer["request_id"] == "request-7"
    assert len(answer["signal_id"]) == 32
    assert {one["name"] for one in answer["strategies"]} == set(NAMES)
    weights = [one["weight"] for one in answer["strategies"]]
    assert weights == sorted(weights, reverse=True)
    assert all(one["vote"] in ("LONG", "FLAT", "SHORT") for one in answer["strategies"])


def test_every_component_says_what_it_thinks_how_much_it_counts_and_how_old_its_data_are(
    bench: Bench, candles: Candles
) -> None:
    bench.monotonic_s = 0.25
    answer = bench.ask(symbol="SOL", price=float(candles.close[-1])).json()
    said = {one["name"]: one for one in answer["components"]}
    assert list(said) == ["strategies", "model", "market_context", "size", "risk"]
    assert sum(one["weight"] for one in said.values()) == pytest.approx(1.0)
    for one in said.values():
        assert set(one) == {"name", "score", "weight", "confidence", "data_age_seconds", "why", "flags"}
        assert -1.0 <= one["score"] <= 1.0
        assert 0.0 <= one["confidence"] <= 1.0
        assert one["data_age_seconds"] == (0.25 if one["name"] == "risk" else 60.0)
        assert one["why"]
    assert said["model"]["flags"] == ["abstains", "no_model"]
    assert "sentiment_not_available" in said["market_context"]["flags"]
    assert said["model"]["weight"] == said["size"]["weight"] == said["risk"]["weight"] == 0.0
    assert answer["suggested_fraction"] >= 0.0


def test_a_halt_makes_every_answer_hold_with_its_reason_and_a_resume_ends_it(bench: Bench, candles: Candles) -> None:
    close = float(candles.close[-1])
    before = bench.ask(symbol="SOL", price=close).json()
    bench.state = TradingState(account="paper", halts=("all accounts are halted by the kill switch",))
    assert bench.trading.refresh()
    halted = bench.ask(symbol="SOL", price=close).json()
    assert (halted["action"], halted["confidence"], halted["suggested_fraction"]) == ("HOLD", 0.0, 0.0)
    assert halted["reason"].startswith("risk vetoes: all accounts are halted by the kill switch")
    assert halted["components"][-1]["flags"] == ["veto"]
    assert bench.messages[-1].action == "HOLD"
    status = bench.client.get("/status").json()
    assert status["trading"]["halts"] == ["all accounts are halted by the kill switch"]
    assert {one["action"] for one in status["markets"]} == {"HOLD"}
    bench.state = TradingState(account="paper")
    assert bench.trading.refresh()
    after = bench.ask(symbol="SOL", price=close).json()
    assert (after["action"], after["confidence"]) == (before["action"], before["confidence"])


def test_without_the_state_of_trading_risk_abstains_and_a_halt_stays_in_force(bench: Bench, candles: Candles) -> None:
    close = float(candles.close[-1])
    bench.monotonic_s = 1.5
    risk = bench.ask(symbol="SOL", price=close).json()["components"][-1]
    assert (risk["flags"], risk["data_age_seconds"]) == (["abstains", "degraded", "trading_state_unknown"], 1.5)
    bench.state = TradingState(account="paper", halts=("halted",))
    assert bench.trading.refresh()
    bench.monotonic_s = 100.0
    halted = bench.ask(symbol="SOL", price=close).json()
    assert halted["action"] == "HOLD"
    assert halted["components"][-1]["flags"] == ["veto", "degraded", "trading_state_unknown"]


def test_a_market_without_strategies_is_hold_with_no_confidence(bench: Bench) -> None:
    answer = bench.ask(symbol="SOLANA/USD", price=100.0).json()
    assert (answer["action"], answer["confidence"], answer["strategies"]) == ("HOLD", 0.0, [])
    assert "no strategy" in answer["reason"]


def test_each_answer_is_published_once(bench: Bench, candles: Candles) -> None:
    close = float(candles.close[-1])
    answers = [bench.ask(symbol="SOL", price=close).json() for _ in range(3)]
    assert [one.signal_id for one in bench.messages] == [one["signal_id"] for one in answers]
    assert bench.messages[0].candle_time == int(candles.open_time[-1])
    assert len(bench.messages[0].strategy_ids) == len(NAMES)
    assert bench.messages[0].exchange_time == bench.now_ms
    sides = {one["strategy_id"]: one["vote"] for one in answers[0]["strategies"] if one["vote"] != "FLAT"}
    said = dict(zip(bench.messages[0].strategy_ids, bench.messages[0].strategy_sides or (), strict=True))
    assert {name: "LONG" if said[name] == 1 else "SHORT" for name in sides} == sides


def test_the_same_request_under_one_id_has_one_answer_and_one_message(bench: Bench, candles: Candles) -> None:
    asked = {"symbol": "SOL", "price": float(candles.close[-1]), "signal_id": "mine-1"}
    first = bench.ask(asked)
    bench.now_ms += 3 * HOUR_MS
    second = bench.ask(asked)
    assert second.content == first.content
    assert first.json()["signal_id"] == "mine-1"
    assert second.headers["idempotent-replayed"] == "true"
    assert len(bench.messages) == 1


def test_an_answer_that_an_older_version_has_kept_is_given_again(bench: Bench, candles: Candles) -> None:
    asked = {"symbol": "SOL", "price": float(candles.close[-1]), "signal_id": "kept"}
    request = msgspec.json.encode(read_request(json.dumps(asked).encode(), "USD"))
    old = b'{"action":"BUY","confidence":0.1,"symbol":"SOL/USD"}'
    asyncio.run(bench.answers.remember("kept", request, old))
    again = bench.ask(asked)
    assert (again.status_code, again.content) == (200, old)


def test_an_id_that_answered_another_request_is_refused(bench: Bench, candles: Candles) -> None:
    close = float(candles.close[-1])
    bench.ask(symbol="SOL", price=close, signal_id="mine-2")
    error = error_of(bench.ask(symbol="SOL", price=close * 1.01, signal_id="mine-2"), 422, "signal_id_reused")
    assert (error["field"], error["value"]) == ("signal_id", "mine-2")


def test_without_the_memory_of_answers_only_requests_with_an_id_are_refused(
    bench: Bench, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(name: str) -> None:
        raise MemoryUnavailableError("down")

    monkeypatch.setattr(bench.answers, "recall", fail)
    close = float(candles.close[-1])
    response = bench.ask(symbol="SOL", price=close, signal_id="mine-3")
    error_of(response, 503, "memory_unavailable")
    assert response.headers["retry-after"] == "1"
    assert bench.ask(symbol="SOL", price=close).status_code == 200


def test_an_unknown_symbol_names_near_ones(bench: Bench) -> None:
    error = error_of(bench.ask(symbol="SOLL", price=100.0), 404, "unknown_symbol")
    assert (error["field"], error["value"]) == ("symbol", "SOLL/USD")
    assert "SOL/USD" in error["hint"]


@pytest.mark.parametrize(("field", "value"), [("timeframe", "5m"), ("exchange", "kraken")])
def test_a_market_that_is_not_stored_names_those_that_are(bench: Bench, field: str, value: str) -> None:
    error = error_of(bench.ask({"symbol": "SOL", "price": 50.0, field: value}), 404, "unknown_market")
    assert (error["field"], error["value"]) == (field, value)
    assert "generated 1h" in error["message"]


def test_data_of_five_time_frames_is_fresh_and_older_is_stale(bench: Bench, candles: Candles) -> None:
    close = float(candles.close[-1])
    bench.now_ms = END_MS + 5 * HOUR_MS
    assert bench.ask(symbol="SOL", price=close).status_code == 200
    bench.now_ms += 1
    response = bench.ask(symbol="SOL", price=close)
    error = error_of(response, 409, "stale_data")
    assert (error["field"], error["value"]) == ("symbol", "SOL/USD")
    assert response.headers["retry-after"] == "60"
    assert bench.messages[-1].symbol == "SOL/USD"
    assert len(bench.messages) == 1


def test_a_price_far_from_the_last_close_names_both(bench: Bench, candles: Candles) -> None:
    close = float(candles.close[-1])
    assert bench.ask(symbol="SOL", price=close * 1.49).status_code == 200
    for price in (close * 1.51, close * 0.49, 1e300):
        error = error_of(bench.ask(symbol="SOL", price=price), 422, "price_out_of_range")
        assert error["field"] == "price"
        assert str(close) in error["message"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b"", {}, 400, "invalid_json"),
        (b'{"symbol":"SOL","price":-1}', {}, 422, "invalid_field"),
        (b'{"symbol":"SOL","price":NaN}', {}, 422, "invalid_field"),
        (b'{"symbol":"SOL"}', {}, 422, "missing_field"),
        (b'{"symbol":"SOL","price":1,"extra":1}', {}, 422, "unknown_field"),
        (b"symbol=SOL", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (b"x" * 5000, {}, 413, "body_too_large"),
        (b"{}", {"Content-Length": "99999999999"}, 413, "body_too_large"),
        (b"{}", {"Content-Length": "-1"}, 413, "body_too_large"),
    ],
)
def test_a_bad_request_has_its_own_code(
    bench: Bench, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    sent = {"Content-Type": "application/json", **headers}
    error_of(bench.client.post("/generate_signal", content=body, headers=sent), status, code)


def test_a_body_sent_in_parts_without_a_length_is_limited_too(bench: Bench) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    response = bench.client.post("/generate_signal", content=parts(), headers={"Content-Type": "application/json"})
    error_of(response, 413, "body_too_large")


def test_a_wrong_method_and_a_wrong_path_have_the_same_shape(bench: Bench) -> None:
    response = bench.client.get("/generate_signal")
    assert error_of(response, 405, "method_not_allowed")["value"] == "GET"
    assert response.headers["allow"] == "POST"
    error_of(bench.client.get("/nowhere"), 404, "not_found")


def test_a_failure_of_the_service_is_a_500_of_the_same_shape_without_details(
    bench: Bench, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("password=secret")

    monkeypatch.setattr(bench.refresher, "held", None)
    monkeypatch.setattr("serve_apps.signal_service.find_market", fail)
    response = bench.ask(symbol="SOL", price=float(candles.close[-1]))
    error_of(response, 500, "internal_error")
    assert "secret" not in response.text


def test_before_the_first_snapshot_it_is_alive_but_not_ready() -> None:
    def unreadable() -> Snapshot:
        raise ConnectionError("the database is down")

    bench = Bench(source=unreadable)
    assert not bench.refresher.refresh()
    for path in ("/ready", "/health/ready"):
        response = bench.client.get(path)
        assert response.status_code == 503
        assert "database is down" in response.json()["last_error"]
    response = bench.ask(symbol="SOL", price=1.0)
    error_of(response, 503, "not_ready")
    assert response.headers["retry-after"] == "2"


def test_health_status_and_metrics_tell_the_state(bench: Bench, candles: Candles) -> None:
    bench.refresher.start()
    try:
        for path in ("/health", "/health/live", "/ready", "/health/ready"):
            assert bench.client.get(path).status_code == 200
    finally:
        bench.refresher.stop()
    assert bench.client.get("/health").status_code == 503
    bench.ask(symbol="SOL", price=float(candles.close[-1]))
    bench.ask(symbol="SOL", price=-1)
    status = bench.client.get("/status").json()
    assert status["symbols"] == ["SOL/USD", "SOLANA/USD"]
    assert status["strategies"] == len(NAMES)
    assert status["snapshot"]["refresh_failures"] == 0
    assert [one["fresh"] for one in status["markets"]] == [True, True]
    metrics = bench.client.get("/metrics").text
    assert 'alpharay_signal_requests_total{outcome="invalid_field"} 1.0' in metrics
    assert "alpharay_signal_request_seconds_count 2.0" in metrics
    assert f"alpharay_signal_strategies {len(NAMES)}.0" in metrics


def test_each_request_writes_one_line_with_its_id(
    bench: Bench, candles: Candles, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger(SERVICE_LOGGER)
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, SERVICE_LOGGER):
            bench.client.post(
                "/generate_signal",
                json={"symbol": "SOL", "price": float(candles.close[-1])},
                headers={"X-Request-ID": "id-1"},
            )
            bench.client.post("/generate_signal", json={"symbol": "SOL", "price": 0}, headers={"X-Request-ID": "id-2"})
    finally:
        logger.removeHandler(caplog.handler)
    told = [vars(record) for record in caplog.records if record.name == SERVICE_LOGGER]
    assert [one["request_id"] for one in told] == ["id-1", "id-2"]
    assert told[0]["symbol"] == "SOL/USD"
    assert told[0]["latency_ms"] >= 0.0
    assert (told[1]["code"], told[1]["field"]) == ("invalid_field", "price")


def test_the_documents_name_the_fields_and_load_nothing_from_elsewhere(bench: Bench) -> None:
    document = bench.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert set(schemas["SignalRequest"]["properties"]) >= {"symbol", "price", "timeframe", "exchange", "signal_id"}
    operation = document["paths"]["/generate_signal"]["post"]
    assert {"200", "400", "404", "409", "422", "503"} <= set(operation["responses"])
    references = set(find_references(document))
    assert references <= {f"#/components/schemas/{name}" for name in schemas}
    page = bench.client.get("/docs").text
    assert "/generate_signal" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page


def find_references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for item in value.values():
            yield from find_references(item)
    elif isinstance(value, list):
        for item in value:
            yield from find_references(item)


def test_requests_at_once_under_one_id_agree(bench: Bench, candles: Candles) -> None:
    body = json.dumps({"symbol": "SOL", "price": float(candles.close[-1]), "signal_id": "race"}).encode()

    async def ask_all() -> set[bytes]:
        answers = await asyncio.gather(*(bench.service.generate(body, f"r{place}") for place in range(20)))
        return {one.body for one in answers}

    assert len(asyncio.run(ask_all())) == 1
    assert len(bench.messages) == 1
