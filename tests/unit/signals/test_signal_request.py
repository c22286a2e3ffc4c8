from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.signals.refusal import RefusedError
from alpharay.signals.request import read_request


def test_a_bare_symbol_takes_the_default_quote() -> None:
    assert read_request(b'{"symbol": "sol", "price": 100}', "USDT").symbol == "SOL/USDT"


def test_a_whole_symbol_and_all_fields_are_taken_as_they_are() -> None:
    body = b'{"symbol":"ETH/BTC","price":0.05,"timeframe":"1h","exchange":"kraken","signal_id":"a-1"}'
    request = read_request(body, "USD")
    assert (request.symbol, request.price, request.timeframe) == ("ETH/BTC", 0.05, "1h")
    assert (request.exchange, request.signal_id) == ("kraken", "a-1")


@pytest.mark.parametrize(
    ("body", "code", "field", "value"),
    [
        (b"", "invalid_json", None, ""),
        (b"{", "invalid_json", None, "{"),
        (b"\xff\xfe", "invalid_json", None, "��"),
        (b"null", "invalid_json", None, "null"),
        (b'["SOL"]', "invalid_json", None, '["SOL"]'),
        (b"[" * 4000, "invalid_json", None, None),
        (b'{"symbol":"SOL","price":1} x', "invalid_json", None, None),
        (b'{"symbol":"SOL"}', "missing_field", "price", None),
        (b'{"price":1}', "missing_field", "symbol", None),
        (b'{"symbol":"SOL","price":1,"size":3}', "unknown_field", "size", "3"),
        (b'{"symbol":"SOL","price":0}', "invalid_field", "price", "0"),
        (b'{"symbol":"SOL","price":-1.5}', "invalid_field", "price", "-1.5"),
        (b'{"symbol":"SOL","price":NaN}', "invalid_field", "price", "NaN"),
        (b'{"symbol":"SOL","price":-Infinity}', "invalid_field", "price", "-Infinity"),
        (b'{"symbol":"SOL","price":1e999}', "invalid_field", "price", "Infinity"),
        (b'{"symbol":"SOL","price":"100"}', "invalid_field", "price", '"100"'),
        (b'{"symbol":"SOL","price":true}', "invalid_field", "price", "true"),
        (b'{"symbol":"SOL","price":null}', "invalid_field", "price", "null"),
        (b'{"symbol":5,"price":1}', "invalid_field", "symbol", "5"),
        (b'{"symbol":"","price":1}', "invalid_field", "symbol", ""),
        (b'{"symbol":"SO L","price":1}', "invalid_field", "symbol", "SO L"),
        (b'{"symbol":"SOL\\n","price":1,"timeframe":"1 day"}', "invalid_field", "timeframe", "1 day"),
        (b'{"symbol":"SOL","price":1,"signal_id":"a b"}', "invalid_field", "signal_id", "a b"),
        (b'{"symbol":"SOL","price":1,"signal_id":""}', "invalid_field", "signal_id", ""),
    ],
)
def test_a_mistake_names_its_code_field_and_value(body: bytes, code: str, field: str | None, value: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        read_request(body, "USD")
    refusal = refused.value.refusal
    assert (refusal.code, refusal.field) == (code, field)
    if value is not None:
        assert refusal.value == value
    if field is not None:
        assert field in refusal.message


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(RefusedError) as refused:
        read_request(b'{"symbol":"' + b"A" * 2000 + b'","price":1}', "USD")
    assert refused.value.refusal.value is not None
    assert len(refused.value.refusal.value) == 100
    assert len(refused.value.refusal.message) < 300


@given(st.binary(max_size=300))
def test_whatever_the_bytes_they_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(RefusedError):
        read_request(body, "USD")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_the_json_it_is_read_or_refused(value: object) -> None:
    body = json.dumps({"symbol": "SOL", "price": value}).encode()
    if isinstance(value, float) and math.isfinite(value) and value > 0.0:
        assert read_request(body, "USD").price == value
        return
    with pytest.raises(RefusedError) as refused:
        read_request(body, "USD")
    assert refused.value.refusal.field == "price"
