"""Small versions of the two benchmarks: they fail only when the error rate or the power is broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from alpharay.discovery.search import SearchSettings
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import Configuration, LastGate, configuration_hash
from benchmarks import null_markets, planted_edge
from benchmarks.promotion_runs import Markets, Task, run_tasks

RUNS = 12
SMALL = Configuration(
    strategies=(strategy_named("SMA_EMA_CROSSOVER"),),
    timeframe="1h",
    search=SearchSettings(population=20, generations=2, top_n=1, objective="sharpe", train_fraction=0.6, min_trades=50),
    permutations=19,
    level=0.05,
    last_gate=LastGate(permutations=9),
)
MARKETS = Markets((), "1h", 6_000)


def test_twelve_markets_without_an_edge_promote_hardly_ever():
    """True rate 1 %: three of twelve happen once in 5,000 times; were it 50 %, fewer than three once in 50."""
    figures, rows = null_markets.measure(MARKETS, SMALL, range(RUNS))
    assert figures["runs"] == RUNS
    assert figures["promoted"] <= 2
    assert figures["passed_permutation"] <= 4
    assert figures["configuration"] == configuration_hash(SMALL)
    assert [row["promoted"] for row in rows] == [figures["promoted"]]


def test_twelve_strong_edges_are_mostly_found_and_none_counts_as_found_at_zero():
    """At least nine of twelve; were the power 50 %, that would happen 7 times in 100."""
    figures, rows = planted_edge.measure(MARKETS, SMALL, range(RUNS), (0.0, 10.0))
    assert figures["oracle_sharpe"] == 10.0
    assert figures["promoted"] >= 9
    assert rows[0]["oracle_sharpe"] == 0.0
    assert rows[0]["promoted"] <= 4


def test_an_interrupted_series_goes_on_where_it_ended(tmp_path):
    file = tmp_path / "runs" / "series.jsonl"
    tasks = [Task("A", run, None) for run in range(4)]
    computed = []

    def compute(task):
        computed.append(task.run)
        return {"outcome": "rejected", "value": task.run * 10}

    def interrupted(task):
        if task.run == 2:
            raise KeyboardInterrupt
        return compute(task)

    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, interrupted, file, "test")
    # A kill in the middle of a write leaves half a line.
    file.write_text(file.read_text() + '{"market": "A", "ru')
    records = run_tasks(tasks, compute, file, "test")
    assert computed == [0, 1, 2, 3]
    assert sorted(record["value"] for record in records) == [0, 10, 20, 30]
    assert [record["value"] for record in run_tasks(tasks, compute, file, "test")] == [0, 10, 20, 30]
    assert computed == [0, 1, 2, 3]


def test_runs_of_another_market_or_edge_are_not_taken_for_finished(tmp_path):
    file = tmp_path / "series.jsonl"
    file.write_text(json.dumps({"market": "A", "run": 0, "sharpe": None, "outcome": "promoted"}) + "\n")
    records = run_tasks([Task("A", 0, 2.0), Task("B", 0, None)], lambda _: {"outcome": "rejected"}, file, "test")
    assert [record["outcome"] for record in records] == ["rejected", "rejected"]


def test_a_run_has_the_same_market_whenever_it_is_made():
    _, one = MARKETS.series(5)
    _, same = MARKETS.series(5)
    _, other = MARKETS.series(6)
    assert (one.close == same.close).all()
    assert not (one.close == other.close).all()


def test_real_candles_are_flipped_anew_for_every_run():
    _, base = MARKETS.series(1)
    real = Markets((base, replace(base, symbol="B/USD")), "1h", 0)
    names, series = zip(*(real.series(run) for run in range(3)), strict=True)
    assert [name.split()[0] for name in names] == ["GARCH/USD", "B/USD", "GARCH/USD"]
    assert not (series[0].close == series[2].close).all()
