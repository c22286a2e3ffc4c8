from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from market_series import random_walk

from alpharay.backtest.frictions import Frictions
from alpharay.backtest.pooled import PoolLimits, backtest_pooled, open_pool
from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.checkpoint import Checkpoint, CheckpointError
from alpharay.discovery.evaluation import Batch
from alpharay.discovery.pooled import PooledEvaluator, champions_of_markets, discover_pooled, pool_splits
from alpharay.discovery.search import SearchSettings, discover
from alpharay.discovery.split import out_of_sample
from alpharay.strategies.catalogue import CATALOGUE

MARKETS = [replace(random_walk(1500, seed=seed), symbol=f"{name}/USD") for seed, name in enumerate(("AAA", "BBB"))]
SETTINGS = SearchSettings(population=16, generations=5, seed=2, min_trades=1)
STRATEGY = CATALOGUE["SMA_RSI"]
LIMITS = PoolLimits(max_positions=2)


def test_champions_are_scored_on_the_shared_account_of_the_training_parts() -> None:
    (report,) = discover_pooled([STRATEGY], MARKETS, SETTINGS, limits=LIMITS)
    genomes = np.array([STRATEGY.genome(champion.parameters) for champion in report.champions])
    result = backtest_pooled(STRATEGY, genomes, open_pool([part.train for part in report.parts]), limits=LIMITS)
    assert [result.row(place) for place in range(len(genomes))] == [item.in_sample for item in report.champions]
    assert len({part.train_end_time for part in report.parts}) == 1
    assert report.hold_out_of_sample is not None


def test_a_pool_of_one_market_finds_what_the_plain_search_finds() -> None:
    (pooled,) = discover_pooled([STRATEGY], MARKETS[:1], SETTINGS)
    plain = discover(STRATEGY, MARKETS[0], SETTINGS)
    # Equals to rounding: genomes that make the same trades may take each other's place.
    assert pooled.best == pytest.approx(plain.best, rel=1e-9)
    first = pooled.champions[0]
    after = out_of_sample(STRATEGY, first.parameters, plain.parts).metrics
    assert first.out_of_sample is not None
    assert first.out_of_sample.total_return == pytest.approx(after.total_return, rel=1e-9)
    assert pooled.hold_in_sample.total_return == pytest.approx(plain.hold_in_sample.total_return, rel=1e-9)


@pytest.mark.parametrize("frictions", [None, Frictions(starting_capital=1e4, lot_size=0.01)])
def test_on_each_market_a_champion_has_the_figures_of_an_account_of_that_market_alone(frictions: Any) -> None:
    (report,) = discover_pooled([STRATEGY], MARKETS, SETTINGS, limits=LIMITS, frictions=frictions)
    found = champions_of_markets(report)
    assert len(found) == len(MARKETS)
    for part, champions in zip(report.parts, found, strict=True):
        assert champions
        for champion in champions:
            parameters = champion.parameters
            alone = backtest_strategy(STRATEGY, parameters, part.train, frictions=frictions).metrics
            assert (champion.in_sample, champion.score) == (alone, alone.sharpe)
            assert champion.out_of_sample == out_of_sample(STRATEGY, parameters, part, frictions=frictions).metrics
        kept = [champion.parameters for champion in champions]
        assert kept == [champion.parameters for champion in report.champions if champion.parameters in kept]


def test_a_market_on_which_a_champion_trades_too_seldom_has_no_candidate_of_it() -> None:
    flat = replace(MARKETS[1], **dict.fromkeys(("open", "high", "low", "close"), np.full(1500, 100.0)))
    (report,) = discover_pooled([STRATEGY], [MARKETS[0], flat], SETTINGS, limits=LIMITS)
    assert report.champions
    first, second = champions_of_markets(report)
    assert len(first) == len(report.champions)
    assert second == ()


def test_a_window_without_a_test_part_has_no_figures_out_of_sample() -> None:
    (report,) = discover_pooled([STRATEGY], MARKETS, replace(SETTINGS, train_fraction=1.0), limits=LIMITS)
    assert {champion.out_of_sample for champions in champions_of_markets(report) for champion in champions} == {None}


def test_markets_of_different_lengths_are_cut_at_the_same_time_in_every_time_frame() -> None:
    late = MARKETS[1].slice(400, 1500)
    pools = pool_splits([MARKETS[0], late], replace(SETTINGS, timeframes=("1h", "4h")))
    cut = int(1500 * 0.7) * 3_600_000
    for parts, hours in zip(pools, (1, 4), strict=True):
        for part in parts:
            assert part.train.open_time[-1] + hours * 3_600_000 <= cut < part.test.open_time[0] + hours * 3_600_000


def test_a_pooled_search_resumes_and_refuses_other_limits() -> None:
    kept: list[Checkpoint] = []
    (whole,) = discover_pooled([STRATEGY], MARKETS, SETTINGS, limits=LIMITS, on_checkpoint=kept.append)
    (resumed,) = discover_pooled([STRATEGY], MARKETS, SETTINGS, limits=LIMITS, resume=kept[1])
    assert (resumed.champions, resumed.evaluations) == (whole.champions, whole.evaluations)
    with pytest.raises(CheckpointError, match="limits"):
        discover_pooled([STRATEGY], MARKETS, SETTINGS, resume=kept[1])


def test_frictions_reach_the_search_and_an_evaluator_travels_with_them() -> None:
    costly = Frictions(minimum_notional=10.0)
    evaluator = PooledEvaluator([item.slice(0, 300) for item in MARKETS], limits=LIMITS, frictions=costly, share=2)
    batch = Batch(STRATEGY, STRATEGY.genome(STRATEGY.defaults)[None, :])
    again = pickle.loads(pickle.dumps(evaluator))
    assert (again.frictions, again.limits, again.share) == (costly, LIMITS, 2)
    np.testing.assert_array_equal(evaluator(batch).metrics, again(batch).metrics)


@pytest.mark.parametrize("candles", [[], [MARKETS[0], MARKETS[0]], [MARKETS[0], MARKETS[1].slice(0, 0)]])
def test_no_market_the_same_twice_or_an_empty_one_is_refused(candles: list[Any]) -> None:
    with pytest.raises(ValueError, match="different symbols"):
        discover_pooled([STRATEGY], candles, SETTINGS)


def test_a_market_that_begins_after_the_cut_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="BBB/USD 1h has 0 candles to train on"):
        discover_pooled([STRATEGY], [MARKETS[0], MARKETS[1].slice(1200, 1500)], SETTINGS)
