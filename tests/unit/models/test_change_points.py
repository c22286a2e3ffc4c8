"""Change points against a plain full-matrix implementation, and on series whose changes are planted."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import logsumexp

from alpharay.models.change_points import (
    ChangePointSettings,
    ChangePointState,
    RegimePrior,
    observed,
    regime,
    regime_history,
    regime_prior,
)
from alpharay.models.stored_state import state_from_json, state_to_json

PRIOR = RegimePrior(mean=0.1, mean_observations=0.7, shape=1.3, variance=0.8)
EXACT = ChangePointSettings(prior=PRIOR, hazard=0.02, least_probability=0.0, most_lengths=10_000)


def full_matrix(values: np.ndarray, settings: ChangePointSettings) -> tuple[np.ndarray, float]:
    """Return Adams & MacKay's P(r[t] | x[1..t]) as a matrix (t, r), t from 0, and the log evidence."""
    prior, count = settings.prior, len(values)
    log_joint = np.full((count + 1, count + 1), -np.inf)
    log_joint[0, 0] = 0.0
    for t, value in enumerate(values, start=1):
        for r in range(t):
            run = values[t - 1 - r : t - 1]
            trust = prior.mean_observations + r
            mean = (prior.mean_observations * prior.mean + run.sum()) / trust
            shape = prior.shape + r / 2
            rate = prior.shape * prior.variance
            if r:
                spread = ((run - run.mean()) ** 2).sum()
                rate += 0.5 * spread
                rate += prior.mean_observations * r * (run.mean() - prior.mean) ** 2 / (2 * trust)
            scale = math.sqrt(rate * (trust + 1) / (shape * trust))
            density = stats.t.logpdf(value, 2 * shape, loc=mean, scale=scale)
            log_joint[t, r + 1] = log_joint[t - 1, r] + density + math.log1p(-settings.hazard)
            log_joint[t, 0] = np.logaddexp(log_joint[t, 0], log_joint[t - 1, r] + density + math.log(settings.hazard))
    evidence = logsumexp(log_joint, axis=1)
    return np.exp(log_joint - evidence[:, None]), float(evidence[-1])


def planted(seed: int = 1) -> tuple[np.ndarray, list[int]]:
    generator = np.random.default_rng(seed)
    parts = [(0.0, 1.0, 120), (4.0, 1.0, 80), (4.0, 4.0, 100), (0.0, 0.5, 100)]
    return np.concatenate([generator.normal(mean, scale, size) for mean, scale, size in parts]), [120, 200, 300]


def test_posterior_equals_the_full_matrix_of_adams_and_mackay() -> None:
    values, _ = planted()
    values = values[80:170]
    matrix, evidence = full_matrix(values, EXACT)
    state = ChangePointState(settings=EXACT)
    for t, value in enumerate(values, start=1):
        state = observed(state, [value])
        row = matrix[t, 1 : t + 1] / (1 - EXACT.hazard)
        np.testing.assert_array_equal(state.lengths, np.arange(1, t + 1))
        np.testing.assert_allclose(state.probabilities, row, rtol=1e-8, atol=1e-300)
        assert matrix[t, 0] == pytest.approx(EXACT.hazard)
    assert state.log_evidence == pytest.approx(evidence, rel=1e-12)
    assert state.dropped == pytest.approx(0.0, abs=1e-9)


def test_evidence_of_two_observations_equals_numerical_integration() -> None:
    values = [0.4, -0.9]

    def marginal(run: list[float]) -> float:
        mean, precision = np.meshgrid(np.linspace(-15, 15, 801), np.linspace(1e-6, 30, 801), indexing="ij")
        density = stats.gamma.pdf(precision, PRIOR.shape, scale=1 / (PRIOR.shape * PRIOR.variance))
        density *= stats.norm.pdf(mean, PRIOR.mean, 1 / np.sqrt(PRIOR.mean_observations * precision))
        for value in run:
            density *= stats.norm.pdf(value, mean, precision**-0.5)
        return float(integrate.simpson(integrate.simpson(density, x=precision[0]), x=mean[:, 0]))

    expected = 0.02 * marginal(values[:1]) * marginal(values[1:]) + 0.98 * marginal(values)
    state = observed(ChangePointState(settings=EXACT), values)
    assert math.exp(state.log_evidence) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("limits", [{"least_probability": 1e-4}, {"most_lengths": 8}, {"least_probability": 1e-8}])
