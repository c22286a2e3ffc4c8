"""The risk service on real Ray Serve and PostgreSQL: halts, a cut database, a replica that is stopped, strangers."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import numpy as np
import psycopg
import pytest

from alpharay.models.volatility_fit import fit_volatility
from alpharay.risk.calibration import CalibrationSettings
from alpharay.store.candle_rows import Market
from alpharay.store.database import open_pool
from alpharay.store.migrate import migrate
from alpharay.store.trading_halts import PAPER, halt, open_account, resume
from benchmarks.signal_data import EXCHANGE, generated_candles, store_candles
from cluster.local.port import free_port
from ray_jobs.calibrate import calibrate_market, calibrate_pair

WAIT_S = 60.0
OLDEST_S = 1.0
TRADE = {"trade": {"symbol": "BTC", "notional": 100.0}, "state": {"equity": 10_000.0}}
BTC, ETH = Market(EXCHANGE, "BTC/USD", "1h"), Market(EXCHANGE, "ETH/USD", "1h")


@cache
def now_ms() -> int:
    """Return one time for all candles of the tests: an hour may strike between two of them."""
    return time.time_ns() // 1_000_000


@dataclass
class Service:
    """The deployed application and its database."""

    client: httpx.Client
    database_url: str

    def assess(self, **fields: object) -> httpx.Response:
        return self.client.post("/assess", json={**TRADE, **fields})

    def allows(self) -> bool:
        response = self.assess()
        return response.status_code == 200 and response.json()["decision"] == "allowed"

    def turn(self, change: Callable[..., object], account: str = PAPER) -> None:
        """Turn the switch past the service."""
        with psycopg.connect(self.database_url) as connection:
            change(connection, account, actor="test", reason="test")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_at:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")


@pytest.fixture(scope="module")
def service(stack: Any, ray_cluster: str) -> Iterator[Service]:
    from ray import serve

    from serve_apps.risk import RiskServer

    name = f"risk_{secrets.token_hex(6)}"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database_url = urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}"))
    migrate(database_url)
    for seed, market in enumerate((BTC, ETH)):
        store_candles(
            database_url, generated_candles(market.symbol, bars=400, seed=seed, end_ms=now_ms()).slice(0, 399)
        )
    with open_pool(database_url, application="test-risk", max_connections=2) as pool:
        for market in (BTC, ETH):
            assert all(one.stored for one in calibrate_market(pool, market, CalibrationSettings()))
        assert calibrate_pair(pool, BTC, ETH, CalibrationSettings()).stored

    port = free_port()
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        deployment = RiskServer.options(
            autoscaling_config=None,
            num_replicas=1,
            ray_actor_options={"num_cpus": 0.1, "runtime_env": {"env_vars": {"ALPHARAY_DATABASE_URL": database_url}}},
        )
        serve.run(deployment.bind(), name="risk", route_prefix="/risk")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/risk", trust_env=False, timeout=30.0) as client:
            yield Service(client, database_url)
    finally:
        serve.shutdown()
        stack.start("postgres")
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(autouse=True)
def trading(service: Service) -> None:
    """Every test begins with a paper account that may trade."""
    service.turn(resume)
    service.turn(resume, "*")
    wait_for(service.allows, "trading is allowed")


def test_a_new_candle_moves_the_forecast_without_a_new_fit(service: Service) -> None:
    whole = generated_candles("BTC/USD", bars=400, seed=0, end_ms=now_ms())
    before = service.client.get("/volatility/BTC/USD").json()
    fitted = fit_volatility(np.diff(np.log(whole.close[:399])))
    assert before["forecast"]["volatility"][0] == pytest.approx(fitted.next_variance**0.5, rel=1e-12)
    store_candles(service.database_url, whole.tail(1))
    newest = int(whole.open_time[-1])
    wait_for(lambda: service.client.get("/volatility/BTC").json()["candle_time"] == newest, "the new candle")
    shock = float(np.log(whole.close[-1] / whole.close[-2])) - fitted.mean
    expected = fitted.omega + fitted.alpha * shock**2 + fitted.beta * fitted.next_variance
    after = service.client.get("/volatility/BTC").json()
    assert after["forecast"]["volatility"][0] == pytest.approx(expected**0.5, rel=1e-12)
    assert service.client.get("/regime/BTC/USD").json()["run_length"] >= 1
    assert service.client.get("/hedge", params={"y": "BTC/USD", "x": "ETH/USD"}).json()["timeframe"] == "1h"
    assert service.client.post("/var", json={"weights": {"BTC": 0.6, "ETH": -0.4}}).json()["observations"] > 300


def test_a_halt_over_http_is_in_force_when_it_is_answered_and_is_kept(service: Service) -> None:
    body = {"actor": "ann", "reason": "test of the switch", "account": PAPER, "event_id": f"e-{secrets.token_hex(4)}"}
    answer = service.client.post("/halt", json=body)
    assert (answer.status_code, answer.json()["halted"]) == (200, True)
    refused = service.assess().json()
    assert (refused["decision"], refused["reasons"]) == ("refused", ["account 'paper' is halted by the kill switch"])
    halts = service.client.get("/halts").json()
    assert halts["events"][0]["reason"] == "test of the switch"
    assert service.client.post("/resume", json={"actor": "ann", "reason": "over"}).json()["account"] == "*"
    assert service.assess().json()["decision"] == "refused"
    resumed = service.client.post("/resume", json={"actor": "ann", "reason": "over", "account": PAPER})
    assert resumed.json()["halted"] is False
    # The first halt again, late: it has had its effect.
    assert service.client.post("/halt", json=body).json()["halted"] is False
    assert service.allows()


def test_limits_and_a_narrow_halt_over_http_are_in_force_when_they_are_answered_and_are_kept(service: Service) -> None:
    limits = {
        "position": 0.005, "concentration": None, "gross": 1.0, "net": 1.0, "daily_loss": 0.02, "drawdown": 0.05,
        "orders_per_second": 5,
    }  # fmt: skip
    before = service.client.get("/halts").json()["accounts"]
    (wide,) = (one["limits"] for one in before if one["account"] == PAPER)
    try:
        told = service.client.put(f"/limits/{PAPER}", json={"actor": "ann", "reason": "smaller", "limits": limits})
        assert told.json()["limits"] == limits
        assert service.assess().json()["notional"] == 50.0
        event = service.client.get("/halts").json()["events"][0]
        assert (event["kind"], event["details"]["to"], event["details"]["from"]) == ("LIMITS", limits, wide)
    finally:
        service.client.put(f"/limits/{PAPER}", json={"actor": "ann", "reason": "over", "limits": wide})
    halted = service.client.post(
        "/halt", json={"actor": "ann", "reason": "test", "account": PAPER, "scope": "INCREASES"}
    )
    assert halted.json()["scope"] == "INCREASES"
    assert service.assess().json()["decision"] == "refused"
    held = {"equity": 10_000.0, "positions": {"BTC/USD": 100.0}}
    assert service.assess(trade={"symbol": "BTC", "notional": -100.0}, state=held).json()["decision"] == "allowed"


def test_a_halt_past_the_service_is_obeyed_before_the_copy_is_a_second_old(service: Service) -> None:
    service.turn(halt, "*")
    committed = time.monotonic()

    def refused() -> bool:
        asked = time.monotonic()
        response = service.assess()
        if response.status_code == 200 and response.json()["decision"] == "allowed":
            assert asked < committed + OLDEST_S, "allowed from a copy older than a second"
            return False
        return response.status_code == 200

    wait_for(refused, "the halt is known")


def test_a_new_account_is_known_and_a_misspelt_one_is_told(service: Service) -> None:
    account = f"live-{secrets.token_hex(3)}"
    assert service.assess(account=account).status_code == 404
    service.turn(open_account, account)
    wait_for(lambda: service.assess(account=account).status_code == 200, "the new account")
    response = service.client.post("/halt", json={"actor": "a", "reason": "b", "account": "papre"})
    assert response.status_code == 404
    assert account in response.json()["error"]["message"]


def test_a_replica_that_was_stopped_does_not_allow_what_was_halted_meanwhile(service: Service) -> None:
    process = int(service.client.get("/status").json()["process_id"])
    answers: list[httpx.Response] = []
    os.kill(process, signal.SIGSTOP)
    try:
        asking = threading.Thread(target=lambda: answers.append(service.assess()))
        asking.start()
        service.turn(halt)
        # What the replica holds in memory must be too old for it to speak.
        time.sleep(OLDEST_S + 0.2)
    finally:
        os.kill(process, signal.SIGCONT)
    asking.join(WAIT_S)
    answer = answers[0]
    if answer.status_code == 200:
        assert answer.json()["decision"] == "refused"
    else:
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers


def test_without_the_database_nothing_is_allowed_and_it_recovers_by_itself(
    service: Service, crash: Callable[[str], None], stack: Any
) -> None:
    process = service.client.get("/status").json()["process_id"]
    crash("postgres")
    wait_for(lambda: service.assess().status_code == 503, "assessments are refused")
    response = service.assess()
    assert response.json()["error"]["code"] == "trading_state_unknown"
    assert response.headers["Retry-After"] == "1"
    halted = service.client.post("/halt", json={"actor": "ann", "reason": "cut"})
    assert halted.status_code in (503, 504)
    assert service.client.get("/ready").status_code == 503
    for path in ("/health", "/health/live", "/volatility/BTC", "/regime/BTC", "/halts", "/status", "/metrics"):
        assert service.client.get(path).status_code == 200, path
    stack.start("postgres")
    wait_for(lambda: service.client.get("/ready").status_code == 200, "ready again")
    service.turn(resume, "*")
    wait_for(service.allows, "allowed again")
    assert service.client.get("/status").json()["process_id"] == process


@pytest.mark.parametrize("path", ["/assess", "/var", "/halt"])
@pytest.mark.parametrize(
    ("body", "kind", "statuses"),
    [
        (b"{", "application/json", {400}),
        (b"\x00\xff" * 100, "application/json", {400}),
        (b"[" * 4_000, "application/json", {400}),
        (b'{"__proto__":{}}', "application/json", {422}),
        (b"x" * 3_000_000, "application/json", {413}),
        (b"<xml/>", "text/xml", {415}),
    ],
)
def test_hostile_bodies_get_a_4xx_of_one_shape(
    service: Service, path: str, body: bytes, kind: str, statuses: set[int]
) -> None:
    response = service.client.post(path, content=body, headers={"Content-Type": kind})
    assert response.status_code in statuses, response.text
    assert set(response.json()["error"]) == {"code", "field", "value", "message", "hint"}
