"""Hostile requests against the portfolio application behind its edges: never a 5xx, always the one shape of errors."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hostile_requests import check_described, check_refusal, hostile_bodies
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from portfolio_bench import RECORD, SIGNAL, WANT, Bench
from starlette.testclient import TestClient

from alpharay.settings import Settings
from serve_apps.edges.access_rules import AccessRules
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.portfolio import ACCESS
from serve_apps.portfolio_api import portfolio_api
from serve_apps.portfolio_requests import MarginalRiskRequest, OrderRequest, SizeRequest
from serve_apps.signal_order_requests import SignalOrderRequest

ORDER = json.dumps({**WANT, "fraction": 0.125, "account": "paper", "limit_price": 90.5, "dry_run": False}).encode()
SIZE = json.dumps(
    {
        "methods": {
            "blended": {"record": RECORD, "confidence": 0.125, "volatility": 0.5},
            "fixed_fraction": {"risk": 0.01, "stop_distance": 0.05},
        },
        "risk_parity": {"symbols": ["BTC", "ETH"], "covariance": [[0.04, 0.0], [0.0, 0.09]], "budgets": [1, 2]},
        "equity": 1000.0,
    }
).encode()
MARGINAL = json.dumps(
    {"symbol": "ETH", "side": "buy", "fraction": 0.125, "level": 0.95, "observations": 50, "groups": {"BTC": "coins"}}
).encode()
WALK = json.dumps({"signal": SIGNAL, "fraction": 0.125, "wait_seconds": 0.25}).encode()

bodies = st.one_of(
    hostile_bodies(WALK, b"0.125", SignalOrderRequest.__struct_fields__).map(
        lambda body: ("/orders/from-signal", body)
    ),
    hostile_bodies(MARGINAL, b"0.125", MarginalRiskRequest.__struct_fields__).map(
        lambda body: ("/risk/marginal", body)
    ),
    hostile_bodies(ORDER, b"0.125", OrderRequest.__struct_fields__).map(lambda body: ("/orders", body)),
    hostile_bodies(SIZE, b"0.125", SizeRequest.__struct_fields__).map(lambda body: ("/size", body)),
)


@pytest.fixture(scope="module")
def application() -> GuardedApplication:
    bench = Bench()
    bench.accounts.refresh()
    # Health asks for a running thread.
    bench.accounts.is_alive = lambda: True  # type: ignore[method-assign]
    # The test's client has no address: authentication is switched off.
    edges = edges_of(Settings(authentication="off"), "portfolio", ACCESS)
    return GuardedApplication(
        portfolio_api(bench.service, bench.signals, versions={"alpharay": "1"}, edges=edges), edges
    )


@pytest.fixture(scope="module")
def client(application: GuardedApplication) -> TestClient:
    return TestClient(application, raise_server_exceptions=False)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_what_the_document_describes_is_what_is_answered(
    application: GuardedApplication, mode: schemathesis.GenerationMode
) -> None:
    check_described(application, mode, examples=20, least=14 if mode is schemathesis.GenerationMode.POSITIVE else 2)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(bodies)
@example(("/orders", b'{"order_id":"\\ud800","symbol":"BTC","side":"buy","fraction":0.1}'))
@example(("/orders", b'{"order_id":"a","symbol":"\\u0000","side":"buy","fraction":0.1}'))
@example(("/orders", b'{"order_id":"tiny","symbol":"BTC","side":"buy","fraction":1e-320}'))
@example(("/orders", b'{"side":"' + b"9" * 5000 + b'"}'))
@example(("/orders", b'{"order_id":"' + b"9" * 5000 + b'","symbol":"BTC","side":"buy","fraction":0.1}'))
@example(("/size", b'{"methods":{"volatility_target":{"target":1000,"volatility":5e-324}}}'))
@example(("/size", b'{"risk_parity":{"symbols":["A","B"],"covariance":[[1e-320,0],[0,1e6]]}}'))
@example(("/size", b'{"risk_parity":{"symbols":["A","B"],"covariance":[[1,-1],[-1,1]]}}'))
@example(("/size", b'{"risk_parity":{"symbols":["A"],"covariance":[[1]],"budgets":[1,1]}}'))
def test_any_body_is_answered_or_refused_in_one_shape(client: TestClient, asked: tuple[str, bytes]) -> None:
    path, body = asked
    check_refusal(client.post(path, content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/orders", "trade"),
        ("DELETE", "/orders/o1", "trade"),
        ("GET", "/orders/o1", "read"),
        ("GET", "/orders", "read"),
        ("GET", "/accounts/paper/positions", "read"),
        ("POST", "/size", "read"),
        ("POST", "/risk/marginal", "read"),
        ("POST", "/orders/from-signal", "trade"),
    ],
)
def test_orders_need_trade_and_all_else_read(method: str, path: str, scope: str) -> None:
    assert AccessRules((), ACCESS).scope_needed(method, path) == scope
