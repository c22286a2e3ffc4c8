"""A signal walked to an order over HTTP: dry unless it says otherwise, one order however often it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from portfolio_bench import (
    NOW_MS,
    SIGNAL,
    Bench,
    error_of,
)

from alpharay.store.signals import StoredSignal


def test_a_signal_is_walked_dry_and_says_how_it_would_be_booked(bench: Bench) -> None:
    answer = bench.walk().json()
    assert (answer["decision"], answer["stored"], answer["order_id"]) == ("allowed", False, "paper:s-1")
    assert (answer["signal_id"], answer["action"], answer["side"]) == ("s-1", "BUY", "buy")
    assert (answer["expected"]["filled_quantity"], answer["expected"]["position"]) == ("0.5", "1")
    assert bench.placed == []


def test_a_signal_is_one_order_however_often_it_is_sent(bench: Bench) -> None:
    first = bench.walk(dry_run=False).json()
    assert (first["stored"], first["repeated"], len(bench.placed)) == (True, False, 1)
    assert bench.placed[0].fraction == 0.05
    # Old by now, and without a size: what was made is told, nothing is asked anew.
    again = bench.walk({"candle_time": 0, "suggested_fraction": None}, dry_run=False).json()
    assert (again["decision"], again["repeated"], len(bench.placed)) == ("repeated", True, 1)
    assert again["booked"]["fills"][0]["fill_id"] == "f1"
    assert bench.walk(dry_run=True).json()["stored"] is True


def test_it_waits_for_fills_only_so_long(bench: Bench) -> None:
    answer = bench.walk(dry_run=False, wait_seconds=1.0).json()
    assert (answer["order"]["status"], bench.clock) == ("open", pytest.approx(1.0, abs=0.11))


def test_a_sell_sells_and_a_hold_orders_nothing(bench: Bench) -> None:
    assert bench.walk({"action": "SELL"}, fraction=0.02, dry_run=False).json()["side"] == "sell"
    assert (bench.placed[0].side, bench.placed[0].fraction) == ("sell", 0.02)
    held = bench.walk({"action": "HOLD", "signal_id": "s-2"}, dry_run=False).json()
    assert (held["decision"], held["order"], held["stored"], len(bench.placed)) == ("hold", None, False, 1)


def test_a_stored_signal_is_walked_by_its_id(bench: Bench) -> None:
    assert error_of(bench.walk(signal_id="s-9", fraction=0.1), 404, "unknown_signal")["field"] == "signal_id"
    known = {**SIGNAL, "symbol": "BTC/USD"}
    bench.signal = StoredSignal(
        **{name: known.get(name) for name in StoredSignal.__dataclass_fields__}  # type: ignore[arg-type]
    )
    answer = bench.walk(signal_id="s-1", fraction=0.1).json()
    assert (answer["order_id"], answer["decision"]) == ("paper:s-1", "allowed")
    # A stored signal suggests no size.
    assert error_of(bench.walk(signal_id="s-1"), 422, "missing_field")["field"] == "fraction"


def test_a_long_id_still_is_one_order(bench: Bench) -> None:
    answer = bench.walk({"signal_id": "s" * 64}).json()
    assert len(answer["order_id"]) <= 64
    assert answer["order_id"] == bench.walk({"signal_id": "s" * 64}).json()["order_id"]


@pytest.mark.parametrize(
    ("signal", "fields", "status", "code", "field"),
    [
        ({"candle_time": NOW_MS - 360_001}, {}, 409, "stale_data", "signal.candle_time"),
        ({"candle_time": "2020-01-01T00:00:00"}, {}, 422, "invalid_field", "signal.candle_time"),
        ({"candle_time": "2020-01-01T00:00:00Z"}, {}, 409, "stale_data", "signal.candle_time"),
        ({"exchange": "elsewhere"}, {}, 422, "invalid_field", "signal.exchange"),
        ({"timeframe": "7x"}, {}, 422, "invalid_field", "signal.timeframe"),
        ({"symbol": "B\u0000"}, {}, 422, "invalid_field", "signal.symbol"),
        ({"action": "MAYBE"}, {}, 422, "invalid_field", "signal.action"),
        ({"suggested_fraction": None}, {}, 422, "missing_field", "fraction"),
        ({}, {"fraction": 0.1, "methods": {}}, 422, "invalid_field", "fraction"),
        ({}, {"account": "papre"}, 404, "unknown_account", "account"),
        ({}, {"wait_seconds": 6.0}, 422, "invalid_field", "wait_seconds"),
    ],
)
def test_what_is_wrong_with_a_signal_is_told(
    bench: Bench, signal: dict[str, Any], fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    assert error_of(bench.walk(signal, **fields), status, code)["field"] == field
    assert bench.placed == []
