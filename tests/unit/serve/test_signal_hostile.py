"""Hostile requests against the signal application behind its edges: never a 5xx, always the one shape of errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hostile_requests import check_described, check_refusal, hostile_bodies
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from test_signal_api import Bench, candles, snapshot  # noqa: F401 - fixtures

from alpharay.settings import Settings
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.signal import ACCESS
from serve_apps.signal_api import signal_api
from serve_apps.signal_stream import StreamPlaces

WHOLE = b'{"symbol": "SOL", "price": 100.0, "timeframe": "1h", "exchange": "generated", "signal_id": "mine"}'
NAMES = ("symbol", "price", "timeframe", "exchange", "signal_id")


@pytest.fixture(scope="module")
def application(snapshot: Any) -> Iterator[GuardedApplication]:
    made = Bench(source=lambda: snapshot)
    assert made.refresher.refresh()
    made.refresher.start()
    # The test's client has no address: authentication is switched off.
    edges = edges_of(Settings(authentication="off"), "signal", ACCESS)
    api = signal_api(made.service, versions={"alpharay": "1"}, edges=edges, places=StreamPlaces(longest_s=0.0))
    yield GuardedApplication(api, edges)
    made.refresher.stop()


@pytest.fixture(scope="module")
def client(application: GuardedApplication) -> TestClient:
    return TestClient(application, raise_server_exceptions=False)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_what_the_document_describes_is_what_is_answered(
    application: GuardedApplication, mode: schemathesis.GenerationMode
) -> None:
    check_described(application, mode, examples=15, least=28)


@settings(max_examples=400)
@given(hostile_bodies(WHOLE, b"100.0", NAMES))
@example(b"\xef\xbb\xbf{}")
@example(b'{"symbol":"\\ud800","price":1}')
@example(b'{"symbol":"SOL","price":1}\x00')
@example(b'{"symbol":"SOL","symbol":{},"price":1,"price":"1"}')
def test_any_body_is_answered_or_refused_in_one_shape(client: TestClient, body: bytes) -> None:
    check_refusal(client.post("/generate_signal", content=body, headers={"Content-Type": "application/json"}))


BATCH = b'{"requests": [{"symbol": "SOL", "price": 100.0}]}'


@settings(max_examples=200)
@given(hostile_bodies(BATCH, b"100.0", ("requests",)))
@example(b'{"requests": [' + b'{"symbol":"SOL","price":1},' * 2_000 + b"0]}")
@example(b'{"requests": ["\\ud800", null, [[]], {"symbol": {}}, NaN]}')
@example(b'{"requests": [{"symbol": "SOL", "price": 100.0}], "requests": {}}')
def test_any_batch_is_answered_or_refused_in_one_shape(client: TestClient, body: bytes) -> None:
    response = client.post("/generate_signals", content=body, headers={"Content-Type": "application/json"})
    if response.status_code != 200:
        check_refusal(response)
        return
    for one in response.json()["answers"]:
        assert one["status"] < 500
        assert ("signal" in one) != ("error" in one)


@settings(max_examples=100)
@given(hostile_bodies(b'{"symbol": "SOL", "timeframe": "1h", "exchange": "1.0"}', b"1.0", NAMES[:1] + NAMES[2:4]))
def test_any_prediction_is_answered_or_refused_in_one_shape(client: TestClient, body: bytes) -> None:
    check_refusal(client.post("/ml/predict", content=body, headers={"Content-Type": "application/json"}))


hostile_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(
    ["SOL", "SOL,SOL", "SOL/USD", "../../etc/passwd", "\x00", "SOL\n\ndata: x", "," * 500, "S" * 5000]
)


@settings(max_examples=150)
@given(
    path=st.sampled_from(["features", "market-context", "strategies", "risk-check", "orchestrator"]),
    symbol=hostile_text,
    query=st.dictionaries(st.sampled_from(["timeframe", "exchange", "symbols", "x"]), hostile_text),
)
def test_any_symbol_and_query_of_a_component_is_answered_or_refused_in_one_shape(
    client: TestClient, path: str, symbol: str, query: dict[str, str]
) -> None:
    check_refusal(client.get(f"/{path}/{quote(symbol, safe='')}", params=query))


@settings(max_examples=150)
@given(symbols=hostile_text, last=st.binary(max_size=300).map(lambda one: one.replace(b"\n", b"").replace(b"\r", b"")))
def test_any_stream_ends_or_is_refused_in_one_shape(client: TestClient, symbols: str, last: bytes) -> None:
    response = client.get("/signals/stream", params={"symbols": symbols}, headers={b"Last-Event-ID": last})
    if response.status_code != 200:
        check_refusal(response)
        return
    # What a client sent must not become an event.
    kinds = {line.partition(":")[0] for line in response.text.splitlines()}
    assert kinds <= {"", "retry", "event", "id", "data"}
    assert "data: x" not in response.text.splitlines()


header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=200)


@settings(max_examples=200)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"]),
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "Authorization", "X-API-Key", "X-Request-ID", "X-Forwarded-For", "Origin"]),
        header_values.map(lambda text: text.encode("latin-1")),
    ),
)
def test_any_path_method_and_header_is_refused_in_one_shape(
    client: TestClient, method: str, path: str, headers: dict[str, bytes]
) -> None:
    check_refusal(client.request(method, "/x" + quote(path), headers=headers))
