"""The signal service on real Ray Serve, PostgreSQL, Kafka and Valkey: data arrives, parts die, strangers knock."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from confluent_kafka import Consumer

from alpharay.bus.messages import SignalMessage
from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.models.signal_model import SignalModelSettings
from alpharay.models.signal_model_training import train_signal_model
from alpharay.signals.vote import vote
from alpharay.store.database import open_pool
from alpharay.store.migrate import migrate
from alpharay.store.model_registry import activate_model, store_model
from alpharay.store.signals import SignalWriter
from alpharay.store.strategies import store_strategy
from alpharay.store.topic_sink import TopicSink
from alpharay.store.trading_halts import halt, resume
from alpharay.strategies.catalogue import CATALOGUE, strategy_named
from benchmarks.signal_data import STRATEGIES, discovered, generated_candles, store_candles, store_market
from benchmarks.signal_model import drifting_candles
from cluster.local.port import free_port

WAIT_S = 60.0


@dataclass
class Service:
    """The deployed application and what it reads."""

    client: httpx.Client
    database_url: str
    whole: Candles
    """SOL/USD up to the last closed candle."""
    candles: Candles
    """What is stored of it at the start: all but the newest candle."""
    deploy: Callable[[], None]
    """Deploy it anew: another replica takes over."""

    def ask(self, **fields: object) -> httpx.Response:
        return self.client.post("/generate_signal", json={"symbol": "SOL", "price": self.close, **fields})

    @property
    def close(self) -> float:
        return float(self.candles.close[-1])

    def status(self) -> dict[str, object]:
        status: dict[str, object] = self.client.get("/status").json()
        return status


def wait_for(condition: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_at:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")


@pytest.fixture(scope="module")
def service(stack: Any, ray_cluster: str) -> Iterator[Service]:
    from ray import serve

    from serve_apps.signal import SignalServer

    name = f"signal_{secrets.token_hex(6)}"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database_url = urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}"))
    migrate(database_url)
    whole = generated_candles("SOL/USD", bars=800)
    candles = whole.slice(0, 799)
    store_candles(database_url, candles)
    with psycopg.connect(database_url) as connection:
        for known in STRATEGIES[:3]:
            store_strategy(connection, discovered(strategy_named(known), candles))
    store_market(database_url, "BTC/USD", bars=300, seed=3, names=())

    port = free_port()
    environment = {
        "ALPHARAY_DATABASE_URL": database_url,
        "ALPHARAY_KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
        "ALPHARAY_REDIS_URL": stack.redis_url,
    }
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        deployment = SignalServer.options(
            autoscaling_config=None,
            num_replicas=1,
        )

        def deploy() -> None:
            # Another version each time: Serve replaces the replicas of what has changed.
            version = {**environment, "ALPHARAY_TEST_DEPLOYMENT": secrets.token_hex(4)}
            options = {"num_cpus": 0.1, "runtime_env": {"env_vars": version}}
            serve.run(deployment.options(ray_actor_options=options).bind(), name="signal", route_prefix="/")

        deploy()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20.0) as client:
            yield Service(client, database_url, whole, candles, deploy)
    finally:
        serve.shutdown()
        stack.start("postgres")
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_answer_rests_on_the_stored_strategies_and_equals_the_vote_on_the_same_candles(service: Service) -> None:
    response = service.ask()
    assert response.status_code == 200, response.text
    answer = response.json()
    assert {one["name"] for one in answer["strategies"]} == set(STRATEGIES[:3])
    for one in answer["strategies"]:
        expected = vote(CATALOGUE[one["name"]], one["parameters"], service.candles)
        assert (one["vote"], one["event"], one["bars_since"]) == (
            expected.position,
            expected.event,
            expected.bars_since,
        )
    assert answer["candle_close"] == service.close


def test_the_request_id_is_echoed_once_and_is_in_the_log_and_on_kafka(service: Service, stack: Any) -> None:
    import ray

    request_id = f"request-{secrets.token_hex(8)}"
    response = service.client.post(
        "/generate_signal", json={"symbol": "SOL", "price": service.close}, headers={"X-Request-ID": request_id}
    )
    assert response.headers.get_list("x-request-id") == [request_id]
    assert response.json()["request_id"] == request_id

    folder = Path(ray._private.worker._global_node.get_logs_dir_path()) / "serve"

    def logged() -> bool:
        lines = [
            line for file in folder.glob("requests_*") for line in file.read_text().splitlines() if request_id in line
        ]
        return len(lines) == 1 and json.loads(lines[0])["symbol"] == "SOL/USD"

    wait_for(logged, "one line in the log")
    message, correlation = published(stack.kafka_bootstrap_servers, response.json()["signal_id"])
    assert message.action == response.json()["action"]
    assert correlation == request_id


def published(servers: str, signal_id: str) -> tuple[SignalMessage, str]:
    """Return the message of a signal and its correlation id, once it has arrived."""
    import msgspec

    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": f"test-{secrets.token_hex(4)}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["signals"])
    try:
        give_up_at = time.monotonic() + WAIT_S
        while time.monotonic() < give_up_at:
            record = consumer.poll(1.0)
            if record is None or record.error() is not None:
                continue
            message = msgspec.json.decode(record.value() or b"", type=SignalMessage)
            if message.signal_id == signal_id:
                return message, dict(record.headers() or [])["correlation-id"].decode()
    finally:
        consumer.close()
    raise AssertionError(f"signal {signal_id} did not arrive on Kafka")


def test_a_new_candle_and_a_new_strategy_are_in_the_answer_within_seconds(service: Service) -> None:
    newest = float(service.whole.close[-1])
    store_candles(service.database_url, service.whole.tail(1))
    wait_for(lambda: service.ask().json()["candle_close"] == newest, "the new candle")
    for one in service.ask().json()["strategies"]:
        expected = vote(CATALOGUE[one["name"]], one["parameters"], service.whole)
        assert (one["vote"], one["bars_since"]) == (expected.position, expected.bars_since)
    with psycopg.connect(service.database_url) as connection:
        store_strategy(connection, discovered(strategy_named(STRATEGIES[3]), service.candles))
    wait_for(lambda: STRATEGIES[3] in {one["name"] for one in service.ask().json()["strategies"]}, "the new strategy")


def test_a_new_market_is_known_within_seconds_of_its_first_batch(service: Service) -> None:
    assert service.ask(symbol="ADA", price=100.0).status_code == 404
    candles = store_market(service.database_url, "ADA/USD", bars=50, seed=9, names=("PARABOLIC_SAR",))
    wait_for(lambda: service.ask(symbol="ADA", price=float(candles.close[-1])).status_code == 200, "the new market")


def component(service: Service, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in service.ask().json()["components"] if one["name"] == name)
    return found


def test_a_halt_in_the_database_is_hold_within_seconds_and_a_resume_ends_it(service: Service) -> None:
    assert "veto" not in component(service, "risk")["flags"]
    with psycopg.connect(service.database_url) as connection:
        halt(connection, actor="test", reason="a drill")
    wait_for(lambda: service.ask().json()["reason"].startswith("risk vetoes: all accounts are halted"), "the halt")
    halted = service.ask().json()
    assert (halted["action"], halted["suggested_fraction"]) == ("HOLD", 0.0)
    with psycopg.connect(service.database_url) as connection:
        resume(connection, actor="test", reason="it is over")
    wait_for(lambda: "veto" not in component(service, "risk")["flags"], "the resume")


def test_models_are_swapped_without_a_dropped_request_and_a_broken_one_silences_only_itself(service: Service) -> None:
    planted = drifting_candles(2_500, seed=1, strength=0.6)
    settings = SignalModelSettings(rounds=10, learning_rate=0.1, folds=3, bootstraps=200)
    trained = train_signal_model(planted, settings)
    card = replace(
        trained.card,
        exchange=service.candles.exchange,
        symbol=service.candles.symbol,
        timeframe=service.candles.timeframe,
        evidence=replace(trained.card.evidence, promoted=True),
    )
    ids = [letter * 64 for letter in "abc"]
    statuses: list[int] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            statuses.append(service.ask().status_code)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        with psycopg.connect(service.database_url, autocommit=True) as connection:
            for model_id in ids:
                store_model(connection, model_id, replace(trained, card=card))
                activate_model(connection, model_id)
                wait_for(lambda name=model_id[:12]: name in component(service, "model")["why"], "the new model")  # type: ignore[misc]
                assert component(service, "model")["flags"] == []
            connection.execute("ALTER TABLE signal_models DROP CONSTRAINT signal_models_checksum")
            connection.execute("UPDATE signal_models SET checksum = repeat('0', 64) WHERE status = 'ACTIVE'")
            wait_for(lambda: "model_unusable" in component(service, "model")["flags"], "the broken model")
    finally:
        stop.set()
        asking.join(30.0)
    assert set(statuses) == {200}
    assert len(statuses) > 10
    assert service.client.get("/ready").status_code == 200
    markets = {one["symbol"]: one for one in service.status()["markets"]}  # type: ignore[attr-defined]
    assert any(ids[2] in problem for problem in markets["SOL/USD"]["problems"])
    assert not component(service, "strategies")["flags"]
    said = service.client.post("/ml/predict", json={"symbol": "SOL"}).json()
    assert (said["model_id"], said["probability"]) == (ids[2], None)


def test_a_batch_and_the_components_answer_from_the_same_snapshot(service: Service) -> None:
    asked = [{"symbol": "SOL", "price": service.close}, {"symbol": "NOPE", "price": 1.0}]
    answers = service.client.post("/generate_signals", json={"requests": asked}).json()["answers"]
    assert [one["status"] for one in answers] == [200, 404]
    told = service.client.get("/market-context/SOL").json()
    said = next(one for one in answers[0]["signal"]["components"] if one["name"] == "market_context")
    assert told["component"]["why"] == said["why"]
    for prefix in ("orchestrator", "ml", "features", "market-context", "strategies", "risk-check", "analytics"):
        assert service.client.get(f"/{prefix}/health").status_code == 200
        assert "alpharay_signal_requests" in service.client.get(f"/{prefix}/metrics").text


def test_a_stream_tells_the_newest_state_then_each_new_candle_and_ends_when_its_replica_does(service: Service) -> None:
    candles = generated_candles("DOT/USD", bars=60, seed=11)
    store_candles(service.database_url, candles.slice(0, 59))
    with psycopg.connect(service.database_url) as connection:
        store_strategy(connection, discovered(strategy_named("PARABOLIC_SAR"), candles.slice(0, 59)))
    price = float(candles.close[-1])
    wait_for(lambda: service.ask(symbol="DOT", price=price).status_code == 200, "the new market")
    closes: list[float] = []
    with service.client.stream("GET", "/signals/stream", params={"symbols": "DOT"}, timeout=WAIT_S) as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        for line in lines:
            if not line.startswith("data: "):
                continue
            closes.append(json.loads(line.removeprefix("data: "))["candle_close"])
            if len(closes) == 1:
                store_candles(service.database_url, candles.tail(1))
            else:
                break
        assert closes == [float(candles.close[-2]), float(candles.close[-1])]
        service.deploy()
        # Not cut off by the replica's end: the last event says to come back.
        rest = list(lines)
    assert "event: end" in rest
    wait_for(lambda: service.ask().status_code == 200, "the new replica")


def test_data_older_than_five_time_frames_is_refused(service: Service) -> None:
    old = generated_candles("OLD/USD", bars=50, end_ms=int(time.time() * 1000) - 6 * timeframe_ms("1h"))
    store_candles(service.database_url, old)
    with psycopg.connect(service.database_url) as connection:
        store_strategy(connection, discovered(strategy_named("PARABOLIC_SAR"), old))
    price = float(old.close[-1])
    wait_for(lambda: service.ask(symbol="OLD", price=price).status_code != 404, "the old market")
    response = service.ask(symbol="OLD", price=price)
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "stale_data"
    assert "Retry-After" in response.headers


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {"Content-Type": "application/json"}, 400),
        (b"\x00\xff" * 100, {"Content-Type": "application/json"}, 400),
        (b"[" * 4000, {"Content-Type": "application/json"}, 400),
        (b'{"symbol":"SOL","price":-1}', {"Content-Type": "application/json"}, 422),
        (b'{"symbol":"SOL","price":NaN}', {"Content-Type": "application/json"}, 422),
        (b'{"symbol":"SOL","price":1e308}', {"Content-Type": "application/json"}, 422),
        (b'{"symbol":"\'; DROP TABLE candles; --","price":1}', {"Content-Type": "application/json"}, 422),
        (b'{"symbol":"SOL","price":1,"__proto__":{}}', {"Content-Type": "application/json"}, 422),
        (b"x" * 3_000_000, {"Content-Type": "application/json"}, 413),
        (b"<xml/>", {"Content-Type": "text/xml"}, 415),
    ],
)
def test_hostile_bodies_get_a_4xx_of_one_shape(
    service: Service, body: bytes, headers: dict[str, str], status: int
) -> None:
    response = service.client.post("/generate_signal", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert set(response.json()["error"]) == {"code", "field", "value", "message", "hint"}


def test_a_client_that_sends_half_a_request_and_leaves_hurts_nobody(service: Service) -> None:
    address = urlsplit(str(service.client.base_url))
    for _ in range(20):
        with socket.create_connection((address.hostname, address.port), timeout=5.0) as connection:
            connection.sendall(b"POST /generate_signal HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert service.ask().status_code == 200


def test_without_the_database_it_serves_on_and_recovers(
    service: Service, crash: Callable[[str], None], stack: Any
) -> None:
    crash("postgres")

    def told() -> bool:
        return service.client.get("/ready").json()["last_error"] is not None

    wait_for(told, "the failed refresh is told")
    for path in ("/health", "/ready", "/health/live", "/health/ready"):
        assert service.client.get(path).status_code == 200
    assert service.ask().status_code == 200
    stack.start("postgres")
    wait_for(lambda: not told(), "the refresh works again")


def test_without_kafka_it_answers_and_publishes_later(
    service: Service,
    crash: Callable[[str], None],
    stack,
) -> None:
    crash("kafka")
    response = service.ask()
    assert response.status_code == 200
    stack.start("kafka")
    message, _ = published(stack.kafka_bootstrap_servers, response.json()["signal_id"])
    assert message.symbol == "SOL/USD"


def test_a_killed_replica_is_replaced_and_repeats_its_answers(service: Service) -> None:
    signal_id = f"mine-{secrets.token_hex(6)}"
    price = service.close
    before = service.ask(price=price, signal_id=signal_id)
    assert before.status_code == 200
    process_id = service.status()["process_id"]
    assert isinstance(process_id, int)
    os.kill(process_id, signal.SIGKILL)
    wait_for(lambda: service.status()["process_id"] != process_id, "another replica")
    after = service.ask(price=price, signal_id=signal_id)
    assert after.content == before.content
    assert after.headers["idempotent-replayed"] == "true"


def test_a_signal_is_found_again_with_what_became_of_it(service: Service, stack: Any) -> None:
    made = service.ask().json()
    published(stack.kafka_bootstrap_servers, made["signal_id"])
    with open_pool(service.database_url, application="test", max_connections=2) as pool:
        sink = TopicSink(SignalWriter(), pool, stack.kafka_bootstrap_servers)
        sink.drain(60)
        sink.close()
    found = service.client.get(f"/analytics/signals/{made['signal_id']}").json()
    assert found["signal"]["request_id"] == made["request_id"]
    assert found["signal"]["correlation_id"] == made["request_id"]
    assert found["signal"]["exchange_time"] >= found["signal"]["candle_time"] + timeframe_ms(made["timeframe"])
    assert found["ending"] == ("NONE" if made["action"] == "HOLD" else "WAITING")
    summary = service.client.get("/analytics/summary")
    assert (summary.status_code, summary.json()["days"]) == (200, 30.0)
    assert service.client.get("/status").json()["analytics"]["last_error"] is None
