"""Hostile requests against the signal application behind its edges: never a 5xx, always the one shape of errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient
from test_signal_api import Bench, bench, candles, snapshot  # noqa: F401 - fixtures

from alpharay.settings import Settings
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.signal import ACCESS
from serve_apps.signal_api import signal_api

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FIELDS = ("symbol", "price", "timeframe", "exchange", "signal_id", "extra", "")


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


@pytest.fixture(scope="module")
def schema(application: GuardedApplication) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", application)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_what_the_document_describes_is_what_is_answered(schema: Any, mode: schemathesis.GenerationMode) -> None:
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 7
    if mode is schemathesis.GenerationMode.NEGATIVE:
        # Only what takes something can be sent something wrong.
        operations = [one for one in operations if one.body]
        assert operations
    for operation in operations:

        @settings(max_examples=40, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def is_as_described(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        is_as_described()


def is_an_answer_or_a_refusal(response: httpx.Response) -> None:
    assert response.status_code < 500, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/json"
    if response.status_code != 200:
        error = response.json()["error"]
        assert set(error) == {"code", "field", "value", "message", "hint"}
        assert error["code"] != "internal_error"
        assert len(response.content) < 4096


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=80)
    | st.sampled_from(["SOL", "SOL/USD", "1h", "generated", "\x00", "\ud800", "\u202e", "${j:ldap://x}", "9" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(FIELDS), values, max_size=len(FIELDS)).map(json.dumps).map(str.encode)
nested = st.tuples(st.sampled_from([(b"[", b"]"), (b'{"symbol":', b"}")]), st.integers(1, 2500)).map(
    lambda one: one[0][0] * one[1] + b"1" + one[0][1] * one[1]
)
numbers = st.sampled_from(["NaN", "-Infinity", "1e999", "-0", "1e-999", "0x1", "1" * 4300, "1." + "0" * 3000, "٣"]).map(
    lambda text: f'{{"symbol":"SOL","price":{text}}}'.encode()
)
twice = st.just(b'{"symbol":"SOL","symbol":{},"price":1,"price":"1"}')


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid body with some bytes replaced: most are no UTF-8 or no JSON any more."""
    body = bytearray(b'{"symbol": "SOL", "price": 100.0, "timeframe": "1h", "signal_id": "mine"}')
    for _ in range(draw(st.integers(1, 4))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(objects, nested, numbers, twice, damaged(), st.binary(max_size=200)))
@example(b"\xef\xbb\xbf{}")
@example(b'{"symbol":"\\ud800","price":1}')
@example(b'{"symbol":"SOL","price":1}\x00')
def test_any_body_is_answered_or_refused_in_one_shape(client: TestClient, body: bytes) -> None:
    response = client.post("/generate_signal", content=body, headers={"Content-Type": "application/json"})
    is_an_answer_or_a_refusal(response)


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
    is_an_answer_or_a_refusal(client.request(method, "/x" + quote(path), headers=headers))
