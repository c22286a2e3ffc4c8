"""The gate's bound against `arch`, the losses against scikit-learn, and the verdict's edges."""

from __future__ import annotations

import numpy as np
import pytest
from arch.bootstrap import CircularBlockBootstrap
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from alpharay.models.promotion import log_losses, mean_gain_bound, reliability, verdict


def persistent(count: int, seed: int, mean: float = 0.0) -> np.ndarray:
    """Return a series of mean `mean` in which neighbours resemble each other."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=count + 20)
    return mean + np.convolve(noise, np.ones(21), mode="valid") / 21**0.5


@pytest.mark.parametrize(("count", "block"), [(600, 25), (613, 30), (50, 1), (40, 100)])
def test_the_bound_is_that_of_arch(count: int, block: int) -> None:
    gains = persistent(count, seed=count)
    # Both draw the same blocks from one seed.
    means = CircularBlockBootstrap(min(block, count), gains, seed=3).apply(np.mean, 400).ravel()
    for confidence in (0.5, 0.9, 0.99):
        found = mean_gain_bound(gains, block=block, bootstraps=400, confidence=confidence, seed=3)
        assert found == pytest.approx(float(np.quantile(means, 1.0 - confidence)), rel=1e-9)


def test_neighbours_that_resemble_each_other_lower_the_bound() -> None:
    gains = persistent(2_000, seed=1, mean=0.2)
    alone = mean_gain_bound(gains, block=1, bootstraps=2_000, confidence=0.99, seed=0)
    together = mean_gain_bound(gains, block=42, bootstraps=2_000, confidence=0.99, seed=0)
    assert together < alone < gains.mean()


def test_gains_that_are_all_alike_have_no_doubt() -> None:
    assert mean_gain_bound(np.full(10, 0.25), block=3, bootstraps=100, confidence=0.99, seed=0) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="were none"):
        mean_gain_bound(np.empty(0), block=3, bootstraps=100, confidence=0.99, seed=0)


def test_the_bound_is_above_zero_as_rarely_as_it_says() -> None:
    above = [
        mean_gain_bound(persistent(1_500, seed), block=42, bootstraps=500, confidence=0.9, seed=seed) > 0.0
        for seed in range(200)
    ]
    # 20 expected of 200; blocks of finite length miss a little of the dependence.
    assert 9 <= sum(above) <= 40


def test_losses_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(500)
    outcomes = (generator.random(500) < probabilities).astype(float)
    assert log_losses(probabilities, outcomes).mean() == pytest.approx(log_loss(outcomes, probabilities))


def test_a_certain_mistake_is_dear_and_finite() -> None:
    assert log_losses(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(36.04, abs=0.01)
    assert log_losses(np.array([1.0, 0.0]), np.array([1.0, 0.0])).tolist() == [0.0, 0.0]


def test_the_calibration_curve_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    probabilities = generator.random(1_000)
    outcomes = (generator.random(1_000) < probabilities**2).astype(float)
    happened, foretold = calibration_curve(outcomes, probabilities, n_bins=10, strategy="quantile")
    found = reliability(probabilities, outcomes)
    assert [part.samples for part in found] == [100] * 10
    np.testing.assert_allclose([part.foretold for part in found], foretold)
    np.testing.assert_allclose([part.happened for part in found], happened)


def test_few_samples_make_fewer_parts() -> None:
    assert len(reliability(np.array([0.2, 0.4]), np.array([0.0, 1.0]))) == 2


@pytest.mark.parametrize(
    ("bound", "promoted", "told"),
    [
        (0.001, True, "log loss +2.00 mnat better than the base rate, bound +1.00, above 0 with 99% confidence"),
        (0.0, False, "must be above 0"),
        (-0.001, False, "bound -1.00: must be above 0 with 99% confidence, so it abstains"),
        (float("nan"), False, "not known"),
    ],
)
def test_only_a_bound_above_zero_is_promoted(bound: float, promoted: bool, told: str) -> None:
    found = verdict(0.002, bound, 0.99)
    assert found[0] is promoted
    assert told in found[1]
