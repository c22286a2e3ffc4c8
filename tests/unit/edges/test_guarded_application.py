"""An application behind its edges, asked in this process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from alpharay.settings import Settings
from serve_apps.edges.access_rules import AccessRule
from serve_apps.edges.api_keys import new_key
from serve_apps.edges.call import begin_call, call_of
from serve_apps.edges.edges import Edges, edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.service_log import SERVICE_LOGGER

RULES = (AccessRule("/opinion", "read"), AccessRule("/switch*", "admin"))
SECRET = "a secret of more than thirty-two bytes"
READ_KEY, READ_LINE = new_key("reader", ["read"])
TRADE_KEY, TRADE_LINE = new_key("trader", ["trade"])
ADMIN_KEY, ADMIN_LINE = new_key("root", ["admin"])
KEYS = f"{READ_LINE};{TRADE_LINE};{ADMIN_LINE}"


class Guarded:
    """The application, its edges, and what its handlers have met."""

    def __init__(self, address: str = "127.0.0.1", prefix: str = "", **settings: Any) -> None:
        self.edges: Edges = edges_of(Settings(**settings), "test", RULES)
        self.cancelled = False
        api = FastAPI(openapi_url=None)
        for path in ("/opinion", "/order", "/switch", "/switch/on", "/health/live", "/metrics"):
            api.api_route(path, methods=["GET", "POST"])(self.echo)
        api.get("/slow")(self.slow)
        api.get("/stream")(self.stream)
        api.get("/broken")(self.broken)
        api.get("/own")(lambda: PlainTextResponse("page", headers={"Content-Security-Policy": "default-src 'self'"}))
        self.application = GuardedApplication(api, self.edges)
        self.client = TestClient(self.application, client=(address, 1), raise_server_exceptions=False, root_path=prefix)

    async def echo(self, request: Request) -> dict[str, Any]:
        body = await request.body()
        client = call_of(request.scope).client
        return {
            "bytes": len(body),
            "id": request.headers["x-request-id"],
            "client": None if client is None else client.name,
        }

    async def slow(self) -> None:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def stream(self) -> StreamingResponse:
        async def parts() -> Any:
            yield b"one"
            await asyncio.sleep(0.2)
            yield b"two"

        return StreamingResponse(parts())

    async def broken(self) -> None:
        raise RuntimeError("password=secret")


def refused(response: httpx.Response, status: int, code: str) -> Mapping[str, str]:
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"code", "field", "value", "message", "hint"}
    assert error["code"] == code
    return error


def token(**claims: Any) -> str:
    return jwt.encode({"sub": "ann", "exp": int(time.time()) + 60, "scope": "read", **claims}, SECRET)


def test_without_keys_this_machine_is_answered_and_told_so() -> None:
    guarded = Guarded()
    assert guarded.client.post("/order").json()["client"] == "address:127.0.0.1"
    status = guarded.edges.status()
    assert not status["authentication"]["required"]
    assert "authentication is off: every program on this machine" in status["authentication"]["notice"]
    assert status["rate_limit"] is None


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::1", "testclient", "127.0.0.1.example.org"])
def test_without_keys_another_machine_is_refused_but_on_open_paths(address: str) -> None:
    guarded = Guarded(address)
    error = refused(guarded.client.get("/opinion"), 401, "unauthenticated")
    assert error["value"] == address
    assert "ALPHARAY_API_KEYS_FILE" in error["hint"]
    assert guarded.client.get("/health/live").status_code == 200


def test_another_machine_is_answered_where_authentication_is_switched_off() -> None:
    guarded = Guarded("10.1.2.3", authentication="off")
    assert guarded.client.post("/order").status_code == 200
    assert "anyone who reaches this address" in guarded.edges.status()["authentication"]["notice"]


def test_required_without_anything_to_check_does_not_start() -> None:
    with pytest.raises(ValueError, match="nothing to check"):
        Guarded(authentication="required")


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (READ_KEY, {("GET", "/order"), ("GET", "/opinion"), ("POST", "/opinion")}),
        (TRADE_KEY, {("POST", "/order")}),
        (ADMIN_KEY, {("GET", "/switch"), ("POST", "/switch"), ("GET", "/switch/on"), ("POST", "/switch/on")}),
    ],
    # Keys are made anew in each process.
    ids=["read", "trade", "admin"],
)
@pytest.mark.parametrize("prefix", ["", "/portfolio"])
def test_each_scope_opens_its_own_requests_and_no_other(key: str, allowed: set[tuple[str, str]], prefix: str) -> None:
    guarded = Guarded(prefix=prefix, api_keys=KEYS)
    for method in ("GET", "POST"):
        for path in ("/opinion", "/order", "/switch", "/switch/on"):
            for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
                response = guarded.client.request(method, prefix + path, headers=headers)
                if (method, path) in allowed:
                    assert response.status_code == 200, (method, path)
                else:
                    error = refused(response, 403, "missing_scope")
                    assert error["value"] in ("read", "trade", "admin")
                    assert error["value"] in error["message"]


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({}, "Authorization"),
        ({"Authorization": "Basic cmVhZGVyOng="}, "Authorization"),
        ({"X-API-Key": "reader.wrong"}, "X-API-Key"),
        ({"X-API-Key": ""}, "X-API-Key"),
        ({"Authorization": f"Bearer {READ_KEY}x"}, "Authorization"),
        ({"Authorization": "Bearer"}, "Authorization"),
        ({"Authorization": "Bearer a.b.c"}, "Authorization"),
    ],
)
def test_without_a_valid_key_the_answer_is_401_and_says_how(headers: dict[str, str], field: str) -> None:
    guarded = Guarded(api_keys=KEYS)
    response = guarded.client.get("/opinion", headers=headers)
    error = refused(response, 401, "unauthenticated")
    assert error["field"] == field
    assert "X-API-Key" in error["hint"]
    assert ("this needs an API key" in error["message"]) == (headers in ({}, {"Authorization": "Basic cmVhZGVyOng="}))
    assert response.headers["www-authenticate"] == "Bearer"
    for value in headers.values():
        assert len(value) < 8 or value not in response.text


def test_open_paths_need_no_key_and_are_not_counted() -> None:
    guarded = Guarded(api_keys=KEYS, rate_limit_per_minute=1)
    for _ in range(3):
        for path in ("/health/live", "/metrics"):
            assert guarded.client.get(path).status_code == 200
    closed = Guarded(api_keys=KEYS, open_paths="/health/live")
    refused(closed.client.get("/metrics"), 401, "unauthenticated")


def test_a_token_is_a_client_and_an_expired_one_says_so(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    for settings in ({"jwt_secret": SECRET}, {"jwt_secret_file": str(file)}):
        guarded = Guarded(**settings)
        answer = guarded.client.get("/opinion", headers={"Authorization": f"Bearer {token()}"})
        assert answer.json()["client"] == "token:ann"
        late = guarded.client.get("/opinion", headers={"Authorization": f"Bearer {token(exp=1)}"})
        assert "expired" in refused(late, 401, "unauthenticated")["message"]


def test_no_secret_is_in_status_logs_or_settings_shown(caplog: pytest.LogCaptureFixture) -> None:
    guarded = Guarded(api_keys=KEYS, jwt_secret=SECRET)
    logger = logging.getLogger(SERVICE_LOGGER)
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.DEBUG, SERVICE_LOGGER):
            guarded.client.get("/opinion", headers={"X-API-Key": "reader.guess-of-a-secret"})
            guarded.client.get("/opinion", headers={"Authorization": f"Bearer {token(exp=1)}"})
    finally:
        logger.removeHandler(caplog.handler)
    told = [vars(record) for record in caplog.records if record.name == SERVICE_LOGGER]
    assert len({one["request_id"] for one in told}) == 2
    assert {one["code"] for one in told} == {"unauthenticated"}
    assert all(one["request_id"] for one in told)
    shown = repr(told) + repr(guarded.edges.status()) + repr(Settings(api_keys=KEYS, jwt_secret=SECRET))
    for secret in ("guess-of-a-secret", SECRET, READ_LINE.split()[-1]):
        assert secret not in shown


def test_the_limit_is_for_each_client_and_its_headers_tell_what_is_left() -> None:
    guarded = Guarded(api_keys=KEYS, rate_limit_per_minute=2)
    for remaining in ("1", "0"):
        response = guarded.client.get("/opinion", headers={"X-API-Key": READ_KEY})
        assert response.status_code == 200
        assert response.headers["ratelimit-remaining"] == remaining
    response = guarded.client.get("/opinion", headers={"X-API-Key": READ_KEY})
    refused(response, 429, "rate_limited")
    assert 0 < int(response.headers["retry-after"]) <= 60
    assert response.headers["ratelimit-limit"] == "2"
    assert guarded.client.post("/order", headers={"X-API-Key": TRADE_KEY}).status_code == 200


def test_guesses_are_counted_for_their_address_and_do_not_lock_out_the_key_they_name() -> None:
    guarded = Guarded(api_keys=KEYS, rate_limit_per_minute=2)
    codes = [guarded.client.get("/opinion", headers={"X-API-Key": f"reader.{n}"}).status_code for n in range(4)]
    assert codes == [401, 401, 429, 429]
    assert guarded.client.get("/opinion", headers={"X-API-Key": READ_KEY}).status_code == 200


def test_the_limit_is_100_where_keys_are_needed_and_can_be_taken_away() -> None:
    assert Guarded(api_keys=KEYS).edges.status()["rate_limit"]["requests_a_minute"] == 100
    assert Guarded(api_keys=KEYS, rate_limit_per_minute=0).edges.rate_limit is None


def test_a_client_behind_trusted_proxies_is_the_address_that_they_saw() -> None:
    def asked(trusted_proxies: int, forwarded: str) -> str:
        guarded = Guarded("10.0.0.1", authentication="off", trusted_proxies=trusted_proxies)
        answer = guarded.client.get("/opinion", headers={"X-Forwarded-For": forwarded})
        return str(answer.json()["client"])

    assert asked(0, "8.8.8.8") == "address:10.0.0.1"
    assert asked(1, "6.6.6.6, 8.8.8.8") == "address:8.8.8.8"
    assert asked(2, "6.6.6.6, 8.8.8.8, 10.0.0.9") == "address:8.8.8.8"
    assert asked(2, "8.8.8.8") == "address:10.0.0.1"
    assert asked(1, "2001:db8:1:2:3::4") == asked(1, "2001:db8:1:2:ffff::1") == "address:2001:db8:1:2::/64"
    assert asked(1, "::ffff:8.8.8.8") == "address:8.8.8.8"


def parts(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * 10


def test_bodies_are_limited_with_and_without_a_length() -> None:
    guarded = Guarded(request_max_bytes=50)
    assert guarded.client.post("/order", content=b"x" * 50).json()["bytes"] == 50
    assert guarded.client.post("/order", content=parts(5)).json()["bytes"] == 50
    refused(guarded.client.post("/order", content=b"x" * 51), 413, "body_too_large")
    for too_large in (parts(6), iter([b"x" * 50, b"x"])):
        refused(guarded.client.post("/order", content=too_large), 413, "body_too_large")
    for wrong in ("-1", "a", "9" * 5000, "\u0663"):
        response = guarded.client.post("/order", content=b"x", headers={"Content-Length": wrong.encode()})
        refused(response, 413, "body_too_large")


def test_work_without_an_answer_in_time_is_cancelled_and_a_stream_that_began_goes_on() -> None:
    guarded = Guarded(request_time_limit_s=0.1)
    response = guarded.client.get("/slow")
    refused(response, 504, "timed_out")
    assert guarded.cancelled
    assert "retry-after" in response.headers
    assert guarded.client.get("/stream").content == b"onetwo"


def test_only_listed_origins_may_call_and_see_why_they_are_refused() -> None:
    guarded = Guarded(api_keys=KEYS, allowed_origins="https://desk.example, https://other.example")
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    allowed = guarded.client.options("/order", headers={"Origin": "https://desk.example", **asks})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
    rival = guarded.client.options("/order", headers={"Origin": "https://desk.example.evil", **asks})
    assert "access-control-allow-origin" not in rival.headers
    response = guarded.client.post("/order", headers={"Origin": "https://desk.example"})
    refused(response, 401, "unauthenticated")
    assert response.headers["access-control-allow-origin"] == "https://desk.example"
    assert "Retry-After" in response.headers["access-control-expose-headers"]
    silent = Guarded().client.get("/opinion", headers={"Origin": "https://desk.example"})
    assert not [name for name in silent.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/opinion", "/nowhere", "/slow", "/broken"])
def test_every_answer_has_the_security_headers(path: str) -> None:
    response = Guarded(request_time_limit_s=0.1).client.get(path)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "strict-transport-security" not in response.headers
    assert "secret" not in response.text


def test_a_page_keeps_its_own_policy_and_tls_is_remembered() -> None:
    guarded = Guarded()
    assert guarded.client.get("/own").headers.get_list("content-security-policy") == ["default-src 'self'"]
    secure = TestClient(guarded.application, base_url="https://testserver", client=("127.0.0.1", 1))
    assert "max-age" in secure.get("/opinion").headers["strict-transport-security"]


def test_a_request_id_goes_through_is_shortened_and_is_made_where_none_came() -> None:
    guarded = Guarded()
    assert guarded.client.get("/opinion", headers={"X-Request-ID": "mine"}).json()["id"] == "mine"
    assert begin_call({"headers": [(b"x-request-id", b"x" * 200)]})[1].request_id == "x" * 128
    made = [guarded.client.get("/opinion").json()["id"] for _ in range(2)]
    assert len(set(made)) == 2
    assert all(len(one) == 32 for one in made)


def test_a_websocket_is_closed_since_no_edge_guards_one() -> None:
    guarded = Guarded()
    with pytest.raises(WebSocketDisconnect) as closed, guarded.client.websocket_connect("/opinion"):
        pass
    assert closed.value.code == 1008


def test_refusals_are_counted_by_code_in_the_registry_of_the_application() -> None:
    guarded = Guarded(api_keys=KEYS, rate_limit_per_minute=1)
    registry = CollectorRegistry()
    guarded.edges.metrics.register(registry)
    for _ in range(3):
        guarded.client.get("/opinion")
    counted = {
        code: registry.get_sample_value("alpharay_edge_refusals_total", {"code": code})
        for code in ("unauthenticated", "rate_limited")
    }
    assert counted == {"unauthenticated": 1.0, "rate_limited": 2.0}
    assert registry.get_sample_value("alpharay_edge_rate_limit_degraded") == 0.0
