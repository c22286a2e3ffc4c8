"""The volatility recursion, its forecasts and fits: against `arch`, a published benchmark and known truth."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from arch.univariate import GARCH, ConstantMean

from alpharay.models.stored_state import state_from_json, state_to_json
from alpharay.models.volatility import (
    FittedVolatility,
    ewma_volatility,
    expected_variances,
    filtered_variances,
    forecast,
    updated,
)
from alpharay.models.volatility_fit import fit_volatility

MARK_POUND = np.loadtxt(Path(__file__).with_name("mark_pound_returns.txt"))


def simulated_garch(
    bars: int, seed: int, *, omega: float, alpha: float, beta: float, gamma: float = 0.0, freedom: float | None = None
) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if freedom is None:
        innovations = generator.standard_normal(bars + 500)
    else:
        innovations = generator.standard_t(freedom, bars + 500) * math.sqrt((freedom - 2) / freedom)
    variance, returns = omega / (1 - alpha - beta - gamma / 2), []
    for innovation in innovations:
        shock = math.sqrt(variance) * innovation
        returns.append(shock)
        variance = omega + (alpha + gamma * (shock < 0)) * shock**2 + beta * variance
    return np.array(returns[500:])


def test_fit_equals_the_benchmark_of_fiorentini_calzolari_and_panattoni() -> None:
    fitted = fit_volatility(MARK_POUND)
    assert len(MARK_POUND) == 1974
    assert fitted.mean == pytest.approx(-0.00619041, rel=0.01)
    assert fitted.omega == pytest.approx(0.0107613, rel=2e-4)
    assert fitted.alpha == pytest.approx(0.153134, rel=2e-4)
    assert fitted.beta == pytest.approx(0.805974, rel=2e-5)
    assert fitted.log_likelihood == pytest.approx(-1106.60788, abs=0.002)
    assert fitted.fallback is None


def test_fit_does_not_depend_on_the_unit_of_the_returns() -> None:
    percent, fractions = fit_volatility(MARK_POUND), fit_volatility(MARK_POUND / 100)
    assert fractions.omega == pytest.approx(percent.omega / 1e4, rel=1e-6)
    assert fractions.next_variance == pytest.approx(percent.next_variance / 1e4, rel=1e-6)
    assert fractions.alpha == pytest.approx(percent.alpha, rel=1e-6)


@pytest.mark.parametrize("model", ["garch", "gjr"])
def test_filter_and_forecast_equal_those_of_arch_at_the_same_parameters(model: str) -> None:
    fitted = fit_volatility(MARK_POUND, model=model)
    process = GARCH(p=1, o=1 if model == "gjr" else 0, q=1)
    peer = ConstantMean(MARK_POUND, volatility=process, rescale=False)
    asymmetry = [fitted.gamma] if model == "gjr" else []
    result = peer.fix([fitted.mean, fitted.omega, fitted.alpha, *asymmetry, fitted.beta])
    variances = filtered_variances(fitted, MARK_POUND)
    # arch begins at another variance; 300 returns later nothing is left of it.
    np.testing.assert_allclose(variances[300:-1], result.conditional_volatility[300:] ** 2, rtol=1e-4)
    expected = result.forecast(horizon=20, reindex=False).variance.to_numpy()[-1]
    np.testing.assert_allclose(expected_variances(fitted, 20), expected, rtol=1e-9)


@pytest.mark.parametrize("model", ["garch", "gjr"])
def test_likelihood_of_the_fit_is_that_of_an_independent_recursion(model: str) -> None:
    fitted = fit_volatility(MARK_POUND, model=model)
    variance = fitted.omega + fitted.persistence * MARK_POUND.var()
    likelihood = 0.0
    for value in MARK_POUND:
        shock = value - fitted.mean
        likelihood -= 0.5 * (math.log(2 * math.pi * variance) + shock**2 / variance)
        variance = fitted.omega + (fitted.alpha + fitted.gamma * (shock < 0)) * shock**2 + fitted.beta * variance
    assert fitted.log_likelihood == pytest.approx(likelihood, rel=1e-10)
    assert fitted.next_variance == pytest.approx(variance, rel=1e-10)


def test_fit_finds_the_parameters_of_simulated_garch() -> None:
    fits = [fit_volatility(simulated_garch(4_000, seed, omega=2e-6, alpha=0.10, beta=0.85)) for seed in range(12)]
    assert np.mean([fit.alpha for fit in fits]) == pytest.approx(0.10, abs=0.015)
    assert np.mean([fit.beta for fit in fits]) == pytest.approx(0.85, abs=0.02)
    assert np.mean([fit.long_run_variance for fit in fits]) == pytest.approx(4e-5, rel=0.1)


def test_fit_finds_asymmetry_and_fat_tails() -> None:
    returns = simulated_garch(8_000, 3, omega=2e-6, alpha=0.03, gamma=0.12, beta=0.86, freedom=5.0)
    fitted = fit_volatility(returns, model="gjr", distribution="t")
    assert fitted.gamma == pytest.approx(0.12, abs=0.04)
    assert fitted.degrees_of_freedom == pytest.approx(5.0, abs=0.8)
    assert fitted.persistence == pytest.approx(0.95, abs=0.03)


def test_state_updated_by_new_returns_equals_one_filtered_on_all() -> None:
    fitted = fit_volatility(MARK_POUND[:1_500], model="gjr", distribution="t")
    later = MARK_POUND[1_500:]
    at_once, one_by_one = updated(fitted, later), fitted
    for value in later:
        one_by_one = updated(one_by_one, [value])
    assert one_by_one == at_once
    assert at_once.observations == 1974
    assert at_once.alpha == fitted.alpha
    assert updated(fitted, []) == fitted


def test_state_survives_json_bit_for_bit() -> None:
    for fitted in (fit_volatility(MARK_POUND, distribution="t"), fit_volatility(MARK_POUND[:50])):
        again = state_from_json(json.loads(json.dumps(state_to_json(fitted))), FittedVolatility)
        assert again == fitted
        assert updated(again, [0.3]) == updated(fitted, [0.3])


def test_stored_state_of_another_kind_or_broken_is_refused() -> None:
    stored = state_to_json(fit_volatility(MARK_POUND))
    with pytest.raises(ValueError, match="kind of a stored state must be FittedVolatility, was 'Kalman'"):
        state_from_json({**stored, "kind": "Kalman"}, FittedVolatility)
    with pytest.raises(ValueError, match="version"):
        state_from_json({**stored, "version": 0}, FittedVolatility)
    with pytest.raises(ValueError, match="alpha"):
        state_from_json({**stored, "state": {**stored["state"], "alpha": -1.0}}, FittedVolatility)
    with pytest.raises(ValueError, match="calibrate again"):
        state_from_json({**stored, "state": {}}, FittedVolatility)


def test_persistence_and_half_life_follow_their_definition() -> None:
    fitted = FittedVolatility(model="garch", omega=1.0, alpha=0.1, beta=0.8, next_variance=30.0, observations=1)
    assert fitted.persistence == pytest.approx(0.9)
    assert fitted.long_run_variance == pytest.approx(10.0)
    assert fitted.half_life == pytest.approx(math.log(0.5) / math.log(0.9))
    distance = expected_variances(fitted, 8) - 10.0
    assert distance[7] / distance[0] == pytest.approx(0.9**7)
    assert replace(fitted, gamma=0.1).persistence == pytest.approx(0.95)
    assert replace(fitted, beta=0.95).half_life is None
    assert replace(fitted, alpha=0.0, beta=0.0).half_life == 0.0


@pytest.mark.parametrize("freedom", [None, 5.0])
def test_intervals_hold_as_many_outcomes_as_they_say(freedom: float | None) -> None:
    fitted = FittedVolatility(
        model="garch",
        distribution="normal" if freedom is None else "t",
        omega=0.05,
        alpha=0.15,
        beta=0.80,
        degrees_of_freedom=freedom,
        next_variance=2.0,
        observations=1,
    )
    answer = forecast(fitted, 10, level=0.9)
    generator = np.random.default_rng(99)
    inside_return, inside_total, inside_volatility, runs = np.zeros(10), np.zeros(10), np.zeros(10), 4_000
    for _ in range(runs):
        variance, total = fitted.next_variance, 0.0
        for step in range(10):
            scale = 1.0 if freedom is None else math.sqrt((freedom - 2) / freedom)
            draw = generator.standard_normal() if freedom is None else generator.standard_t(freedom) * scale
            shock = math.sqrt(variance) * draw
            total += shock
            inside_return[step] += answer.return_low[step] <= shock <= answer.return_high[step]
            inside_total[step] += answer.total_low[step] <= total <= answer.total_high[step]
            inside_volatility[step] += answer.volatility_low[step] <= variance**0.5 <= answer.volatility_high[step]
            variance = 0.05 + 0.15 * shock**2 + 0.80 * variance
    np.testing.assert_allclose(inside_return / runs, 0.9, atol=0.02)
    np.testing.assert_allclose(inside_total / runs, 0.9, atol=0.02)
    np.testing.assert_allclose(inside_volatility[1:] / runs, 0.9, atol=0.02)


def test_fat_tails_reach_the_simulated_steps() -> None:
    steady = FittedVolatility(
        model="garch", distribution="t", degrees_of_freedom=3.0, omega=1.0, alpha=0.0, beta=0.0, next_variance=1.0,
        observations=1,
    )  # fmt: skip
    answer = forecast(steady, 3, level=0.99, paths=100_000)
    # A t with 3 degrees of freedom, scaled to a variance of one: 5.841 / sqrt(3).
    np.testing.assert_allclose(answer.return_high, 5.841 / math.sqrt(3.0), rtol=0.03)


def test_first_step_of_a_forecast_is_exact_and_repeatable() -> None:
    fitted = fit_volatility(MARK_POUND)
    answer, again = forecast(fitted, 5, seed=1), forecast(fitted, 5, seed=1)
    deviation = math.sqrt(fitted.next_variance)
    assert answer.volatility_low[0] == answer.volatility_high[0] == pytest.approx(deviation)
    assert answer.return_high[0] == pytest.approx(fitted.mean + 1.959963985 * deviation)
    assert answer.return_low[0] == pytest.approx(fitted.mean - 1.959963985 * deviation)
    np.testing.assert_array_equal(answer.total_high, again.total_high)
    np.testing.assert_allclose(answer.total_volatility**2, np.cumsum(answer.variance))


def test_exponential_average_equals_its_definition() -> None:
    returns = np.array([0.01, -0.02, 0.03])
    variance = np.mean(returns**2)
    for value in returns:
        variance = 0.94 * variance + 0.06 * value**2
    assert ewma_volatility(returns).next_variance == pytest.approx(variance)
    np.testing.assert_allclose(expected_variances(ewma_volatility(returns), 3), variance)


@pytest.mark.parametrize(
    ("returns", "reason"),
    [
        (MARK_POUND[:249], "a fit needs 250 returns, there were 249"),
        (np.zeros(400), "all returns are equal"),
        (np.full(400, 0.1), "all returns are equal"),
        ([0.01], "there were 1"),
    ],
)
def test_what_cannot_be_fitted_falls_back_and_says_so(returns: np.ndarray, reason: str) -> None:
    fitted = fit_volatility(returns)
    assert fitted.model == "ewma"
    assert fitted.fallback is not None
    assert reason in fitted.fallback
    assert fitted.next_variance == ewma_volatility(returns).next_variance
    assert np.isfinite(forecast(fitted, 3).total_high).all()


def test_fit_that_does_not_converge_falls_back_and_says_so() -> None:
    fitted = fit_volatility(MARK_POUND, max_iterations=1)
    assert fitted.model == "ewma"
    assert fitted.fallback is not None
    assert "did not converge" in fitted.fallback


@pytest.mark.parametrize("distribution", ["normal", "t"])
@pytest.mark.parametrize("model", ["garch", "gjr"])
def test_markets_that_hardly_trade_never_get_a_senseless_forecast(model: str, distribution: str) -> None:
    generator = np.random.default_rng(1)
    sparse = np.where(generator.random(600) < 0.03, generator.normal(0.0, 0.01, 600), 0.0)
    last, once, outlier = np.zeros(600), np.zeros(600), generator.normal(0.0, 0.001, 600)
    last[-1] = once[300] = outlier[100] = 0.5
    for returns in (sparse, last, once, outlier):
        fitted = fit_volatility(returns, model=model, distribution=distribution)
        assert 0.0 <= math.sqrt(fitted.next_variance) <= 3.0 * np.abs(returns - returns.mean()).max()
        assert np.isfinite(forecast(fitted, 20, paths=200).total_high).all()


def test_returns_without_clustering_are_fitted_to_a_constant_variance() -> None:
    returns = np.random.default_rng(7).normal(0.0, 0.02, 3_000)
    variances = expected_variances(fit_volatility(returns), 50)
    np.testing.assert_allclose(variances, 4e-4, rtol=0.1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_returns_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"returns must be finite, was .* at place 1"):
        fit_volatility([0.1, bad, 0.2])
    with pytest.raises(ValueError, match="returns must be finite"):
        updated(ewma_volatility([0.1]), [bad])


def test_no_returns_bad_levels_and_horizons_are_refused() -> None:
    fitted = ewma_volatility([0.1])
    with pytest.raises(ValueError, match="returns must be at least 1, were 0"):
        fit_volatility([])
    with pytest.raises(ValueError, match="one dimension"):
        fit_volatility(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="horizon must be in"):
        forecast(fitted, 0)
    with pytest.raises(ValueError, match="level must be in"):
        forecast(fitted, 1, level=1.0)
    with pytest.raises(ValueError, match="paths must be at least"):
        forecast(fitted, 1, paths=1)
