"""Value at risk and expected shortfall against closed forms, quadrature and known truth; breaches against tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from alpharay.models.volatility import FittedVolatility, ewma_volatility, updated
from alpharay.risk.breaches import breach_tests, breaches_of, coverage_test, independence_of_steps, independence_test
from alpharay.risk.value_at_risk import (
    _rises,
    cornish_fisher_risk,
    filtered_risk,
    gaussian_risk,
    historical_risk,
    portfolio_returns,
    shortfall_contributions,
)

SAMPLE = np.random.default_rng(0).standard_t(4, 400) * 0.01
returns_lists = st.lists(st.floats(-0.5, 0.5).map(lambda value: round(value, 6)), min_size=1, max_size=80)


def test_normal_quantiles_and_shortfalls_are_those_of_the_tables() -> None:
    series = np.array([-1.0, 0.0, 1.0]) * math.sqrt(1.0)
    assert series.std(ddof=1) == pytest.approx(1.0)
    for level, at_risk, shortfall in ((0.95, 1.6449, 2.0627), (0.975, 1.9600, 2.3378), (0.99, 2.3263, 2.6652)):
        risk = gaussian_risk(series, level=level)
        assert risk.value_at_risk == pytest.approx(at_risk, abs=5e-5)
        assert risk.expected_shortfall == pytest.approx(shortfall, abs=5e-5)


def test_gaussian_risk_counts_the_mean_as_a_gain() -> None:
    shifted, plain = gaussian_risk(SAMPLE + 0.02), gaussian_risk(SAMPLE)
    assert shifted.value_at_risk == pytest.approx(plain.value_at_risk - 0.02)
    assert shifted.expected_shortfall == pytest.approx(plain.expected_shortfall - 0.02)


def test_historical_risk_of_a_hundred_returns_by_hand() -> None:
    series = np.arange(-50, 50) / 1000.0
    risk = historical_risk(series, level=0.95)
    assert risk.value_at_risk == pytest.approx(0.046)
    assert risk.expected_shortfall == pytest.approx((0.050 + 0.049 + 0.048 + 0.047 + 0.046) / 5)
    half = historical_risk(series, level=0.975)
    assert half.value_at_risk == pytest.approx(0.048)
    assert half.expected_shortfall == pytest.approx((0.050 + 0.049 + 0.5 * 0.048) / 2.5)
    assert half.tail_observations == 2.5


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99, 0.973])
@given(returns=returns_lists)
@settings(max_examples=60, deadline=None)
def test_historical_risk_integrates_the_empirical_quantiles(level: float, returns: list[float]) -> None:
    risk = historical_risk(returns, level=level)
    losses = np.sort(-np.array(returns))[::-1]
    # The largest losses, each with the weight 1 / n, until 1 - level is filled.
    left, total = 1.0 - level, 0.0
    for loss in losses:
        taken = min(left, 1.0 / len(losses))
        total, left = total + taken * loss, left - taken
    assert risk.expected_shortfall == pytest.approx(total / (1.0 - level), abs=1e-7)
    assert risk.value_at_risk <= risk.expected_shortfall + 1e-12
    assert np.mean(-np.array(returns) > risk.value_at_risk) <= 1.0 - level + 1e-9


@given(first=returns_lists, seed=st.integers(0, 1_000))
@settings(max_examples=60, deadline=None)
def test_expected_shortfall_never_rewards_splitting_a_portfolio(first: list[float], seed: int) -> None:
    one = np.array(first)
    other = np.random.default_rng(seed).standard_t(3, len(one)) * 0.05
    both = historical_risk(one + other, level=0.9).expected_shortfall
    apart = historical_risk(one, level=0.9).expected_shortfall + historical_risk(other, level=0.9).expected_shortfall
    assert both <= apart + 1e-9


def test_parts_of_a_shortfall_are_its_slopes_and_sum_to_it() -> None:
    table = (
        np.random.default_rng(2).standard_t(4, (503, 3)) @ np.array([[1.0, 0.4, -0.3], [0, 1, 0.2], [0, 0, 1]]) * 0.01
    )
    weights = np.array([0.5, 0.3, -0.2])
    parts = shortfall_contributions(weights, table, level=0.975)
    whole = historical_risk(portfolio_returns(weights, table), level=0.975).expected_shortfall
    assert parts.sum() == pytest.approx(whole, rel=1e-12)
    for asset in range(3):
        step = np.zeros(3)
        step[asset] = 1e-7
        up, down = (
            historical_risk(portfolio_returns(moved, table), level=0.975).expected_shortfall
            for moved in (weights + step, weights - step)
        )
        assert parts[asset] == pytest.approx(weights[asset] * (up - down) / 2e-7, rel=1e-5)
    with pytest.raises(ValueError, match="returns must be at least 1, were 0"):
        shortfall_contributions([1.0], np.empty((0, 1)))


def test_cornish_fisher_quantile_and_shortfall_equal_the_expansion_and_its_quadrature() -> None:
    series = np.random.default_rng(3).gamma(30.0, 1.0, 2_000) * 0.001
    mean, deviation = series.mean(), series.std(ddof=1)
    skewness, kurtosis = stats.skew(series), stats.kurtosis(series)

    def quantile(probability: float) -> float:
        z = stats.norm.ppf(probability)
        corrected = z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24
        return float(mean + deviation * (corrected - (2 * z**3 - 5 * z) * skewness**2 / 36))

    risk = cornish_fisher_risk(series, level=0.975)
    assert risk.value_at_risk == pytest.approx(-quantile(0.025), rel=1e-10)
    expected = -integrate.quad(quantile, 0.0, 0.025, limit=200)[0] / 0.025
    assert risk.expected_shortfall == pytest.approx(expected, rel=1e-6)


thousandths = st.integers(-1_000, 1_000).map(lambda value: value / 1_000)


@given(linear=thousandths, square=thousandths, cube=thousandths, until=st.sampled_from([-1.3, -2.3]))
@settings(max_examples=500, deadline=None)
def test_expansion_is_taken_exactly_where_it_rises_through_the_tail(
    linear: float, square: float, cube: float, until: float
) -> None:
    slope = np.polynomial.Polynomial([linear, 2.0 * square, 3.0 * cube])
    # It rises when it does at the tail's begin and its slope has no zero further out.
    zeros = [root.real for root in slope.trim().roots() if abs(root.imag) < 1e-12 and root.real <= until]
    assert _rises(linear, square, cube, until) == bool(slope(until) > 0.0 and not zeros)


def test_cornish_fisher_risk_is_nearer_to_the_truth_than_the_normal_on_skewed_returns() -> None:
    series = -(np.random.default_rng(4).gamma(20.0, 1.0, 200_000) - 20.0)
    truth = stats.gamma.ppf(0.99, 20.0) - 20.0
    normal, corrected = gaussian_risk(series).value_at_risk, cornish_fisher_risk(series).value_at_risk
    assert corrected == pytest.approx(truth, rel=0.01)
    assert abs(normal - truth) > 5 * abs(corrected - truth)


def test_cornish_fisher_risk_outside_its_domain_is_refused() -> None:
    series = np.zeros(500)
    series[7] = -1.0
    with pytest.raises(ValueError, match="use the historical method"):
        cornish_fisher_risk(series)


def garch_returns(bars: int, seed: int) -> tuple[np.ndarray, np.ndarray, FittedVolatility]:
    generator = np.random.default_rng(seed)
    start = FittedVolatility(
        model="garch", mean=0.0005, omega=2e-6, alpha=0.12, beta=0.86, next_variance=1e-4, observations=0
    )
    state, returns, variances = start, [], []
    for _ in range(bars):
        variances.append(state.next_variance)
        returns.append(state.mean + math.sqrt(state.next_variance) * generator.standard_normal())
        state = updated(state, returns[-1:])
    return np.array(returns), np.array(variances), state


def test_filtered_risk_is_that_of_the_volatility_of_now() -> None:
    returns, _, state = garch_returns(20_000, 5)
    risk = filtered_risk(returns, state, level=0.99)
    deviation = math.sqrt(state.next_variance)
    assert risk.value_at_risk == pytest.approx(2.3263 * deviation - 0.0005, rel=0.05)
    assert risk.expected_shortfall == pytest.approx(2.6652 * deviation - 0.0005, rel=0.05)


def test_filtered_risk_over_ten_periods_is_that_of_simulated_truth() -> None:
    returns, _, state = garch_returns(10_000, 6)
    risk = filtered_risk(returns, state, level=0.99, horizon=10)
    generator, outcomes = np.random.default_rng(1), np.zeros(200_000)
    variance = np.full(200_000, state.next_variance)
    for _ in range(10):
        shock = np.sqrt(variance) * generator.standard_normal(200_000)
        outcomes += 0.0005 + shock
        variance = 2e-6 + 0.12 * shock**2 + 0.86 * variance
    assert risk.value_at_risk == pytest.approx(-np.quantile(outcomes, 0.01), rel=0.06)
    assert risk.horizon == 10
    assert risk == filtered_risk(returns, state, level=0.99, horizon=10)


def test_filtered_risk_holds_in_calm_and_storm_where_historical_risk_does_not() -> None:
    returns, variances, _ = garch_returns(3_500, 7)
    state = FittedVolatility(
        model="garch", mean=0.0005, omega=2e-6, alpha=0.12, beta=0.86, next_variance=1e-4, observations=0
    )
    state = updated(state, returns[:500])
    said_filtered, said_historical = [], []
    for bar in range(500, 3_500):
        window = returns[bar - 500 : bar]
        said_filtered.append(filtered_risk(window, state, level=0.95).value_at_risk)
        said_historical.append(historical_risk(window, level=0.95).value_at_risk)
        state = updated(state, returns[bar : bar + 1])
    storm = variances[500:] > np.median(variances[500:])
    filtered, historical = breaches_of(returns[500:], said_filtered), breaches_of(returns[500:], said_historical)
    assert coverage_test(int(filtered[storm].sum()), int(storm.sum()), level=0.95).p_value > 0.01
    assert coverage_test(int(filtered[~storm].sum()), int((~storm).sum()), level=0.95).p_value > 0.01
    assert coverage_test(int(historical[storm].sum()), int(storm.sum()), level=0.95).p_value < 1e-4
    assert coverage_test(int(historical[~storm].sum()), int((~storm).sum()), level=0.95).p_value < 1e-4


def test_one_return_an_empty_set_a_flat_market_and_gaps_have_defined_answers() -> None:
    one = historical_risk([-0.02])
    assert (one.value_at_risk, one.expected_shortfall) == (0.02, 0.02)
    flat = np.zeros(50)
    for risk in (historical_risk(flat), gaussian_risk(flat), cornish_fisher_risk(flat)):
        assert risk.value_at_risk == pytest.approx(0.0)
        assert risk.expected_shortfall == pytest.approx(0.0)
    assert filtered_risk(flat, ewma_volatility(flat)).value_at_risk == 0.0
    with pytest.raises(ValueError, match="returns must be at least 1, were 0"):
        historical_risk([])
    with pytest.raises(ValueError, match="returns must be at least 2, were 1"):
        gaussian_risk([0.1])
    with pytest.raises(ValueError, match="returns must be finite"):
        historical_risk([0.1, math.nan])
    with pytest.raises(ValueError, match="level must be in"):
        historical_risk([0.1], level=99.0)
    with pytest.raises(ValueError, match="horizon"):
        filtered_risk(flat, ewma_volatility(flat), horizon=0)


def test_portfolio_returns_are_weighted_sums_and_hedges_cancel() -> None:
    asset = SAMPLE
    table = np.stack([asset, asset], axis=1)
    np.testing.assert_allclose(portfolio_returns([0.5, -0.5], table), 0.0)
    np.testing.assert_allclose(portfolio_returns([0.3, 0.4], table), 0.7 * asset)
    np.testing.assert_array_equal(portfolio_returns([], np.empty((5, 0))), np.zeros(5))
    with pytest.raises(ValueError, match=r"shape \(periods, 3\)"):
        portfolio_returns([1.0, 1.0, 1.0], table)
    with pytest.raises(ValueError, match="was nan in period 1 of asset 0"):
        portfolio_returns([1.0], [[0.1], [math.nan]])


@pytest.mark.parametrize(
    ("probability", "days", "below", "above"),
    [
        (0.01, 255, 0, 7),
        (0.01, 510, 1, 11),
        (0.01, 1000, 4, 17),
        (0.025, 255, 2, 12),
        (0.025, 510, 6, 21),
        (0.025, 1000, 15, 36),
        (0.05, 255, 6, 21),
        (0.05, 510, 16, 36),
        (0.05, 1000, 37, 65),
        (0.075, 255, 11, 28),
        (0.075, 510, 27, 51),
        (0.075, 1000, 59, 92),
        (0.10, 255, 16, 36),
        (0.10, 510, 38, 65),
        (0.10, 1000, 81, 120),
    ],
)
def test_coverage_accepts_what_kupiecs_table_accepts(probability: float, days: int, below: int, above: int) -> None:
    accepted = [count for count in range(days) if coverage_test(count, days, level=1 - probability).p_value > 0.05]
    assert accepted == list(range(below + 1, above))


def test_breaches_of_jorions_bank_have_his_statistics() -> None:
    # Jorion, "Value at Risk", 3rd edition, chapter 6: 20 breaches in 252 days at 95 %, 6 of them after a breach.
    coverage = coverage_test(20, 252, level=0.95)
    independence = independence_of_steps(np.array([[218.0, 14.0], [14.0, 6.0]]))
    assert coverage.statistic == pytest.approx(3.91, abs=0.005)
    assert independence.statistic == pytest.approx(9.53, abs=0.005)
    assert coverage.p_value == pytest.approx(0.0479, abs=1e-4)


def test_breaches_that_come_together_are_seen() -> None:
    clustered, scattered = np.zeros(500, dtype=bool), np.zeros(500, dtype=bool)
    clustered[100:110] = clustered[300:315] = True
    scattered[::20] = True
    together, apart = breach_tests(clustered, level=0.95), breach_tests(scattered, level=0.95)
    assert together.breaches == apart.breaches == 25
    assert together.coverage.p_value == apart.coverage.p_value == pytest.approx(1.0)
    assert together.independence.p_value < 1e-6
    assert apart.independence.p_value > 0.05
    assert together.conditional_coverage.degrees_of_freedom == 2
    assert apart.expected == pytest.approx(25.0)


def test_right_models_are_rejected_as_often_as_the_level_says() -> None:
    generator = np.random.default_rng(8)
    tests = [breach_tests(generator.random(1_000) < 0.05, level=0.95) for _ in range(1_500)]
    assert np.mean([test.coverage.p_value < 0.05 for test in tests]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([test.conditional_coverage.p_value < 0.05 for test in tests]) == pytest.approx(0.05, abs=0.03)


def test_no_breaches_and_no_observations_say_nothing_of_independence() -> None:
    assert independence_test(np.zeros(100, dtype=bool)).p_value == 1.0
    assert independence_test([]).p_value == 1.0
    assert independence_test(np.ones(100, dtype=bool)).p_value == 1.0
    assert coverage_test(0, 0, level=0.99).p_value == 1.0
    with pytest.raises(ValueError, match="breaches must be in"):
        coverage_test(3, 2, level=0.99)
    with pytest.raises(ValueError, match="same length"):
        breaches_of([0.1], [])
