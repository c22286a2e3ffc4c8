"""The probability of backtest overfitting against a plain loop over the splits, and on trials with a known answer."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from alpharay.discovery.search_space import repair, search_space
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.overfitting import overfitting, space_filling_sample


def plain_probability(returns: np.ndarray, blocks: int) -> tuple[float, list[float]]:
    """CSCV as the paper's figure describes it, a loop a split, on blocks of equal length."""
    parts = np.split(returns.T, blocks)
    logits = []
    for inside in combinations(range(blocks), blocks // 2):
        train = np.concatenate([parts[number] for number in inside])
        test = np.concatenate([parts[number] for number in range(blocks) if number not in inside])
        sharpe_train = train.mean(axis=0) / train.std(axis=0, ddof=1)
        sharpe_test = test.mean(axis=0) / test.std(axis=0, ddof=1)
        best = int(np.argmax(sharpe_train))
        rank = 1 + int(np.sum(sharpe_test < sharpe_test[best]))
        relative = rank / (returns.shape[0] + 1)
        logits.append(float(np.log(relative / (1 - relative))))
    return float(np.mean([logit <= 0 for logit in logits])), logits


@pytest.mark.parametrize(("trials", "blocks"), [(5, 4), (12, 6), (30, 8)])
def test_the_probability_is_that_of_a_plain_loop_over_the_splits(trials: int, blocks: int) -> None:
    returns = np.random.default_rng(trials).normal(0.0005, 0.01, (trials, blocks * 13))
    probability, logits = plain_probability(returns, blocks)
    found = overfitting(returns, blocks)
    assert found.probability == probability
    np.testing.assert_allclose(found.logits, logits, rtol=1e-12)


def test_one_trial_with_a_real_edge_is_hardly_ever_overfitted() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.01, (40, 800))
    returns[7] += 0.004
    found = overfitting(returns)
    assert len(found.logits) == 12_870
    assert found.probability < 0.01
    assert found.probability_of_loss < 0.01


def test_the_best_of_noise_is_below_the_median_about_half_the_time() -> None:
    generator = np.random.default_rng(2)
    found = [overfitting(generator.normal(0.0, 0.01, (20, 320)), 8).probability for _ in range(40)]
    assert 0.4 < float(np.mean(found)) < 0.65


def test_trials_that_never_trade_are_ranked_in_the_middle_and_break_nothing() -> None:
    returns = np.zeros((6, 64))
    returns[0] = np.random.default_rng(3).normal(0.0, 0.01, 64)
    found = overfitting(returns, 4)
    assert np.isfinite(found.logits).all()
    assert 0.0 <= found.probability <= 1.0


@pytest.mark.parametrize(
    ("shape", "blocks", "message"),
    [((1, 100), 4, "at least 2 trials"), ((3, 7), 4, "at least 8 days"), ((3, 100), 5, "even number")],
)
def test_what_cannot_be_split_is_refused(shape: tuple[int, int], blocks: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overfitting(np.zeros(shape), blocks)


def test_the_sample_is_valid_distinct_and_spread_over_the_ranges() -> None:
    space = search_space(strategy_named("MACD_CROSSOVER"))
    sample = space_filling_sample(space, 64, seed=0)
    assert 50 <= len(sample) <= 64
    assert len(np.unique(sample, axis=0)) == len(sample)
    np.testing.assert_array_equal(repair(space, sample), sample)
    quarter = (space.high - space.low) / 4
    assert (sample.min(axis=0) <= space.low + quarter).all()
    assert (sample.max(axis=0) >= space.high - quarter).all()
    np.testing.assert_array_equal(space_filling_sample(space, 64, seed=0), sample)
