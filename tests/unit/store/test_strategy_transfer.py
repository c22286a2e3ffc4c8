"""A file of strategies: what export writes import reads, and everything else is refused by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from alpharay.store.strategies import StoredStrategy
from alpharay.store.strategy_transfer import ExportedStrategy, strategies_file, strategies_of_file
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.strategy import strategy_id

MACD = strategy_named("MACD_CROSSOVER")
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def stored(**changes: Any) -> StoredStrategy:
    expression = strategy_to_json(MACD)
    return replace(
        StoredStrategy(
            strategy_id=strategy_id(expression, MACD.defaults, "AAA/USD", "1h"), exchange="test", symbol="AAA/USD",
            timeframe="1h", strategy_name=MACD.name, strategy=expression, parameters=MACD.defaults,
            objective="sharpe", score=1.25, in_sample={"sharpe": 1.25, "profit_factor": None}, out_of_sample={},
            start_time=0, end_time=20, train_end_time=10, status="VALIDATED", first_discovered_at=NOW,
            last_evaluated_at=NOW,
        ),
        **changes,
    )  # fmt: skip


def content(entry: dict[str, Any]) -> bytes:
    """A file with the stored strategy, changed."""
    file = msgspec.json.decode(strategies_file([stored()]))
    file["strategies"][0] |= entry
    return msgspec.json.encode(file)


def test_a_file_holds_what_was_stored_and_says_what_it_is() -> None:
    text = strategies_file([stored(), stored()])
    (one, two) = strategies_of_file(text)
    assert one == two
    assert isinstance(one, ExportedStrategy)
    for name in ("strategy_id", "exchange", "strategy", "parameters", "score", "in_sample", "train_end_time"):
        assert getattr(one, name) == getattr(stored(), name), name
    assert all(isinstance(value, int) for value in one.parameters.values())
    assert b'"format": "alpharay-strategies"' in text
    assert strategies_of_file(strategies_file([])) == []


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"\x89PNG", "must be JSON as `alpharay strategies export` writes it"),
        (b"[]", "must have the format 'alpharay-strategies'"),
        (b'{"format": "alpharay-strategies", "version": 1}', "must have the format"),
        (b'{"format": "alpharay-strategies", "version": 2, "strategies": []}', "version of the file must be 1, was 2"),
        (b'{"format": "alpharay-strategies", "version": 1, "strategies": [7]}', r"strategy 1 of the file \(without"),
    ],
)
def test_a_file_of_another_kind_is_refused(file: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strategies_of_file(file)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"strategy_id": "f" * 64}, "strategy_id must be that of its rules, .*, was ffff"),
        ({"symbol": "BBB/USD"}, "strategy_id must be that of its rules"),
        ({"timeframe": "7x"}, "7x"),
        ({"parameters": {"fast": 1.0}}, "takes the parameters"),
        ({"strategy": {"name": "X"}}, "strategy 1 of the file"),
        ({"strategy": {**strategy_to_json(MACD), "name": "<b>"}}, "name must be capitals, digits and _, .*was '<b>'"),
        ({"score": "high"}, "score"),
        ({"end_time": 5}, "must be in order, was 0, 10, 5"),
        ({"in_sample": {"sharpe": "good"}}, "in_sample"),
    ],
)
def test_an_entry_that_does_not_fit_together_is_refused_with_its_place(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        strategies_of_file(content(entry))
    assert str(refused.value).startswith("strategy 1 of the file")


def test_what_the_codec_does_not_read_does_not_travel() -> None:
    (found,) = strategies_of_file(content({"strategy": {**strategy_to_json(MACD), "surprise": "<script>"}}))
    assert "surprise" not in found.strategy