def test_pruned_posterior_is_within_its_bound_of_the_exact_one(limits: dict[str, float]) -> None:
    values, _ = planted()
    exact, pruned = ChangePointState(settings=EXACT), ChangePointState(settings=replace(EXACT, **limits))
    for value in values:
        exact, pruned = observed(exact, [value]), observed(pruned, [value])
        shared = np.zeros(len(exact.lengths))
        shared[pruned.lengths - 1] = pruned.probabilities
        distance = 0.5 * np.abs(shared - exact.probabilities).sum()
        assert pruned.log_evidence <= exact.log_evidence + 1e-9
        assert distance <= 1.0 - math.exp(pruned.log_evidence - exact.log_evidence) + 1e-9
        assert len(pruned.lengths) <= pruned.settings.most_lengths
    assert pruned.dropped > 0.0


def test_one_pruning_moves_the_posterior_by_what_it_dropped() -> None:
    values, _ = planted()
    before = observed(ChangePointState(settings=EXACT), values[:150])
    whole = observed(before, [values[150]])
    pruned = observed(replace(before, settings=replace(EXACT, most_lengths=5)), [values[150]])
    shared = np.zeros(len(whole.lengths))
    shared[pruned.lengths - 1] = pruned.probabilities
    distance = 0.5 * np.abs(shared - whole.probabilities).sum()
    assert distance == pytest.approx(pruned.dropped - before.dropped, rel=1e-9)


def test_history_says_what_each_state_said() -> None:
    values, _ = planted()
    settings = ChangePointSettings(prior=PRIOR, most_lengths=30)
    history, last = regime_history(settings, values[:150], recent=7)
    state = ChangePointState(settings=settings)
    for place, value in enumerate(values[:150]):
        state = observed(state, [value])
        now = regime(state, recent=7)
        assert history.change_probability[place] == pytest.approx(now.change_probability, rel=1e-12)
        assert (history.length[place], history.mean[place]) == (now.length, now.mean)
        assert history.volatility[place] == pytest.approx(now.volatility, rel=1e-12)
    np.testing.assert_array_equal(last.probabilities, state.probabilities)


def test_planted_changes_of_mean_and_volatility_are_found() -> None:
    values, changes = planted()
    settings = ChangePointSettings(prior=RegimePrior(variance=1.0), hazard=0.01)
    history, state = regime_history(settings, values, recent=30)
    for change in changes:
        # Twenty-five observations later the regime is known to be new, and where it began, to within a few.
        assert history.change_probability[change - 1] < 0.1
        assert history.change_probability[change + 24] > 0.9
        assert abs(25 - history.length[change + 24]) <= 5
    assert history.mean[199] == pytest.approx(4.0, abs=0.4)
    assert history.volatility[299] == pytest.approx(4.0, rel=0.25)
    assert history.volatility[399] == pytest.approx(0.5, rel=0.25)
    assert regime(state).length == pytest.approx(100, abs=5)


def test_series_without_a_change_raises_few_alarms() -> None:
    values = np.random.default_rng(5).normal(0.0, 1.0, 2_000)
    history, _ = regime_history(ChangePointSettings(prior=RegimePrior(variance=1.0), hazard=1 / 500), values)
    assert (history.change_probability[50:] > 0.5).mean() < 0.01
    assert history.length[-1] == 2_000


