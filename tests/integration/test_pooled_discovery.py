"""One command searches several stored markets with one account, and finds what the library finds."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
from discovery_stack import (  # noqa: F401 - fixtures are found by their names
    candles,
    current,
    job,
    pool,
    symbol,
)

from alpharay.backtest.frictions import Frictions, frictions_to_json
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.pooled import PoolLimits
from alpharay.discovery.pooled import discover_pooled
from alpharay.discovery.search import SearchSettings
from alpharay.market.candles import Candles
from alpharay.settings import Settings
from alpharay.store.database import DatabasePool
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.strategy import with_minimum_holding
from benchmarks.signal_data import store_candles

SEARCH = SearchSettings(population=12, generations=3, top_n=2, seed=5, min_trades=2, patience=2)


def upside_down(candles: Candles, name: str) -> Candles:
    """Another market of the same days."""
    turned = {
        field: 1e6 / getattr(candles, field) for field in ("open", "close")
    } | {"high": 1e6 / candles.low, "low": 1e6 / candles.high, "volume": np.ones(len(candles)) * 1e9}  # fmt: skip
    return replace(candles, symbol=name, **turned)


def test_a_pool_is_searched_with_one_account_by_the_command_as_by_the_library(
    pool: DatabasePool, current: Settings, candles: Candles, tmp_path: Path
) -> None:
    other = upside_down(candles, f"OTHER{candles.symbol}")
    store_candles(current.require("database_url"), other)
    frictions = Frictions(starting_capital=1e6, lot_size=0.5)
    file = tmp_path / "costs.json"
    file.write_text(json.dumps(frictions_to_json(frictions)))
    arguments = (
        "--pool", f"{candles.symbol},{other.symbol}", "--exchange", "simulated", "--max-positions", "2",
        "--position-share", "0.6", "--strategies", "SMA_RSI", "--minimum-holding", "0,9", "--population", "12",
        "--generations", "3", "--top", "2", "--seed", "5", "--min-trades", "2", "--patience", "2",
        "--frictions", str(file), "--workers", "0", "--json",
    )  # fmt: skip
    with job(current, *arguments, out=subprocess.PIPE) as process:
        output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    (found,) = json.loads(output)["searches"]
    (expected,) = discover_pooled(
        [with_minimum_holding(CATALOGUE["SMA_RSI"], 0, 9, 0)], [candles, other], SEARCH,
        limits=PoolLimits(max_positions=2, fraction=0.6), frictions=frictions,
    )  # fmt: skip
    assert expected.champions
    assert found["symbols"] == [candles.symbol, other.symbol]
    assert found["frictions"] == frictions_to_json(frictions)
    assert [item["parameters"] for item in found["champions"]] == [item.parameters for item in expected.champions]
    assert found["champions"][0]["in_sample"] == metrics_json(expected.champions[0].in_sample)
    assert found["hold_equal_shares"]["in_sample"] == metrics_json(expected.hold_in_sample)
    assert "At most 2 positions at once" in errors
    assert "are not stored" in errors


def test_a_pool_without_candles_or_beside_a_symbol_is_refused(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    for arguments, said in (
        (("--pool", f"{candles.symbol},NONE/USD"), "no candles of NONE/USD 1d are stored"),
        (("--pool", candles.symbol, "--symbol", candles.symbol), "give --symbol or --pool"),
        (("--symbol", candles.symbol, "--timeframes", "36h"), "whole multiple of the candles' 1d, was '36h'"),
        (("--symbol", candles.symbol, "--timeframes", "3d,30d"), "at least 100 are needed"),
        (("--symbol", candles.symbol, "--frictions", "absent.json"), "the frictions' file absent.json cannot be read"),
    ):
        with job(current, *arguments, "--workers", "0", "--strategies", "SMA_RSI", "--no-store") as process:
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 2
        assert said in " ".join(errors.split())
