"""Requests that no client should send, and what every application must answer to them: a refusal, never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def check_described(application: Any, mode: schemathesis.GenerationMode, *, examples: int, least: int) -> None:
    """Send what the application's own OpenAPI document describes, or the opposite, to each operation."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", application)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= least
    if mode is schemathesis.GenerationMode.NEGATIVE:
        # Only what takes something can be sent something wrong.
        operations = [one for one in operations if one.body]
        assert operations
    for operation in operations:

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def is_as_described(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        is_as_described()


def check_refusal(response: httpx.Response) -> None:
    """An answer or an error in the house's one form."""
    assert response.status_code < 500, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/json"
    if response.status_code >= 400:
        error = response.json()["error"]
        assert set(error) == {"code", "field", "value", "message", "hint"}
        assert error["code"] != "internal_error"
        assert len(response.content) < 4096


def values_such_as(*samples: str) -> st.SearchStrategy[Any]:
    """Return JSON values of any kind and depth, with `samples` and texts that break what reads them among them."""
    texts = [*samples, "\x00", "\ud800", "\u202e", "${j:ldap://x}", "9" * 5000]
    leaves = st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats()
    return st.recursive(
        leaves | st.text(max_size=80) | st.sampled_from(texts),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )


values = values_such_as("SOL", "SOL/USD", "1h", "generated")
nested = st.tuples(st.sampled_from([(b"[", b"]"), (b'{"symbol":', b"}")]), st.integers(1, 2500)).map(
    lambda one: one[0][0] * one[1] + b"1" + one[0][1] * one[1]
)
numbers = st.sampled_from(["NaN", "-Infinity", "1e999", "-0", "1e-999", "0x1", "1" * 4300, "1." + "0" * 3000, "٣"])


def objects(names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """Return JSON objects with any values under these names."""
    fields = st.dictionaries(st.sampled_from((*names, "extra", "")), values, max_size=len(names))
    return fields.map(json.dumps).map(str.encode)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return a valid body with some bytes replaced: most are no UTF-8 or no JSON any more."""
    body = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


def with_number(whole: bytes, number: bytes) -> st.SearchStrategy[bytes]:
    """Return a valid body with `number` in it replaced by what no float holds or no JSON allows."""
    assert whole.count(number) == 1
    return numbers.map(lambda text: whole.replace(number, text.encode()))


def hostile_bodies(whole: bytes, number: bytes, names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """Return bodies near and far from the valid one `whole`."""
    return st.one_of(objects(names), nested, with_number(whole, number), damaged(whole), st.binary(max_size=200))
