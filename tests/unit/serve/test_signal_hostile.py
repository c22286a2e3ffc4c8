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

WHOLE = b'{"symbol": "SOL", "price": 100.0, "timeframe": "1h", "exchange": "generated", "signal_id": "mine"}'
NAMES = ("symbol", "price", "timeframe", "exchange", "signal_id")


@pytest.fixture(scope="module")
def application(snapshot: Any) -> Iterator[GuardedApplication]:
    made = Bench(source=lambda: snapshot)
    assert made.refresher.refresh()
    made.refresher.start()
    # The test's client has no address: authentication is switched off.
    edges = edges_of(Settings(authentication="off"), "signal", ACCESS)
    yield GuardedApplication(signal_api(made.service, versions={"alpharay": "1"}, edges=edges), edges)
    made.refresher.stop()


@pytest.fixture(scope="module")
def client(application: GuardedApplication) -> TestClient:
    return TestClient(application, raise_server_exceptions=False)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_what_the_document_describes_is_what_is_answered(
    application: GuardedApplication, mode: schemathesis.GenerationMode
) -> None:
    check_described(application, mode, examples=40, least=7)


@settings(max_examples=400)
@given(hostile_bodies(WHOLE, b"100.0", NAMES))
@example(b"\xef\xbb\xbf{}")
@example(b'{"symbol":"\\ud800","price":1}')
@example(b'{"symbol":"SOL","price":1}\x00')
@example(b'{"symbol":"SOL","symbol":{},"price":1,"price":"1"}')
def test_any_body_is_answered_or_refused_in_one_shape(client: TestClient, body: bytes) -> None:
    check_refusal(client.post("/generate_signal", content=body, headers={"Content-Type": "application/json"}))


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
