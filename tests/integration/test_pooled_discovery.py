"""One command searches several stored markets with one account, and finds what the library finds."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from discovery_stack import (  # noqa: F401 - fixtures are found by their names
    candles,
    current,
    job,
    pool,
    publish_and_queue,
    symbol,
)

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, frictions_to_json
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.pooled import PoolLimits
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.pooled import champions_of_markets, discover_pooled
from alpharay.discovery.search import SearchSettings
from alpharay.market.candles import Candles
from alpharay.settings import Settings
from alpharay.store.database import DatabasePool
from alpharay.store.report_content import report_content
from alpharay.store.runs import enqueue_run, run_state
from alpharay.store.strategies import best_strategies
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.strategy import with_minimum_holding
from benchmarks.signal_data import store_candles
from ray_jobs.consume import consume_once
from ray_jobs.queued_discovery import work_queue
from ray_jobs.request_discovery import make_requests

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
    assert "1 runs stored, 0 were stored before" in errors
    consume_once(current)
    with pool.connection() as connection:
        state = run_state(connection, found["run_id"])
        stored = {market.symbol: best_strategies(connection, symbol=market.symbol) for market in (candles, other)}
    assert state is not None
    assert (state.status, state.request.symbol) == ("DONE", candles.symbol)
    assert state.progress is not None
    assert state.progress["pool"]["champions"] == found["champions"]  # type: ignore[index]
    # On each market with its figures there, as candidates like any other.
    for market, champions in zip((candles, other), champions_of_markets(expected), strict=True):
        assert [(item.parameters, item.score) for item in stored[market.symbol]] == sorted(
            ((one.parameters, one.score) for one in champions), key=lambda one: -one[1]
        )
    assert any(stored.values())
    (first, *_) = [*stored[candles.symbol], *stored[other.symbol]]
    assert first.status == "CANDIDATE"
    (validated,) = json.loads(
        told(current, first.strategy_id, "--permutations", "19", "--most-permutations", "19", "--windows", "2",
             "--workers", "0", "--json")
    )  # fmt: skip
    assert validated["status"] in ("VALIDATED", "REJECTED", "INSUFFICIENT"), validated
    with pool.connection() as connection, pytest.raises(ValueError, match="of several markets, and a report is of one"):
        report_content(connection, found["run_id"])


def told(current: Settings, *arguments: str) -> str:
    with job(current, *arguments, module="ray_jobs.validate", out=subprocess.PIPE) as process:
        output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output


def test_a_pooled_request_that_gives_way_after_each_generation_ends_as_the_library(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    other = upside_down(candles, f"LATE{candles.symbol}")
    store_candles(current.require("database_url"), other)
    requests = make_requests(
        pool, [candles.symbol, other.symbol], "1d", [2 * len(candles)], [CATALOGUE["SMA_RSI"], CATALOGUE["CMO_MFI"]],
        SEARCH, Costs(), exchange="simulated", together=PoolLimits(max_positions=2),
    )  # fmt: skip
    publish_and_queue(current, pool, requests)
    with pool.connection() as connection:
        # Somebody else waits, so that the pool is put back after each round.
        assert enqueue_run(connection, msgspec.structs.replace(
            requests[0], run_id="waits", pool=None, symbol=other.symbol, generations=2))  # fmt: skip
    assert work_queue(pool, SerialExecutor(), "worker", on_run=lambda *_: None, slice_s=0.0, checkpoint_s=0.0) == 3
    with pool.connection() as connection:
        states = [run_state(connection, request.run_id) for request in requests]
    assert [state.status for state in states if state] == ["DONE", "DONE"]
    assert sum(state.slices for state in states if state) >= 2
    expected = discover_pooled(
        [CATALOGUE["SMA_RSI"], CATALOGUE["CMO_MFI"]], [candles, other], SEARCH, limits=PoolLimits(max_positions=2)
    )
    for state, report in zip(states, expected, strict=True):
        assert state is not None
        assert state.progress is not None
        wanted = [one.parameters for one in report.champions]
        kept = state.progress["pool"]["champions"]  # type: ignore[index]
        assert [one["parameters"] for one in kept] == wanted
        assert state.progress["evaluations"] == report.evaluations


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
