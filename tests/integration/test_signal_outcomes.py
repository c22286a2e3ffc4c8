"""Signals on real Kafka and PostgreSQL: stored once, worked out when the candles come, told over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from candle_stream import delete_topic, new_topic
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient
from typer.testing import CliRunner

import alpharay.cli.database
import ray_jobs.outcomes
from alpharay.analytics.outcome import OutcomeTerms, signal_outcomes
from alpharay.bus.dead_letters import read_dead_letters
from alpharay.bus.messages import SignalMessage
from alpharay.bus.producer import MessageProducer
from alpharay.cli import signals
from alpharay.market.candles import Candles
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.migrate import migrate
from alpharay.store.signal_record import load_signal_record
from alpharay.store.signals import SignalWriter, newest_signals, prune_signals, stored_signal
from alpharay.store.topic_sink import SinkStatus, TopicSink
from benchmarks.signal_data import generated_candles, store_candles
from ray_jobs.outcomes import app
from serve_apps.signal_analytics import SignalAnalytics, signal_analytics
from serve_apps.signal_analytics_api import add_analytics

HOUR = 3_600_000
END_MS = 480_000 * HOUR
BARS = 60


@dataclass
class Bench:
    """A database of its own, a topic of its own, and candles to come."""

    servers: str
    topic: str
    url: str
    pool: DatabasePool
    producer: MessageProducer

    def publish(self, *signals: SignalMessage | bytes, correlation_id: str = "correlation-1") -> None:
        for one in signals:
            value = one if isinstance(one, bytes) else msgspec.json.encode(one)
            self.producer.publish_bytes(self.topic, value, key="SOL/USD", correlation_id=correlation_id)
        self.producer.flush()

    def consume(self) -> SinkStatus:
        sink = TopicSink(SignalWriter(self.topic), self.pool, self.servers)
        try:
            sink.drain(60)
            return sink.status
        finally:
            sink.close()

    def forget_offsets(self) -> None:
        """Let every message come again, as after a crash between two systems."""
        with self.pool.connection() as connection:
            connection.execute("DELETE FROM consumer_offsets")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.pool.connection() as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]


@pytest.fixture
def bench(stack: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    migrate(database)
    for module in (ray_jobs.outcomes, alpharay.cli.database):
        monkeypatch.setattr(module, "settings", lambda: stack.settings(database))
    topic = new_topic(stack.kafka_bootstrap_servers)
    try:
        with (
            open_pool(database, application="test", max_connections=3) as pool,
            MessageProducer(stack.kafka_bootstrap_servers, client_id="test") as producer,
        ):
            yield Bench(stack.kafka_bootstrap_servers, topic, database, pool, producer)
    finally:
        delete_topic(stack.kafka_bootstrap_servers, topic)


@pytest.fixture(scope="module")
def candles() -> Candles:
    return generated_candles("SOL/USD", bars=BARS, end_ms=END_MS)


def signal(candles: Candles, name: str, bar: int, action: str, *, minutes: int = 30, **fields: Any) -> SignalMessage:
    """Return a signal made in the bar after the candle `bar`, on which it rests."""
    values: dict[str, Any] = {
        "signal_id": name,
        "request_id": f"request-{name}",
        "exchange": candles.exchange,
        "symbol": candles.symbol,
        "timeframe": candles.timeframe,
        "action": action,
        "confidence": 0.6,
        "price": 100.0,
        "candle_time": int(candles.open_time[bar]),
        "candle_close": float(candles.close[bar]),
        "strategy_ids": ("first", "second"),
        "generated_at": END_MS,
        "exchange_time": int(candles.open_time[bar]) + HOUR + minutes * 60_000,
        "strategy_sides": (1, -1),
    }
    return SignalMessage(**{**values, **fields})


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def http(bench: Bench) -> tuple[TestClient, SignalAnalytics]:
    analytics = signal_analytics(bench.pool, default_quote="USD")
    api = FastAPI()
    add_analytics(api, analytics, CollectorRegistry())
    return TestClient(api), analytics


def test_from_kafka_to_analytics(bench: Bench, candles: Candles, tmp_path: Path) -> None:
    assert run() == {"markets": [], "pruned": 0}
    said = [
        signal(candles, "buy", 9, "BUY"),
        signal(candles, "hold", 10, "HOLD"),
        signal(candles, "sell", 19, "SELL"),
        signal(candles, "late", 39, "BUY"),
        signal(candles, "waits", 58, "BUY"),
    ]
    # The same candle, asked twice: one decision.
    polled = signal(candles, "again", 9, "BUY", minutes=50)
    bench.publish(*said, polled, said[0])
    assert (bench.consume().written, bench.consume().written) == (7, 0)
    bench.forget_offsets()
    assert bench.consume().refused == 0
    assert bench.rows("SELECT count(*), count(DISTINCT signal_id) FROM signals") == [(6, 6)]
    with bench.pool.connection() as connection:
        kept = stored_signal(connection, "buy")
    assert kept is not None
    assert (kept.request_id, kept.correlation_id) == ("request-buy", "correlation-1")
    assert (kept.strategy_ids, kept.strategy_sides) == (["first", "second"], [1, -1])

    # Without candles nothing is known; with those before the exits neither.
    assert run()["markets"][0]["stored"] == 0
    store_candles(bench.url, candles.slice(0, 20))
    assert run()["markets"][0] == {
        "exchange": "generated", "symbol": "SOL/USD", "timeframe": "1h", "stored": 0, "settled": 0, "waiting": 4,
    }  # fmt: skip
    store_candles(bench.url, candles.slice(20, 30))
    assert run()["markets"][0]["stored"] == 2
    store_candles(bench.url, candles.slice(30, BARS))
    assert run("--horizon", "12")["markets"][0]["stored"] == 4

    terms = OutcomeTerms(horizon=12)
    times = [one.exchange_time for one in said]
    expected = signal_outcomes(times, [1, 0, -1, 1, 1], candles, terms)
    stored = bench.rows(
        "SELECT signal_id, ending, entry_time, exit_time, net_return FROM signal_outcomes ORDER BY signal_id"
    )
    opened = candles.open_time
    assert stored == [
        ("again", "OPPOSITE", opened[11], opened[21], expected.net_return[0]),
        ("buy", "OPPOSITE", opened[11], opened[21], expected.net_return[0]),
        ("late", "HORIZON", opened[41], opened[53], expected.net_return[3]),
        ("sell", "HORIZON", opened[21], opened[33], expected.net_return[2]),
    ]
    # The same signals and candles again change nothing, not even the time of a row.
    before = bench.rows("SELECT signal_id, worked_out_at FROM signal_outcomes ORDER BY signal_id")
    assert run("--horizon", "12")["markets"][0]["stored"] == 0
    assert bench.rows("SELECT signal_id, worked_out_at FROM signal_outcomes ORDER BY signal_id") == before

    client, analytics = http(bench)
    assert client.get("/analytics/summary").status_code == 503
    assert analytics.record.refresh()
    answer = client.get("/analytics/summary?symbol=SOL").json()
    assert answer["signals"] == {"BUY": 4, "HOLD": 1, "SELL": 1}
    assert answer["endings"] == {"HORIZON": 2, "NONE": 1, "OPPOSITE": 2, "WAITING": 1}
    told = answer["performance"]
    assert (told["signals"], told["decisions"], told["independent"]) == (4, 3, 3.0)
    returns = expected.net_return[[0, 2, 3]]
    assert told["hit_rate"]["value"] == pytest.approx(float((returns > 0).mean()))
    assert told["mean_return"]["value"] == pytest.approx(float(returns.mean()))
    strategies = client.get("/analytics/by-strategy").json()["strategies"]
    assert {one["strategy_id"]: one["performance"]["decisions"] for one in strategies} == {"first": 2, "second": 1}
    assert client.get("/analytics/calibration").json()["calibration"]["bins"][6]["decisions"] == 3
    one = client.get("/analytics/signals/buy").json()
    assert (one["ending"], one["outcome"]["net_return"]) == ("OPPOSITE", expected.net_return[0])
    assert client.get("/analytics/signals/waits").json()["ending"] == "WAITING"
    assert client.get("/analytics/signals/never").status_code == 404

    listed = CliRunner().invoke(signals.app, ["list", "--symbol", "SOL", "--action", "sell", "--json"])
    (row,) = json.loads(listed.stdout)
    assert (row["signal_id"], row["ending"], row["outcome"]["net_return"]) == ("sell", "HORIZON", returns[1])
    page = tmp_path / "signals.html"
    written = CliRunner().invoke(signals.app, ["report", "--output", str(page), "--json"])
    assert json.loads(written.stdout)["performance"]["decisions"] == 3
    assert "generated SOL/USD 1h" in page.read_text()


def test_what_can_never_be_stored_is_a_dead_letter_and_holds_nothing_up(bench: Bench, candles: Candles) -> None:
    good = signal(candles, "good", 3, "BUY")
    another = signal(candles, "good", 5, "SELL")
    bad = [
        signal(candles, "action", 3, "SHORT"),
        signal(candles, "confidence", 3, "BUY", confidence=1.5),
        signal(candles, "price", 3, "BUY", price=-1.0),
        signal(candles, "nul\x00", 3, "BUY"),
        signal(candles, "sides", 3, "BUY", strategy_sides=(1,)),
        signal(candles, "century", 3, "BUY", timeframe="1c"),
        signal(candles, "future", 3, "BUY", generated_at=10**30),
    ]
    bench.publish(b"{no json", good, *bad, another, signal(candles, "after", 4, "HOLD", strategy_sides=None))
    status = bench.consume()
    assert (status.refused, status.stopped) == (9, {})
    assert bench.rows("SELECT signal_id, action FROM signals ORDER BY 1") == [("after", "HOLD"), ("good", "BUY")]
    letters = list(read_dead_letters(bench.servers, topic=bench.topic))
    reasons = " | ".join(one.letter.reason for one in letters)
    parts = [f"{name} must be" for name in ("action", "confidence", "price", "signal_id", "timeframe", "generated_at")]
    for part in (*parts, "malformed", "was stored for another signal", "strategy_sides"):
        assert part in reasons, part
    assert {one.letter.correlation_id for one in letters} == {"correlation-1"}


def test_a_late_signal_and_a_corrected_candle_change_what_is_not_settled(bench: Bench, candles: Candles) -> None:
    store_candles(bench.url, candles)
    bench.publish(signal(candles, "buy", 9, "BUY"))
    bench.consume()
    run("--horizon", "12", "--settle-hours", "48")
    assert bench.rows("SELECT ending, exit_time FROM signal_outcomes") == [("HORIZON", candles.open_time[23])]
    # Kafka was away: the opposite signal comes when the outcome is known.
    bench.publish(signal(candles, "sell", 14, "SELL"))
    bench.consume()
    run("--horizon", "12", "--settle-hours", "48")
    (found,) = bench.rows("SELECT ending, exit_time, exit_price FROM signal_outcomes WHERE signal_id = 'buy'")
    assert found == ("OPPOSITE", candles.open_time[16], candles.open[16])
    price = np.array([candles.open[16] * 1.01])
    corrected = replace(candles.slice(16, 17), open=price, high=price, low=price, close=price)
    store_candles(bench.url, corrected, revision=2)
    run("--horizon", "12", "--settle-hours", "48")
    assert bench.rows("SELECT exit_price FROM signal_outcomes WHERE signal_id = 'buy'") == [(price[0],)]
    # What is settled stays, until it is asked for again.
    assert run("--horizon", "12", "--settle-hours", "1")["markets"][0]["settled"] == 2
    assert run("--horizon", "6")["markets"] == []
    assert run("--horizon", "3", "--again")["markets"][0]["stored"] == 2


def test_old_signals_are_deleted_with_their_outcomes_in_batches(bench: Bench, candles: Candles) -> None:
    store_candles(bench.url, candles)
    bench.publish(*(signal(candles, f"old-{place}", place, "BUY") for place in range(5)))
    bench.consume()
    with bench.pool.connection() as connection:
        connection.execute("UPDATE signals SET stored_at = now() - interval '200 days'")
        connection.execute("UPDATE strategy_sets SET used_at = now() - interval '200 days'")
    bench.publish(signal(candles, "new", 9, "SELL", strategy_ids=("third",), strategy_sides=(0,)))
    bench.consume()
    assert run("--keep-days", "0")["markets"][0]["stored"] == 6
    with bench.pool.connection() as connection:
        assert prune_signals(connection, keep_s=180 * 86_400, limit=2) == 2
        assert {one.signal_id for one in newest_signals(connection)} >= {"new"}
    assert run()["pruned"] == 3
    assert bench.rows("SELECT signal_id FROM signals") == [("new",)]
    assert bench.rows("SELECT signal_id FROM signal_outcomes") == [("new",)]
    assert bench.rows("SELECT strategy_ids FROM strategy_sets") == [(["third"],)]


def test_the_newest_decisions_are_kept_where_there_are_too_many(bench: Bench, candles: Candles) -> None:
    store_candles(bench.url, candles)
    for place in range(4):
        bench.publish(signal(candles, f"s-{place}", 5 * place, "BUY"))
        bench.consume()
    run("--horizon", "2")
    with bench.pool.connection() as connection:
        whole, part = (
            load_signal_record(connection, days=30.0),
            load_signal_record(connection, days=30.0, most_decisions=3),
        )
    assert (len(whole.decisions), whole.complete) == (4, True)
    assert (len(part.decisions), part.complete) == (3, False)
    assert part.decisions.entry_time.min() == candles.open_time[7]