def test_probabilities_of_a_change_are_calibrated_on_data_of_the_model() -> None:
    generator = np.random.default_rng(11)
    hazard, recent, said, happened = 0.02, 10, [], []
    settings = ChangePointSettings(prior=RegimePrior(variance=1.0, shape=3.0), hazard=hazard)
    for _ in range(30):
        values, ages, age = [], [], 0
        for bar in range(120):
            if bar == 0 or generator.random() < hazard:
                age, precision = 0, generator.gamma(3.0, 1.0 / 3.0)
                mean = generator.normal(0.0, 1.0 / math.sqrt(precision))
            age += 1
            values.append(generator.normal(mean, 1.0 / math.sqrt(precision)))
            ages.append(age)
        history, _ = regime_history(settings, values, recent=recent)
        said.extend(history.change_probability[20:])
        happened.extend(np.array(ages[20:]) <= recent)
    said, happened = np.array(said), np.array(happened)
    for low, high in ((0.0, 0.1), (0.1, 0.4), (0.4, 0.8), (0.8, 1.01)):
        chosen = (said >= low) & (said < high)
        assert happened[chosen].mean() == pytest.approx(said[chosen].mean(), abs=0.08)


def test_stored_state_goes_on_bit_for_bit() -> None:
    values, _ = planted()
    settings = ChangePointSettings(prior=PRIOR)
    half = observed(ChangePointState(settings=settings), values[:170])
    stored = json.loads(json.dumps(state_to_json(half)))
    whole = observed(ChangePointState(settings=settings), values)
    resumed = observed(state_from_json(stored, ChangePointState), values[170:])
    for name in ("lengths", "probabilities", "means", "squares"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert resumed.log_evidence == whole.log_evidence
    assert resumed.observations == len(values)


def test_memory_stays_bounded() -> None:
    settings = ChangePointSettings(prior=RegimePrior(variance=1.0), most_lengths=40)
    state = observed(ChangePointState(settings=settings), np.random.default_rng(2).normal(size=600))
    assert len(state.lengths) == 40
    assert state.probabilities.sum() == pytest.approx(1.0)


def test_flat_series_is_one_calm_regime() -> None:
    settings = ChangePointSettings(prior=RegimePrior(variance=1e-4))
    now = regime(observed(ChangePointState(settings=settings), np.zeros(300)))
    assert now.length == 300
    assert now.mean == 0.0
    assert 0.0 < now.volatility < 0.002


def test_first_observation_begins_the_first_regime() -> None:
    now = regime(observed(ChangePointState(settings=EXACT), [0.3]), recent=1)
    assert (now.length, now.change_probability, now.expected_length) == (1, 1.0, 1.0)


def test_prior_of_calm_observations_has_their_moments() -> None:
    prior = regime_prior([1.0, 2.0, 3.0])
    assert (prior.mean, prior.variance) == (2.0, pytest.approx(2 / 3))
    with pytest.raises(ValueError, match="variance of the observations must be above 0"):
        regime_prior(np.ones(20))
    with pytest.raises(ValueError, match="observations must be at least 2"):
        regime_prior([1.0])


def test_bad_observations_and_settings_are_refused() -> None:
    state = ChangePointState(settings=EXACT)
    assert observed(state, []).observations == 0
    history, _ = regime_history(EXACT, [])
    assert len(history.length) == 0
    with pytest.raises(ValueError, match="observations must be finite, was nan at place 1"):
        observed(state, [0.1, math.nan])
    with pytest.raises(ValueError, match="check its unit"):
        observed(state, [1e200])
    with pytest.raises(ValueError, match="there is no regime yet"):
        regime(state)
    with pytest.raises(ValueError, match="recent"):
        regime(observed(state, [0.1]), recent=0)
    with pytest.raises(ValueError, match="recent"):
        regime_history(EXACT, [0.1], recent=0)
    with pytest.raises(ValueError, match="hazard"):
        ChangePointSettings(prior=PRIOR, hazard=0.0)
    with pytest.raises(ValueError, match="most_lengths"):
        ChangePointSettings(prior=PRIOR, most_lengths=1)
    with pytest.raises(ValueError, match="least_probability"):
        ChangePointSettings(prior=PRIOR, least_probability=0.5)
    with pytest.raises(ValueError, match="variance of a regime"):
        RegimePrior(variance=0.0)
