"""What the edges count of each request, and the ids that they let through."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from alpharay.settings import Settings
from alpharay.telemetry.origin import current_origin
from serve_apps.edges.access_rules import AccessRule
from serve_apps.edges.call import begin_call
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Counted:
    """An application behind its edges, and its metrics."""

    def __init__(self) -> None:
        api = FastAPI(openapi_url=None)
        api.get("/orders/{order_id}")(self.order)
        api.get("/broken")(self.broken)
        rules = (AccessRule("/orders/*", "trade"),)
        edges = edges_of(Settings(rate_limit_per_minute=5), "test", rules)
        self.registry = CollectorRegistry()
        edges.metrics.register(self.registry)
        self.application = GuardedApplication(api, edges)
        self.client = TestClient(self.application, client=("127.0.0.1", 1), raise_server_exceptions=False)

    async def order(self, order_id: str) -> dict[str, str | None]:
        origin = current_origin()
        assert order_id
        assert origin is not None
        return {"id": origin.correlation_id, "traceparent": origin.traceparent}

    async def broken(self) -> None:
        raise RuntimeError("broken")

    def requests(self, route: str, code: str, method: str = "GET") -> float | None:
        labels = {"application": "test", "route": route, "method": method, "code": code}
        return self.registry.get_sample_value("alpharay_http_requests_total", labels)


@pytest.fixture
def counted() -> Iterator[Counted]:
    logging.getLogger("ray.serve").setLevel(logging.CRITICAL)
    yield Counted()
    logging.getLogger("ray.serve").setLevel(logging.NOTSET)


def test_requests_are_counted_by_the_routes_pattern_and_code_whoever_answers(counted: Counted) -> None:
    for path in ("/orders/1", "/orders/2", "/nowhere/1", "/broken"):
        counted.client.get(path)
    counted.client.request("BREW", "/orders/1")
    assert [counted.client.get("/orders/3").status_code for _ in range(2)] == [429, 429]
    assert counted.requests("/orders/{order_id}", "200") == 2
    assert counted.requests("/orders/{order_id}", "429") == 2
    assert counted.requests("unmatched", "404") == 1
    assert counted.requests("/broken", "500") == 1
    assert counted.requests("/orders/{order_id}", "405", "other") == 1
    labels = {"application": "test", "route": "/orders/{order_id}"}
    assert counted.registry.get_sample_value("alpharay_http_request_seconds_count", labels) == 5
    assert counted.registry.get_sample_value("alpharay_http_requests_in_flight", {"application": "test"}) == 0


def test_the_origin_of_a_request_is_its_id_and_its_clients_span(counted: Counted) -> None:
    told = counted.client.get("/orders/1", headers={"X-Request-ID": "r-1", "traceparent": TRACEPARENT})
    assert told.json() == {"id": "r-1", "traceparent": TRACEPARENT}
    assert "x-correlation-id" not in told.headers
    assert current_origin() is None


def test_an_id_that_was_changed_or_made_is_told(counted: Counted) -> None:
    changed = counted.client.get("/orders/1", headers={"X-Request-ID": 'r"1'})
    assert changed.json()["id"] == changed.headers["x-correlation-id"] == "r_1"
    made = counted.client.get("/orders/1")
    assert made.json()["id"] == made.headers["x-request-id"]
    traced = counted.client.get("/orders/1", headers={"traceparent": TRACEPARENT})
    assert traced.json()["id"] == traced.headers["x-request-id"] == TRACEPARENT[3:35]


def test_the_application_meets_one_id_where_two_were_sent() -> None:
    scope, call = begin_call({"headers": [(b"x-request-id", b"a b"), (b"accept", b"*"), (b"x-request-id", b"c")]})
    assert call.request_id == "a_b"
    assert [value for name, value in scope["headers"] if name == b"x-request-id"] == [b"a_b"]
