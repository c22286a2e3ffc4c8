"""Platt scaling against scikit-learn, and where there is nothing to calibrate."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import _SigmoidCalibration

from alpharay.models.probability_calibration import PlattScaling, fit_platt


def drawn(count: int, seed: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    scores = generator.normal(0.3, 2.0, count)
    chance = 1.0 / (1.0 + np.exp(-(slope * scores + intercept)))
    return scores, (generator.random(count) < chance).astype(float)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.2, -0.7), (5.0, 2.0)])
def test_the_scaling_is_that_of_scikit_learn(seed: int, slope: float, intercept: float) -> None:
    scores, outcomes = drawn(400, seed, slope, intercept)
    reference = _SigmoidCalibration().fit(scores, outcomes)
    found = fit_platt(scores, outcomes)
    assert found.slope == pytest.approx(-reference.a_, rel=1e-3, abs=1e-4)
    assert found.intercept == pytest.approx(-reference.b_, rel=1e-3, abs=1e-3)
    np.testing.assert_allclose(found.probabilities(scores), reference.predict(scores), atol=1e-4)


def test_many_samples_find_the_true_scaling() -> None:
    scores, outcomes = drawn(200_000, 1, 0.5, -0.3)
    found = fit_platt(scores, outcomes)
    assert found.slope == pytest.approx(0.5, abs=0.01)
    assert found.intercept == pytest.approx(-0.3, abs=0.02)


def test_scores_that_mislead_count_for_nothing() -> None:
    scores, outcomes = drawn(1_000, 2, -1.0, 0.0)
    found = fit_platt(scores, outcomes)
    assert found.slope == 0.0
    np.testing.assert_allclose(found.probabilities(scores), outcomes.mean(), atol=1e-3)


def test_scores_that_are_all_alike_give_the_base_rate() -> None:
    outcomes = np.array([1.0, 1.0, 1.0, 0.0])
    found = fit_platt(np.full(4, 7.0), outcomes)
    # Three of four, each count as if one more of both had been seen: 4/5, 4/5, 4/5 and 1/3.
    np.testing.assert_allclose(found.probabilities(np.array([7.0, -99.0])), (3 * 0.8 + 1.0 / 3.0) / 4)


def test_scores_that_separate_all_stay_below_certainty() -> None:
    scores = np.concatenate([np.full(50, -1.0), np.full(50, 1.0)])
    found = fit_platt(scores, (scores > 0.0).astype(float))
    np.testing.assert_allclose(found.probabilities(np.array([-1.0, 1.0])), [1 / 52, 51 / 52], rtol=1e-6)


def test_scores_of_another_scale_give_the_same_probabilities() -> None:
    scores, outcomes = drawn(500, 3, 0.7, 0.1)
    plain = fit_platt(scores, outcomes).probabilities(scores)
    scaled = fit_platt(1e6 * scores + 5e6, outcomes).probabilities(1e6 * scores + 5e6)
    np.testing.assert_allclose(scaled, plain, rtol=1e-6)


def test_extreme_scores_do_not_overflow_and_nan_stays() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = PlattScaling(1.0, 0.0).probabilities(np.array([-1e4, 0.0, 1e4]))
    np.testing.assert_array_equal(found, [0.0, 0.5, 1.0])
    assert np.isnan(PlattScaling(1.0, 0.0).probabilities(np.array([np.nan])))[0]


@pytest.mark.parametrize(
    ("scores", "outcomes", "message"),
    [
        ([1.0], [1.0, 0.0], "equal length"),
        ([1.0, np.nan], [1.0, 0.0], "1 were not"),
        ([1.0, 2.0], [1.0, 1.0], "some of each"),
        ([1.0, 2.0, 3.0], [1.0, 0.0, 0.5], "must be 0 and 1"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(scores: list[float], outcomes: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_platt(np.array(scores), np.array(outcomes))


@pytest.mark.parametrize(("slope", "intercept"), [(-0.1, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_a_scaling_that_turns_scores_around_cannot_be(slope: float, intercept: float) -> None:
    with pytest.raises(ValueError, match="train again"):
        PlattScaling(slope, intercept)
