"""The progress, the leaderboard and the plot of a search."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from market_series import random_walk
from rich.console import Console

from alpharay.discovery.equity_plot import downsample, write_equity_plot
from alpharay.discovery.leaderboard import leaderboard, leaderboard_table, report_json
from alpharay.discovery.progress import DiscoveryProgress
from alpharay.discovery.search import DiscoveryReport, Generation, SearchSettings, discover_all
from alpharay.strategies.catalogue import CATALOGUE

NAMES = ("DOUBLE_EMA_CROSSOVER", "SMA_RSI")


@pytest.fixture(scope="module")
def reports() -> list[DiscoveryReport]:
    strategies = [CATALOGUE[name] for name in NAMES]
    return discover_all(strategies, random_walk(4000, seed=3), SearchSettings(population=20, generations=4))


def shown(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_leaderboard_is_ordered_in_sample_and_shows_both_parts_with_buy_and_hold(
    reports: list[DiscoveryReport],
) -> None:
    entries = leaderboard(reports)
    scores = [entry.champion.score for entry in entries]
    assert scores == sorted(scores, reverse=True)
    assert len(leaderboard(reports, a_strategy=1)) == 2
    text = shown(leaderboard_table(reports))
    held = reports[0].hold_out_of_sample
    assert held is not None
    for expected in (*NAMES, "buy and hold", f"{held.total_return:+.1%}", "After costs", "Out of sample"):
        assert expected in text
    assert f"{sum(report.evaluations for report in reports):,} backtests" in text.replace("\n", " ")


def test_a_report_as_json_has_no_number_that_json_lacks(reports: list[DiscoveryReport]) -> None:
    text = json.dumps([report_json(report) for report in reports], allow_nan=False)
    assert json.loads(text)[0]["champions"][0]["out_of_sample"]["sharpe"] is not None


def test_the_plot_is_one_file_that_loads_nothing_else(reports: list[DiscoveryReport], tmp_path: Path) -> None:
    file = write_equity_plot(reports, tmp_path / "new" / "plot.html")
    text = file.read_text()
    assert "<script src=" not in text
    assert "out of sample: not seen by the search" in text


def test_downsampling_keeps_both_ends_and_the_extremes() -> None:
    values = np.sin(np.arange(100_000) / 3000.0)
    values[43_210], values[77_777] = 9.0, -9.0
    rows = downsample(values)
    assert len(rows) <= 1502
    assert {0, 43_210, 77_777, 99_999} <= set(rows.tolist())
    assert downsample(values[:10]).tolist() == list(range(10))


def test_progress_without_a_terminal_writes_lines_that_fit_a_log() -> None:
    console = Console(file=io.StringIO(), width=200)
    told = Generation("SMA_RSI", 3, 30, 120, 1.5, 0.25, 0.9, 2.0, None)
    with DiscoveryProgress(NAMES, console) as progress:
        progress(told)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "first generation" in lines[0]
    assert "generation 3/30 · 120 backtests (60/s) · best SMA_RSI 1.500 · at most 18 s left" in lines[-1]


def test_progress_in_a_terminal_is_a_table_that_fits_its_height() -> None:
    console = Console(file=io.StringIO(), width=120, height=9, force_terminal=True)
    progress = DiscoveryProgress([f"S{index}" for index in range(30)], console)
    with progress:
        progress(Generation("S29", 1, 30, 50, -np.inf, -np.inf, 1.0, 0.5, "stagnation"))
    assert isinstance(console.file, io.StringIO)
    assert "and 27 more" in console.file.getvalue()


def test_searches_of_several_time_frames_are_told_apart(tmp_path: Path) -> None:
    settings = SearchSettings(population=12, generations=2, timeframes=("1h", "4h"), min_trades=1)
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    progress = DiscoveryProgress(NAMES[:1], console)
    with progress:
        found = discover_all([CATALOGUE[NAMES[0]]], random_walk(3000), settings, on_generation=progress)
    assert isinstance(console.file, io.StringIO)
    for text in (shown(leaderboard_table(found)), console.file.getvalue()):
        assert f"{NAMES[0]} 1h" in text
        assert f"{NAMES[0]} 4h" in text
    assert f"{NAMES[0]} 4h" in write_equity_plot(found, tmp_path / "plot.html").read_text()
