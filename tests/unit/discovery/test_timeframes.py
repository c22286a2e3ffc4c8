from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from market_series import random_walk

from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.search import SearchSettings, discover, discover_all
from alpharay.discovery.timeframes import long_enough, timeframe_splits
from alpharay.market.resampling import resample
from alpharay.strategies.catalogue import CATALOGUE

HOURS = random_walk(3000, seed=2)
SETTINGS = SearchSettings(population=16, generations=4, min_trades=1, timeframes=("1h", "3h", "12h"))
STRATEGIES = [CATALOGUE["SMA_RSI"], CATALOGUE["DONCHIAN_BREAKOUT"]]


def test_each_time_frame_is_a_search_of_its_own_on_resampled_candles() -> None:
    reports = discover_all(STRATEGIES, HOURS, SETTINGS)
    named = [(report.strategy.name, report.parts.candles.timeframe) for report in reports]
    assert named == [(item.name, timeframe) for item in STRATEGIES for timeframe in SETTINGS.timeframes]
    assert all(
        generation.timeframe == report.parts.candles.timeframe for report in reports for generation in report.log
    )
    alone = discover(STRATEGIES[0], reports[1].parts.candles, replace(SETTINGS, timeframes=()))
    assert reports[1].champions == alone.champions


def test_no_training_candle_of_any_time_frame_reaches_over_the_cut() -> None:
    whole = timeframe_splits(HOURS, SETTINGS)
    cut = whole[0].train_end_time
    for parts, hours in zip(whole, (1, 3, 12), strict=True):
        closes = parts.train.open_time + hours * 3_600_000
        assert closes[-1] <= cut < parts.test.open_time[0] + hours * 3_600_000
        np.testing.assert_array_equal(parts.candles.close, resample(HOURS, f"{hours}h").close)


def test_the_best_time_frame_in_sample_is_what_discover_returns() -> None:
    reports = discover_all(STRATEGIES[:1], HOURS, SETTINGS)
    found = discover(STRATEGIES[0], HOURS, SETTINGS)
    assert found.best == max(report.best for report in reports)


def test_a_time_frame_that_leaves_too_few_candles_is_refused_by_name_and_left_out_on_request() -> None:
    with pytest.raises(ValueError, match=r"AAA/USD 1d has 87 candles to train on, at least 100"):
        discover_all(STRATEGIES, HOURS, replace(SETTINGS, timeframes=("1h", "1d")))
    assert long_enough(HOURS, ("1h", "1d", "4h"), 0.7) == ("1h", "4h")


def test_a_time_frame_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="whole multiple"):
        discover_all(STRATEGIES, HOURS, replace(SETTINGS, timeframes=("90m",)))


def test_the_minimum_holding_is_searched_as_a_parameter_and_holds_out_of_sample_too() -> None:
    settings = replace(SETTINGS, timeframes=(), minimum_holding=(30, 60))
    report = discover(CATALOGUE["DONCHIAN_BREAKOUT"], HOURS, settings)
    assert report.champions
    for champion in report.champions:
        assert 30 <= champion.parameters["holding"] <= 60
        seen = backtest_strategy(report.strategy, champion.parameters, report.parts.train)
        assert seen.metrics.trades == champion.in_sample.trades
        longest = len(report.parts.test) / champion.parameters["holding"]
        assert champion.out_of_sample is not None
        assert champion.out_of_sample.trades <= longest
