"""Hostile requests against the risk application behind its edges: never a 5xx, always the one shape of errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hostile_requests import check_described, check_refusal, values_such_as
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from test_risk_api import Bench, view  # noqa: F401 - a fixture

from alpharay.risk.market_view import RiskView
from alpharay.settings import Settings
from serve_apps.edges.access_rules import AccessRules
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.risk import ACCESS
from serve_apps.risk_api import risk_api

VALID = {
    "/assess": {
        "trade": {"symbol": "BTC", "notional": 100.0, "minimum_notional": 1.0},
        "state": {"equity": 1e4, "positions": {"ETH": -5.0}, "open_buys": {"BTC": 1.0}, "groups": {"BTC": "coins"}},
        "limits": {"position": 0.1, "orders_per_second": 3},
        "account": "paper",
    },
    "/var": {"weights": {"BTC": 0.5}, "level": 0.99, "observations": 300, "timeframe": "1h"},
    "/halt": {"actor": "ann", "reason": "test", "account": "paper", "event_id": "e-1"},
}


@pytest.fixture(scope="module")
def application(view: RiskView) -> GuardedApplication:
    bench = Bench(view).refresh()
    # The switch's copy never ages here, and health asks for running threads.
    bench.models.is_alive = bench.halts.is_alive = lambda: True  # type: ignore[method-assign]
    # The test's client has no address: authentication is switched off.
    edges = edges_of(Settings(authentication="off"), "risk", ACCESS)
    return GuardedApplication(risk_api(bench.service, versions={"alpharay": "1"}, edges=edges), edges)


@pytest.fixture(scope="module")
def client(application: GuardedApplication) -> TestClient:
    return TestClient(application, raise_server_exceptions=False)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_what_the_document_describes_is_what_is_answered(
    application: GuardedApplication, mode: schemathesis.GenerationMode
) -> None:
    check_described(application, mode, examples=25, least=14)


values = values_such_as("BTC", "btc/usd", "1h", "*", "paper")


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid body of which one value, at any depth, is another."""
    path = draw(st.sampled_from(sorted(VALID)))
    body: Any = json.loads(json.dumps(VALID[path]))
    place = body
    while True:
        name = draw(st.sampled_from([*place, "extra"]))
        if isinstance(place.get(name), dict) and draw(st.booleans()):
            place = place[name]
            continue
        place[name] = draw(values)
        return path, json.dumps(body).encode()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid body with some bytes replaced: most are no UTF-8 or no JSON any more."""
    path = draw(st.sampled_from(sorted(VALID)))
    body = bytearray(json.dumps(VALID[path]).encode())
    for _ in range(draw(st.integers(1, 4))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return path, bytes(body)


nested = st.tuples(
    st.sampled_from(sorted(VALID)), st.sampled_from([(b"[", b"]"), (b'{"trade":', b"}")]), st.integers(1, 2500)
).map(lambda one: (one[0], b'{"actor":' + one[1][0] * one[2] + b"1" + one[1][1] * one[2] + b"}"))


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.one_of(changed(), damaged(), nested))
@example(("/assess", b'{"trade":{"symbol":"\\ud800","notional":1},"state":{"equity":1}}'))
@example(("/halt", b'{"actor":"\\ud800","reason":"x"}'))
@example(("/halt", b'{"actor":"' + b"9" * 5000 + b'","reason":"x"}'))
@example(("/var", b'{"weights":{"BTC":1e-320}}'))
@example(("/assess", b'{"trade":{"symbol":"BTC","notional":1e-320},"state":{"equity":-1e15,"peak_equity":1e-320}}'))
def test_any_body_is_answered_or_refused_in_one_shape(client: TestClient, asked: tuple[str, bytes]) -> None:
    path, body = asked
    check_refusal(client.post(path, content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/halt", "admin"),
        ("POST", "/resume", "admin"),
        ("PUT", "/limits/paper", "admin"),
        ("POST", "/assess", "read"),
        ("POST", "/var", "read"),
        ("GET", "/volatility/BTC/USD", "read"),
        ("GET", "/halts", "read"),
    ],
)
def test_the_switch_needs_admin_and_all_else_read(method: str, path: str, scope: str) -> None:
    assert AccessRules((), ACCESS).scope_needed(method, path) == scope
