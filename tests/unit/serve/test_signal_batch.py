"""Many requests in one body, with a fixed snapshot: each is answered or refused on its own."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from test_signal_api import Bench, bench, candles, error_of, snapshot  # noqa: F401 - fixtures

from alpharay.market.candles import Candles


def ask_many(bench: Bench, requests: Any, path: str = "/generate_signals") -> httpx.Response:
    return bench.client.post(path, json={"requests": requests})


@pytest.mark.parametrize("path", ["/generate_signals", "/orchestrator/generate_signals"])
def test_each_request_is_answered_or_refused_on_its_own_and_in_order(
    bench: Bench,
    candles: Candles,
    path: str,
) -> None:
    close = float(candles.close[-1])
    asked = [
        {"symbol": "SOL", "price": close},
        {"symbol": "NOPE", "price": 1.0},
        {"symbol": "SOL", "price": -1},
        {"symbol": "SOLANA", "price": 100.0},
        "no object",
        {"symbol": "SOL", "price": close, "signal_id": "one-of-many"},
    ]
    response = ask_many(bench, asked, path)
    assert response.status_code == 200
    answers = response.json()["answers"]
    assert [one["status"] for one in answers] == [200, 404, 422, 200, 400, 200]
    assert [one["signal"]["symbol"] for one in answers if one["status"] == 200] == ["SOL/USD", "SOLANA/USD", "SOL/USD"]
    assert answers[1]["error"]["code"] == "unknown_symbol"
    assert set(answers[2]["error"]) == {"code", "field", "value", "message", "hint"}
    assert answers[5]["signal"]["signal_id"] == "one-of-many"
    assert [one.signal_id for one in bench.messages] == [
        one["signal"]["signal_id"] for one in answers if one["status"] == 200
    ]


def test_a_request_of_a_batch_is_answered_as_it_is_alone(bench: Bench, candles: Candles) -> None:
    asked = {"symbol": "SOL", "price": float(candles.close[-1])}
    alone = bench.ask(asked).json()
    together = ask_many(bench, [asked]).json()["answers"][0]["signal"]
    assert {**together, "signal_id": "", "request_id": ""} == {**alone, "signal_id": "", "request_id": ""}


def test_one_id_twice_in_a_batch_has_one_answer_and_one_message(bench: Bench, candles: Candles) -> None:
    asked = {"symbol": "SOL", "price": float(candles.close[-1]), "signal_id": "twice"}
    first, second = ask_many(bench, [asked, asked]).json()["answers"]
    assert first["signal"] == second["signal"]
    assert len(bench.messages) == 1


def test_a_hundred_are_answered_and_more_are_refused(bench: Bench, candles: Candles) -> None:
    asked = {"symbol": "SOL", "price": float(candles.close[-1])}
    assert len(ask_many(bench, [asked] * 100).json()["answers"]) == 100
    assert error_of(ask_many(bench, [asked] * 101), 422, "invalid_field")["field"] == "requests"
    assert error_of(ask_many(bench, []), 422, "invalid_field")["field"] == "requests"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{}", 422, "missing_field"),
        (b"[]", 400, "invalid_json"),
        (b'{"requests": {}}', 422, "invalid_field"),
        (b'{"requests": [{}], "more": 1}', 422, "unknown_field"),
        (b'{"requests": [' + b" " * 70_000 + b"]}", 413, "body_too_large"),
        (b'{"requests": [{]}', 400, "invalid_json"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(
    bench: Bench,
    body: bytes,
    status: int,
    code: str,
) -> None:
    response = bench.client.post("/generate_signals", content=body, headers={"Content-Type": "application/json"})
    error_of(response, status, code)
    assert bench.messages == []


def test_every_request_of_a_batch_is_counted(bench: Bench, candles: Candles) -> None:
    ask_many(bench, [{"symbol": "SOL", "price": float(candles.close[-1])}, {"symbol": "SOL", "price": 0}])
    text = bench.client.get("/metrics").text
    assert 'alpharay_signal_requests_total{outcome="invalid_field"} 1.0' in text
    assert "alpharay_signal_request_seconds_count 2.0" in text
    assert json.loads(bench.client.get("/status").text)["ready"]
