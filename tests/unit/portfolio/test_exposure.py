"""Exposure, heat and risk contributions against finite differences; risk parity against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.portfolio.exposure import exposure_of, heat_of, risk_contributions, trade_risk
from alpharay.portfolio.risk_parity import risk_parity_weights


def made_covariance(assets: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    factors = generator.normal(size=(assets, assets + 2))
    scale = generator.uniform(0.05, 0.9, assets)
    correlation = np.corrcoef(factors)
    return correlation * np.outer(scale, scale)


def test_exposure_adds_longs_and_shorts() -> None:
    found = exposure_of({"A": 300.0, "B": -500.0, "C": 100.0, "D": 0.0}, 1_000.0)
    assert (found.long, found.short, found.gross) == (0.4, 0.5, 0.9)
    assert found.net == pytest.approx(-0.1)
    assert (found.largest, found.largest_symbol) == (0.5, "B")
    assert exposure_of({}, 10.0).gross == 0.0
    with pytest.raises(ValueError, match="equity must be above 0"):
        exposure_of({}, 0.0)
    with pytest.raises(ValueError, match="position in A"):
        exposure_of({"A": math.nan}, 10.0)


def test_heat_counts_a_hedge_as_one_and_independent_risks_by_their_root() -> None:
    alone = heat_of([0.01, 0.02], np.eye(2))
    assert alone.together == pytest.approx(0.03)
    assert alone.correlated == pytest.approx(math.hypot(0.01, 0.02))
    hedged = heat_of([0.02, -0.02], [[1.0, 1.0], [1.0, 1.0]])
    assert (hedged.correlated, hedged.diversification) == (0.0, 1.0)
    same = heat_of([0.02, 0.01], [[1.0, 1.0], [1.0, 1.0]])
    assert same.correlated == pytest.approx(same.together)
    empty = heat_of([], np.empty((0, 0)))
    assert (empty.together, empty.correlated, empty.diversification) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="diagonal of a correlation"):
        heat_of([0.01], [[2.0]])


@given(assets=st.integers(1, 7), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_marginal_risk_is_the_slope_and_components_sum_to_the_volatility(assets: int, seed: int) -> None:
    covariance = made_covariance(assets, seed)
    weights = np.random.default_rng(seed + 1).normal(size=assets)
    found = risk_contributions(weights, covariance)
    assert found.component.sum() == pytest.approx(found.volatility, rel=1e-9)
    for asset in range(assets):
        step = np.zeros(assets)
        step[asset] = 1e-6
        up, down = (math.sqrt(moved @ covariance @ moved) for moved in (weights + step, weights - step))
        assert found.marginal[asset] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-6)


@given(seed=st.integers(0, 10_000), asset=st.integers(0, 3), change=st.floats(-0.5, 0.5))
@settings(max_examples=80, deadline=None)
def test_risk_of_a_trade_is_the_difference_and_no_other_size_hedges_better(
    seed: int, asset: int, change: float
) -> None:
    covariance, weights = made_covariance(4, seed), np.random.default_rng(seed).normal(size=4)
    found = trade_risk(weights, covariance, asset, change)
    moved = weights.copy()
    moved[asset] += change
    assert found.after == pytest.approx(math.sqrt(moved @ covariance @ moved), rel=1e-9)
    assert found.incremental == pytest.approx(found.after - found.before)
    best = trade_risk(weights, covariance, asset, found.best_hedge)
    assert best.after <= found.after + 1e-12
    small = trade_risk(weights, covariance, asset, math.copysign(1e-7, change))
    assert small.incremental / 1e-7 == pytest.approx(found.marginal, abs=1e-4)


def test_trade_from_nothing_adds_its_own_volatility() -> None:
    found = trade_risk([0.0, 0.0], [[0.04, 0.0], [0.0, 0.09]], 1, -0.5)
    assert (found.before, found.best_hedge) == (0.0, 0.0)
    assert found.after == pytest.approx(0.15)
    assert found.marginal == pytest.approx(0.3)


def test_singular_and_flat_covariances_have_defined_answers() -> None:
    twins = np.full((2, 2), 0.04)
    assert risk_contributions([1.0, 1.0], twins).volatility == pytest.approx(0.4)
    riskless = risk_contributions([1.0, -1.0], twins)
    assert riskless.volatility == 0.0
    np.testing.assert_array_equal(riskless.component, [0.0, 0.0])
    flat = trade_risk([0.5], [[0.0]], 0, 0.1)
    assert (flat.before, flat.after, flat.best_hedge) == (0.0, 0.0, 0.0)
    assert risk_contributions([], np.empty((0, 0))).volatility == 0.0


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[1.0, 0.2], [0.3, 1.0]], "symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "negative eigenvalue"),
        ([[1.0, math.nan], [math.nan, 1.0]], "finite"),
        ([[1.0]], "shape"),
        ([[-1.0, 0.0], [0.0, -1.0]], "negative eigenvalue"),
    ],
)
def test_matrices_that_are_no_covariance_are_refused(matrix: list[list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        risk_contributions([1.0, 1.0], matrix)


def test_weights_of_equal_risk_equal_the_example_of_maillard_roncalli_and_teiletche() -> None:
    deviations = np.array([0.1, 0.2, 0.3, 0.4])
    correlation = np.array([[1.0, 0.8, 0.0, 0.0], [0.8, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -0.5], [0.0, 0.0, -0.5, 1.0]])
    weights = risk_parity_weights(correlation * np.outer(deviations, deviations))
    np.testing.assert_allclose(weights, [0.384, 0.192, 0.243, 0.182], atol=6e-4)


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.0, 0.5, 0.99, 1.0])
def test_two_assets_are_weighted_by_their_inverse_volatility_whatever_their_correlation(correlation: float) -> None:
    covariance = np.array([[0.04, correlation * 0.06], [correlation * 0.06, 0.09]])
    np.testing.assert_allclose(risk_parity_weights(covariance), [0.6, 0.4], rtol=1e-8)


def test_uncorrelated_and_equally_correlated_assets_are_weighted_by_their_inverse_volatility() -> None:
    deviations = np.array([0.1, 0.3, 0.5, 0.8])
    expected = (1 / deviations) / (1 / deviations).sum()
    for common in (0.0, 0.4):
        correlation = np.full((4, 4), common) + (1 - common) * np.eye(4)
        weights = risk_parity_weights(correlation * np.outer(deviations, deviations))
        np.testing.assert_allclose(weights, expected, rtol=1e-8)


@given(assets=st.integers(1, 8), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_contributions_equal_their_budgets(assets: int, seed: int) -> None:
    covariance = made_covariance(assets, seed)
    budgets = np.random.default_rng(seed).uniform(0.1, 1.0, assets)
    found = risk_contributions(risk_parity_weights(covariance, budgets), covariance)
    np.testing.assert_allclose(found.component / found.volatility, budgets / budgets.sum(), atol=1e-6)
    assert risk_parity_weights(covariance, budgets).sum() == pytest.approx(1.0)


def test_what_has_no_weights_of_equal_risk_is_refused() -> None:
    assert len(risk_parity_weights(np.empty((0, 0)))) == 0
    np.testing.assert_allclose(risk_parity_weights([[0.04]]), [1.0])
    with pytest.raises(ValueError, match="the variance of asset 1 was 0"):
        risk_parity_weights([[0.04, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="hedge each other away"):
        risk_parity_weights([[0.04, -0.04], [-0.04, 0.04]])
    with pytest.raises(ValueError, match="budgets must be 1 positive"):
        risk_parity_weights([[0.04]], [0.0])
    with pytest.raises(ValueError, match="finite"):
        risk_parity_weights([[math.nan]])
