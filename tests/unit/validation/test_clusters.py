"""How many different things a search has tried."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.validation.clusters import correlation_clusters, thinned, without_market


def copies(sources: int, each: int, noise: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    base = generator.normal(0.0, 0.01, (sources, 600))
    return np.repeat(base, each, axis=0) + generator.normal(0.0, noise, (sources * each, 600))


def test_copies_of_five_trials_with_a_little_noise_are_five_clusters() -> None:
    found = correlation_clusters(copies(5, 8, 0.002))
    assert found.count == 5
    assert (np.diff(found.labels.reshape(5, 8), axis=1) == 0).all()
    assert sorted(found.labels[found.representatives].tolist()) == list(range(5))


def test_independent_trials_are_clusters_of_their_own() -> None:
    assert correlation_clusters(np.random.default_rng(1).normal(0.0, 0.01, (12, 500))).count == 12


def test_a_trial_and_its_mirror_are_two_clusters() -> None:
    one = np.random.default_rng(2).normal(0.0, 0.01, 300)
    assert correlation_clusters(np.array([one, -one, one])).labels.tolist() in ([0, 1, 0], [1, 0, 1])


def test_trials_without_a_trade_are_one_cluster() -> None:
    returns = np.zeros((4, 100))
    returns[2] = np.random.default_rng(3).normal(0.0, 0.01, 100)
    found = correlation_clusters(returns)
    assert found.count == 2
    assert len(set(found.labels[[0, 1, 3]].tolist())) == 1


@pytest.mark.parametrize("returns", [np.zeros((1, 50)), np.zeros((3, 0)), np.ones((5, 50))])
def test_trials_that_never_vary_are_one_cluster(returns: np.ndarray) -> None:
    assert correlation_clusters(returns).count == 1


def test_the_representative_is_in_the_middle_of_its_cluster() -> None:
    generator = np.random.default_rng(4)
    base = generator.normal(0.0, 0.01, 2000)
    noise = [0.008, 0.0005, 0.008, 0.008]
    returns = np.array([base + generator.normal(0.0, size, 2000) for size in noise])
    assert correlation_clusters(returns).representatives.tolist() == [1]


def test_no_trial_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        correlation_clusters(np.empty((0, 10)))


def test_thinning_keeps_both_ends_and_the_bound() -> None:
    assert thinned(5, 10).tolist() == [0, 1, 2, 3, 4]
    kept = thinned(10_000, 100)
    assert (kept[0], kept[-1], len(kept)) == (0, 9_999, 100)


def test_rules_that_share_only_the_market_are_told_apart_without_it() -> None:
    generator = np.random.default_rng(5)
    market = generator.normal(0.0005, 0.02, 800)
    own = generator.normal(0.0, 0.004, (4, 800))
    returns = own + np.array([0.4, 0.6, 0.8, 1.0])[:, None] * market
    assert correlation_clusters(returns).count == 1
    left = without_market(returns, market)
    assert correlation_clusters(left).count == 4
    assert np.abs(left @ (market - market.mean())).max() < 1e-12


def test_holding_the_market_or_a_market_that_stands_still_leaves_nothing_odd() -> None:
    market = np.random.default_rng(6).normal(0.0, 0.01, 50)
    assert (without_market(market[None, :], market) == 0.0).all()
    still = np.zeros(50)
    np.testing.assert_array_equal(without_market(market[None, :], still), market[None, :])
