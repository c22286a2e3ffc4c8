"""What is shown of pooled searches: the account's figures, best first, and notes that say what they are worth."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from io import StringIO

from market_series import random_walk
from rich.console import Console

from alpharay.backtest.frictions import Frictions, frictions_to_json
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.pooled import PoolLimits
from alpharay.discovery.pooled import PooledReport, discover_pooled
from alpharay.discovery.pooled_leaderboard import pooled_json, pooled_notes, pooled_table
from alpharay.discovery.search import SearchSettings
from alpharay.strategies.catalogue import CATALOGUE

MARKETS = [replace(random_walk(900, seed=seed), symbol=f"{name}/USD") for seed, name in enumerate(("AAA", "BBB"))]
SETTINGS = SearchSettings(population=12, generations=2, top_n=3, seed=2, min_trades=1)


@cache
def reports(train_fraction: float = 0.7) -> list[PooledReport]:
    return discover_pooled(
        [CATALOGUE["SMA_RSI"], CATALOGUE["MACD_CROSSOVER"]],
        MARKETS,
        replace(SETTINGS, train_fraction=train_fraction),
        limits=PoolLimits(max_positions=2, fraction=0.3),
    )


def shown(found: list[PooledReport], a_search: int | None = None) -> list[str]:
    text = StringIO()
    Console(width=200, file=text).print(pooled_table(found, a_search=a_search))
    return text.getvalue().splitlines()


def rows_of(lines: list[str]) -> list[str]:
    return [line for line in lines if line.lstrip().startswith(("SMA_RSI", "MACD_CROSSOVER"))]


def test_all_champions_are_shown_best_first_whichever_search_found_them() -> None:
    lines = shown(reports())
    every = sorted((one for report in reports() for one in report.champions), key=lambda one: -one.score)
    rows = rows_of(lines)
    assert len(rows) == len(every) > 3
    for row, champion in zip(rows, every, strict=True):
        assert f"{champion.score:.3f}" in row
        assert f"{champion.in_sample.total_return:+.1%}" in row
        assert champion.out_of_sample is not None
        assert f"{champion.out_of_sample.sharpe:.2f}" in row
    assert "AAA/USD, BBB/USD, one account" in lines[0]
    held = next(line for line in lines if "hold equal shares" in line)
    assert f"{reports()[0].hold_in_sample.total_return:+.1%}" in held


def test_one_of_each_search_is_its_best() -> None:
    rows = rows_of(shown(reports(), a_search=1))
    best = sorted((report.best for report in reports()), reverse=True)
    assert len(rows) == 2
    assert all(f"{score:.3f}" in row for row, score in zip(rows, best, strict=True))


def test_without_unseen_candles_there_are_dashes() -> None:
    rows = rows_of(shown(reports(1.0)))
    assert rows
    assert all(row.split()[-4:] == ["-"] * 4 for row in rows)
    assert pooled_json(reports(1.0)[0])["hold_equal_shares"]["out_of_sample"] is None  # type: ignore[index]


def test_notes_tell_limits_costs_and_the_backtests_of_all_searches() -> None:
    shared, picked = pooled_notes(reports())
    assert "At most 2 positions at once, each entered with 30% of the equity" in shared
    assert "fee 0.1000% and slippage 0.0200%" in picked
    assert f"picked from {sum(report.evaluations for report in reports()):,} backtests" in picked


def test_notes_name_what_never_traded_and_what_ended_early() -> None:
    first, second = reports()
    empty, cut = replace(first, champions=()), replace(second, stop_reason="time_budget")
    notes = pooled_notes([empty, cut])
    assert any("Never traded with a finite score, whatever the parameters: SMA_RSI 1h." in note for note in notes)
    assert any("Ended early" in note for note in notes)
    assert len(rows_of(shown([empty, cut]))) == len(second.champions)


def test_json_has_the_account_and_reads_back() -> None:
    frictions = Frictions(starting_capital=5e4, lot_size=0.1)
    report = replace(reports()[0], frictions=frictions)
    found = json.loads(json.dumps(pooled_json(report)))
    assert found["symbols"] == ["AAA/USD", "BBB/USD"]
    assert (found["max_positions"], found["position_share"], found["timeframe"]) == (2, 0.3, "1h")
    assert found["frictions"] == frictions_to_json(frictions)
    assert "frictions" not in pooled_json(reports()[0])
    assert [item["parameters"] for item in found["champions"]] == [one.parameters for one in report.champions]
    assert found["champions"][0]["in_sample"] == metrics_json(report.champions[0].in_sample)


def test_frictions_are_told_beside_the_costs() -> None:
    _, picked = pooled_notes([replace(reports()[0], frictions=Frictions(lot_size=0.25))])
    assert "0.25" in picked
