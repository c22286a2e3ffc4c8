from itertools import combinations

import numpy as np
import pytest

from alpharay.selection.ensemble import EnsembleSettings, choose_ensemble, correlations, quality
from alpharay.selection.track import Track


def track(strategy_id: str, returns: np.ndarray, first_day: int = 0) -> Track:
    return Track(strategy_id, first_day, returns, np.empty(0, dtype=np.int64), holds=False)


def noise(seed: int, days: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(days) * 0.01


def test_a_copy_of_the_best_strategy_is_not_chosen_but_a_worse_and_different_one_is():
    best = noise(1)
    tracks = [track("best", best), track("copy", best + noise(2) * 0.01), track("other", noise(3))]
    found = choose_ensemble(tracks, {"best": 0.6, "copy": 0.59, "other": 0.4})
    assert [member.strategy_id for member in found.members] == ["best", "other"]
    assert found.mean_correlation == pytest.approx(np.corrcoef(best, noise(3))[0, 1])


def test_the_ensemble_is_the_best_of_all_subsets_when_correlations_are_simple():
    tracks = [track(str(seed), noise(seed)) for seed in range(6)]
    confidences = {str(seed): 0.3 + 0.05 * seed for seed in range(6)}
    settings = EnsembleSettings(most=3, least_gain=0.0)
    matrix = correlations(tracks)
    values = np.array([confidences[str(seed)] for seed in range(6)])
    best = max(quality(values[list(rows)], matrix[np.ix_(rows, rows)]) for rows in combinations(range(6), 3))
    assert choose_ensemble(tracks, confidences, settings).quality == pytest.approx(best, rel=0.02)


def test_the_order_of_the_strategies_changes_nothing():
    tracks = [track(str(seed), noise(seed)) for seed in range(5)]
    confidences = {str(seed): 0.4 for seed in range(5)}
    assert choose_ensemble(tracks, confidences) == choose_ensemble(tracks[::-1], confidences)


def test_weights_sum_to_one_and_a_wild_strategy_speaks_no_louder():
    found = choose_ensemble([track("calm", noise(1)), track("wild", noise(2) * 4.0)], {"calm": 0.5, "wild": 0.5})
    weights = {member.strategy_id: member.weight for member in found.members}
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["calm"] / weights["wild"] == pytest.approx(noise(2).std() * 4.0 / noise(1).std())


def test_no_candidates_flat_ones_and_doubtful_ones_give_an_empty_ensemble():
    assert choose_ensemble([], {}).members == ()
    assert (
        choose_ensemble(
            [track("flat", np.zeros(100)), track("empty", np.empty(0))], {"flat": 0.9, "empty": 0.9}
        ).members
        == ()
    )
    assert choose_ensemble([track("doubtful", noise(1))], {"doubtful": 0.1}).members == ()


def test_correlation_uses_the_common_days_only():
    shared = noise(7, 300)
    first, second = track("a", shared, first_day=0), track("b", shared[100:], first_day=100)
    assert correlations([first, second])[0, 1] == pytest.approx(1.0)
    shifted = track("c", shared[100:], first_day=0)
    assert abs(correlations([first, shifted])[0, 1]) < 0.2


def test_too_few_common_days_count_as_the_same_strategy():
    assert correlations([track("a", noise(1, 40)), track("b", noise(2, 40), first_day=15)])[0, 1] == 1.0
    assert correlations([track("a", noise(1, 40)), track("b", noise(2, 40), first_day=500)])[0, 1] == 1.0


def test_negative_correlation_is_worth_no_more_than_none():
    confidences = np.array([0.5, 0.5])
    opposed, independent = (np.array([[1.0, value], [value, 1.0]]) for value in (-0.9, 0.0))
    assert quality(confidences, opposed) == quality(confidences, independent) == pytest.approx(1.0 / np.sqrt(2.0))
