"""The hedge ratio's filter against statsmodels and least squares, and on pairs whose ratio is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter
from statsmodels.tsa.stattools import adfuller

from alpharay.models.hedge_ratio import HedgeState, fit_hedge, hedged, mean_reversion, spread
from alpharay.models.stored_state import state_from_json, state_to_json


def walking_pair(bars: int, seed: int, *, ratio_step: float = 0.01, noise: float = 0.1) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    x = 10.0 + np.cumsum(generator.normal(0.0, 0.3, bars))
    ratio = 1.5 + np.cumsum(generator.normal(0.0, ratio_step, bars))
    y = 2.0 + ratio * (x - 10.0) + generator.normal(0.0, noise, bars)
    return y, x, ratio


STATE = HedgeState(
    centre=9.0,
    intercept=1.0,
    ratio=0.5,
    root=(2.0, 0.15, math.sqrt(2.0 - 0.15**2)),
    intercept_step=0.003,
    ratio_step=0.0005,
    noise=0.02,
)


def test_filter_equals_that_of_statsmodels() -> None:
    y, x, _ = walking_pair(400, 1)
    peer = KalmanFilter(k_endog=1, k_states=2, loglikelihood_burn=2)
    peer.bind(y.copy())
    peer["design"] = np.stack([np.ones(400), x - 9.0])[None, :, :]
    peer["transition"] = peer["selection"] = np.eye(2)
    peer["state_cov"] = np.diag([0.003, 0.0005])
    peer["obs_cov"] = np.array([[0.02]])
    peer.initialize_known(np.array([1.0, 0.5]), np.array([[4.0, 0.3], [0.3, 2.0]]))
    expected = peer.filter()
    path, after = hedged(STATE, y, x)
    np.testing.assert_allclose([path.intercept, path.ratio], expected.filtered_state, rtol=1e-9)
    np.testing.assert_allclose(path.ratio_deviation**2, expected.filtered_state_cov[1, 1], rtol=1e-8)
    np.testing.assert_allclose(path.surprise, expected.forecasts_error[0], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(path.z_score, expected.standardized_forecasts_error[0], rtol=1e-7, atol=1e-10)
    assert after.log_likelihood == pytest.approx(expected.llf, rel=1e-10)
    np.testing.assert_allclose(after.covariance, expected.filtered_state_cov[:, :, -1], rtol=1e-8)


def test_filter_whose_line_stands_still_is_least_squares() -> None:
    y, x, _ = walking_pair(300, 2, ratio_step=0.0)
    diffuse = replace(STATE, root=(3e4, 0.0, 3e4))
    _, after = hedged(replace(diffuse, intercept_step=0.0, ratio_step=0.0), y, x)
    expected = OLS(y, np.stack([np.ones(300), x - 9.0], axis=1)).fit()
    np.testing.assert_allclose([after.intercept, after.ratio], expected.params, rtol=1e-6)
    exact = 0.02 * np.linalg.inv(np.array([[300.0, (x - 9).sum()], [(x - 9).sum(), ((x - 9) ** 2).sum()]]))
    np.testing.assert_allclose(after.covariance, exact, rtol=1e-5)


def test_walking_ratio_is_followed_and_its_error_is_known() -> None:
    inside, errors, fixed = [], [], []
    for seed in range(8):
        y, x, ratio = walking_pair(800, seed, ratio_step=0.02)
        fitted = fit_hedge(y, x)
        start = replace(fitted, intercept=0.0, ratio=0.0, root=(1e3, 0.0, 1e3), observations=0)
        path, _ = hedged(start, y, x)
        error = path.ratio[200:] - ratio[200:]
        errors.append(np.sqrt(np.mean(error**2)))
        fixed.append(np.sqrt(np.mean((np.polyfit(x, y, 1)[0] - ratio[200:]) ** 2)))
        inside.append(np.mean(np.abs(error) <= 1.96 * path.ratio_deviation[200:]))
    assert np.mean(errors) < 0.5 * np.mean(fixed)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.05)


def test_fit_finds_the_variances_that_made_the_pair() -> None:
    fits = [fit_hedge(*walking_pair(1_500, seed, ratio_step=0.02, noise=0.1)[:2]) for seed in range(6)]
    assert np.median([math.sqrt(fit.ratio_step) for fit in fits]) == pytest.approx(0.02, rel=0.25)
    assert np.median([math.sqrt(fit.noise) for fit in fits]) == pytest.approx(0.1, rel=0.1)


def test_z_scores_of_a_pair_that_obeys_the_model_are_standard_normal() -> None:
    y, x, _ = walking_pair(3_000, 4, ratio_step=0.02)
    fitted = fit_hedge(y[:1_500], x[:1_500])
    path, _ = hedged(fitted, y[1_500:], x[1_500:])
    assert path.z_score.mean() == pytest.approx(0.0, abs=0.1)
    assert path.z_score.std() == pytest.approx(1.0, abs=0.1)
    assert abs(np.corrcoef(path.z_score[1:], path.z_score[:-1])[0, 1]) < 0.08


def test_nothing_of_the_future_reaches_a_filtered_value() -> None:
    y, x, _ = walking_pair(200, 5)
    whole, _ = hedged(STATE, y, x)
    half, _ = hedged(STATE, y[:100], x[:100])
    np.testing.assert_array_equal(whole.ratio[:100], half.ratio)
    np.testing.assert_array_equal(whole.z_score[:100], half.z_score)


def test_stored_state_goes_on_bit_for_bit() -> None:
    y, x, _ = walking_pair(200, 6)
    whole_path, whole = hedged(STATE, y, x)
    _, half = hedged(STATE, y[:90], x[:90])
    again = state_from_json(json.loads(json.dumps(state_to_json(half))), HedgeState)
    path, resumed = hedged(again, y[90:], x[90:])
    np.testing.assert_array_equal(path.z_score, whole_path.z_score[90:])
    assert resumed == whole


def test_filter_of_nearly_collinear_columns_equals_one_of_sixty_digits() -> None:
    generator = np.random.default_rng(7)
    # A logarithm of a price far from the centre, hardly moving: intercept and ratio are all but one column.
    x = 11.0 + np.cumsum(generator.normal(0.0, 1e-4, 1_000))
    y = 0.4 + 0.9 * x + generator.normal(0.0, 1e-5, 1_000)
    start = HedgeState(root=(1e3, 0.0, 1e3), intercept_step=1e-12, ratio_step=1e-14, noise=1e-10)
    path, after = hedged(start, y, x)
    with localcontext() as context:
        context.prec = 60
        intercept, ratio, p, q, s = Decimal(0), Decimal(0), Decimal(1_000_000), Decimal(1_000_000), Decimal(0)
        for place, (y_value, x_value) in enumerate(
            zip(map(Decimal, y.tolist()), map(Decimal, x.tolist()), strict=True)
        ):
            if place:
                p, q = p + Decimal("1e-12"), q + Decimal("1e-14")
            up, down = p + s * x_value, s + q * x_value
            variance = up + x_value * down + Decimal("1e-10")
            surprise = y_value - intercept - ratio * x_value
            intercept, ratio = intercept + up / variance * surprise, ratio + down / variance * surprise
            p, q, s = p - up * up / variance, q - down * down / variance, s - up * down / variance
    deviations = np.sqrt(np.diag(after.covariance))
    np.testing.assert_allclose(after.covariance, [[float(p), float(s)], [float(s), float(q)]], rtol=1e-6)
    np.testing.assert_allclose(
        ([after.intercept, after.ratio] - np.array([intercept, ratio], float)) / deviations, 0.0, atol=1e-4
    )
    assert np.isfinite(path.z_score).all()


def test_pair_without_noise_has_its_exact_ratio() -> None:
    x = 10.0 + np.cumsum(np.random.default_rng(12).normal(size=200))
    fitted = fit_hedge(3.0 * x + 1.0, x)
    assert fitted.ratio == pytest.approx(3.0, rel=1e-5)
    assert fitted.intercept == pytest.approx(3.0 * x.mean() + 1.0, rel=1e-5)


def test_half_life_of_an_autoregression_is_found() -> None:
    generator = np.random.default_rng(8)
    values, value = [], 0.0
    for _ in range(20_000):
        value = 0.9 * value + generator.normal(0.0, 1.0)
        values.append(5.0 + value)
    found = mean_reversion(values)
    assert found.coefficient == pytest.approx(0.9, abs=0.01)
    assert found.half_life == pytest.approx(math.log(0.5) / math.log(0.9), rel=0.1)
    assert found.level == pytest.approx(5.0, abs=0.3)
    assert found.deviation == pytest.approx(1 / math.sqrt(1 - 0.81), rel=0.05)


def test_statistic_of_reversion_is_that_of_dickey_and_fuller() -> None:
    values = np.cumsum(np.random.default_rng(9).normal(size=500))
    expected = adfuller(values, maxlag=0, autolag=None, regression="c", result_object=False)[0]
    assert mean_reversion(values).t_statistic == pytest.approx(expected, rel=1e-9)


def test_spread_that_runs_away_has_no_half_life() -> None:
    found = mean_reversion(1.05 ** np.arange(60))
    assert found.half_life is None
    assert found.level is None
    assert found.coefficient == pytest.approx(1.05)


def test_spread_uses_the_newest_line_throughout() -> None:
    y, x, _ = walking_pair(50, 10)
    np.testing.assert_allclose(spread(STATE, y, x), y - 1.0 - 0.5 * (x - 9.0))


def test_flat_pairs_gaps_and_different_lengths_are_refused() -> None:
    y, x, _ = walking_pair(60, 11)
    with pytest.raises(ValueError, match="x of a pair must move"):
        fit_hedge(y, np.full(60, 7.0))
    with pytest.raises(ValueError, match="y of a pair must move"):
        fit_hedge(np.zeros(60), x)
    with pytest.raises(ValueError, match="same length"):
        hedged(STATE, y, x[:-1])
    with pytest.raises(ValueError, match="x of a pair must be finite"):
        hedged(STATE, [1.0], [math.nan])
    with pytest.raises(ValueError, match="at least 30"):
        fit_hedge(y[:29], x[:29])
    with pytest.raises(ValueError, match="a spread must move"):
        mean_reversion(np.full(20, 0.1))
    with pytest.raises(ValueError, match="at least 10"):
        mean_reversion([1.0, 2.0])
    with pytest.raises(ValueError, match="noise of a hedge must be above 0"):
        replace(STATE, noise=0.0)


def test_no_pairs_change_nothing_and_flat_ones_are_harmless() -> None:
    path, after = hedged(STATE, [], [])
    assert len(path.ratio) == 0
    assert after == STATE
    path, after = hedged(STATE, np.full(500, 2.0), np.full(500, 9.0))
    # At the centre nothing is learnt of the ratio, and the noise of its steps adds up.
    assert after.covariance[1, 1] == pytest.approx(2.0 + 499 * 0.0005, rel=0.02)
    assert path.surprise[-1] == pytest.approx(0.0, abs=1e-6)
