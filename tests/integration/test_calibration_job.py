"""The calibration job against a real database: stored once, forecast from what is stored, clear errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

import ray_jobs.calibrate
from alpharay.models.volatility_fit import fit_volatility
from alpharay.store.migrate import migrate
from alpharay.store.risk_models import load_models
from benchmarks.signal_data import generated_candles, store_candles
from ray_jobs.calibrate import app


@pytest.fixture
def database_url(database: str, stack: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    migrate(database)
    monkeypatch.setattr(ray_jobs.calibrate, "settings", lambda: stack.settings(database))
    return database


def run(*arguments: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_states_are_stored_once_and_the_newest_candle_moves_them(database_url: str) -> None:
    whole = generated_candles("BTC/USD", bars=400, seed=1)
    store_candles(database_url, whole.slice(0, 399))
    store_candles(database_url, generated_candles("ETH/USD", bars=400, seed=2))

    assert [one["stored"] for one in run("--pair", "BTC,ETH", "--dry-run")] == [False] * 5
    first = run("--pair", "BTC,ETH")
    assert [(one["symbol"], one["kind"], one["stored"]) for one in first] == [
        ("BTC/USD", "volatility", True),
        ("BTC/USD", "change_points", True),
        ("ETH/USD", "volatility", True),
        ("ETH/USD", "change_points", True),
        ("BTC/USD", "hedge_ratio", True),
    ]
    # The pair was named once; the same candles change nothing.
    assert [one["stored"] for one in run()] == [False] * 5

    store_candles(database_url, whole.tail(1))
    again = run("--symbol", "BTC")
    assert [(one["kind"], one["stored"], one["decided_at"]) for one in again[:2]] == [
        ("volatility", True, int(whole.open_time[-1])),
        ("change_points", True, int(whole.open_time[-1])),
    ]
    with psycopg.connect(database_url) as connection:
        models, problems = load_models(connection)
    assert problems == {}
    volatility = next(model for model in models if model.key[:3] == ("volatility", "generated", "BTC/USD"))
    assert volatility.state == fit_volatility(np.diff(np.log(whole.close)))


def test_a_market_with_one_candle_is_told_and_leaves_the_others_alone(database_url: str) -> None:
    store_candles(database_url, generated_candles("NEW/USD", bars=1))
    store_candles(database_url, generated_candles("OLD/USD", bars=300))
    found = run()
    assert found[0] == {"name": "NEW/USD 1h", "problem": "returns must be at least 1, were 0"}
    assert [one["stored"] for one in found[1:]] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no candles of any market are stored: run `python -m ray_jobs.ingest` first"),
        (("--pair", "BTC"), "pair must be two symbols, such as BTC/USD,ETH/USD, was 'BTC'"),
        (("--pair", "BTC,BTC/USD"), "pair must be two different symbols"),
        (("--pair", "BTC,ETH"), "no candles of BTC/USD and ETH/USD"),
        (("--model", "arima"), "model must be garch or gjr, was 'arima'"),
        (("--symbol", "BTC USD"), "symbol must look like BTC or BTC/USD, was 'BTC USD'"),
    ],
)
def test_what_cannot_be_done_is_said(database_url: str, arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    assert message in result.stderr
