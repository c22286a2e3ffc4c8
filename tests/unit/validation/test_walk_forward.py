"""Walk-forward: what each window may see, and what its pieces add up to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from series import random_walk, waves

from alpharay.backtest.costs import Costs
from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.search import SearchSettings, discover
from alpharay.discovery.split import Split, out_of_sample
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Strategy
from alpharay.validation.memory import longest_holding, longest_memory
from alpharay.validation.walk_forward import WalkForwardSettings, cut_windows, walk_forward

SEARCH = SearchSettings(population=12, generations=3, min_trades=3, seed=1)
CROSSOVER = strategy_named("SMA_EMA_CROSSOVER")


def test_windows_roll_without_overlap_and_leave_the_gap() -> None:
    windows = cut_windows(1_000, WalkForwardSettings(windows=4, test_fraction=0.4), purged_bars=30)
    assert [(item.test_start, item.test_stop) for item in windows] == [
        (600, 700), (700, 800), (800, 900), (900, 1_000),
    ]  # fmt: skip
    assert [(item.train_start, item.train_stop) for item in windows] == [
        (0, 570), (100, 670), (200, 770), (300, 870),
    ]  # fmt: skip


def test_anchored_windows_all_begin_with_the_first_candle() -> None:
    windows = cut_windows(1_000, WalkForwardSettings(windows=3, anchored=True), purged_bars=10)
    assert {item.train_start for item in windows} == {0}
    assert [item.train_stop for item in windows] == [item.test_start - 10 for item in windows]


def test_a_gap_that_would_leave_nothing_is_cut_to_a_quarter() -> None:
    (window,) = cut_windows(400, WalkForwardSettings(windows=1), purged_bars=10_000)
    assert window.train_stop == 150


@pytest.mark.parametrize("bars", [0, 1, 3, 10])
def test_too_few_candles_are_refused(bars: int) -> None:
    with pytest.raises(ValueError, match="fewer windows"):
        cut_windows(bars, WalkForwardSettings(windows=6), purged_bars=0)


@pytest.mark.parametrize("settings", [{"windows": 0}, {"test_fraction": 1.0}, {"test_fraction": 0.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        WalkForwardSettings(**settings)


def test_each_window_is_the_search_made_by_hand_and_the_equity_is_their_product() -> None:
    candles = random_walk(1_200, seed=3)
    settings = WalkForwardSettings(windows=3, test_fraction=0.5)
    found = walk_forward(CROSSOVER, candles, SEARCH, settings, purged_bars=20, executor=SerialExecutor())
    total = 1.0
    for window, result in zip(cut_windows(1_200, settings, 20), found.windows, strict=True):
        train = candles.slice(window.train_start, window.train_stop)
        # 580 of the 840 candles that the discovery would have searched.
        report = discover(CROSSOVER, train, replace(SEARCH, train_fraction=1.0, top_n=1, min_trades=3))
        assert result.parameters == report.champions[0].parameters
        seen = Split(candles.slice(window.train_start, window.test_stop), window.test_start - window.train_start)
        after = out_of_sample(CROSSOVER, report.champions[0].parameters, seen)
        assert result.out_of_sample_return == after.metrics.total_return
        still_open = len(after.trades) > 0 and after.trades["exit_reason"][-1] == "open"
        total *= after.equity[-1] * (Costs().exit_factor if still_open else 1.0)
    assert found.total_return == pytest.approx(total - 1.0, rel=1e-12)
    assert found.equity[-1] == pytest.approx(total, rel=1e-12)
    assert len(found.days) == len(found.equity)


def test_what_comes_later_changes_no_earlier_window() -> None:
    candles = random_walk(1_200, seed=4)
    settings = WalkForwardSettings(windows=3)
    first = walk_forward(CROSSOVER, candles, SEARCH, settings, purged_bars=5, executor=SerialExecutor())
    # Everything from the second window's test on is another market.
    other = random_walk(1_200, seed=5)
    at = cut_windows(1_200, settings, 5)[1].test_start
    mixed = Candles(
        candles.exchange, candles.symbol, candles.timeframe, candles.open_time,
        *(np.concatenate([getattr(candles, name)[:at], getattr(other, name)[at:]]) for name in VALUE_COLUMNS),
    )  # fmt: skip
    second = walk_forward(CROSSOVER, mixed, SEARCH, settings, purged_bars=5, executor=SerialExecutor())
    assert first.windows[0] == second.windows[0]
    assert first.windows[1].parameters == second.windows[1].parameters
    assert first.windows[1].out_of_sample_return != second.windows[1].out_of_sample_return


def test_a_real_edge_stays_and_noise_does_not() -> None:
    # Six windows of 400 bars: each holds a whole wave of 240, so there is a rise to earn on in every one.
    kept = walk_forward(CROSSOVER, waves(4_800), SEARCH, purged_bars=50, executor=SerialExecutor())
    # Four standard errors of an annual Sharpe ratio of so many days without an edge.
    chance = 4.0 * np.sqrt(365.0 / len(kept.days))
    assert kept.excess_sharpe > chance
    assert kept.efficiency > 0.5
    assert kept.profitable_windows == 1.0
    lost = [
        walk_forward(CROSSOVER, random_walk(4_800, seed), SEARCH, purged_bars=50, executor=SerialExecutor())
        for seed in range(6)
    ]
    assert max(item.excess_sharpe for item in lost) < chance
    assert sum(item.sharpe for item in lost) < 0.5 * sum(item.in_sample_sharpe for item in lost)


def test_a_search_that_finds_nothing_sits_its_window_out() -> None:
    flat = random_walk(600, deviation=0.0)
    found = walk_forward(
        CROSSOVER, flat, SEARCH, WalkForwardSettings(windows=2), purged_bars=0, executor=SerialExecutor()
    )
    assert [window.parameters for window in found.windows] == [None, None]
    assert (found.total_return, found.sharpe, found.max_drawdown, found.efficiency) == (0.0, 0.0, 0.0, 0.0)


def test_the_memory_of_a_rule_is_the_longest_way_back_through_it() -> None:
    strategy = Strategy(
        name="NESTED",
        description="a nested rule",
        parameters=(Integer("fast", 5, 20, default=12), Integer("slow", 30, 90, default=40)),
        constraints=(P.fast < P.slow,),
        enter=ta.sma(P.fast, of=ta.sma(P.slow)).crosses_above(close),
        exit=ta.sma(3) < close,
    )
    # 89 bars before the inner average, 19 before the outer, and the bar before a crossing.
    assert longest_memory(strategy) == 89 + 19 + 1


@pytest.mark.parametrize("name", ["MACD_CROSSOVER", "PARABOLIC_SAR", "ICHIMOKU_CLOUD", "SMA_RSI"])
def test_strategies_of_the_catalogue_have_a_memory(name: str) -> None:
    assert longest_memory(strategy_named(name)) >= 1


def test_the_longest_holding_is_that_of_the_trades() -> None:
    result = backtest_strategy(CROSSOVER, CROSSOVER.defaults, waves(600))
    assert longest_holding(result) == max(result.trades["exit_bar"] - result.trades["entry_bar"])
    empty = backtest_strategy(CROSSOVER, CROSSOVER.defaults, random_walk(50, deviation=0.0))
    assert longest_holding(empty) == 0
