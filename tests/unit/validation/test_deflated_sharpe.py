"""The deflated Sharpe ratio against the numbers in its paper, and the best of trials against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.validation.deflated_sharpe import deflated_sharpe, expected_best_sharpe, probabilistic_sharpe


@pytest.mark.parametrize(("trials", "expected"), [(100, 0.9004), (46, 0.9505)])
def test_the_papers_example_is_met(trials: int, expected: float) -> None:
    # Bailey & López de Prado 2014: annual Sharpe 2.5 over 5 years of 250 days, skewness -3, kurtosis 10, annual
    # variance of the trials 1/2.
    best = expected_best_sharpe(0.5 / 250, trials)
    if trials == 100:
        assert best == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(2.5 / np.sqrt(250), best, 1250, -3.0, 10.0) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_the_expected_best_is_what_simulated_trials_show(trials: int) -> None:
    best = np.random.default_rng(trials).normal(0.0, 0.05, (4000, trials)).max(axis=1).mean()
    assert expected_best_sharpe(0.05**2, trials) == pytest.approx(best, rel=0.035)


def test_one_trial_expects_nothing_and_a_normal_series_gives_the_plain_t_test() -> None:
    assert expected_best_sharpe(1.0, 1) == 0.0
    returns = np.random.default_rng(0).normal(0.001, 0.01, 1000)
    found = deflated_sharpe(returns, 1, 0.0)
    statistic = returns.mean() / returns.std(ddof=1) * np.sqrt(999)
    assert found.probability == pytest.approx(float(probabilistic_sharpe(statistic, 0.0, 2, 0.0, 1.0)), abs=0.02)


def test_more_trials_leave_less_of_the_same_series() -> None:
    returns = np.random.default_rng(0).normal(0.001, 0.01, 1000)
    found = [deflated_sharpe(returns, trials, 0.0005).probability for trials in (1, 5, 50, 500)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95
    assert found[-1] < 0.6


@pytest.mark.parametrize("returns", [np.zeros(0), np.zeros(1), np.zeros(500), np.full(500, 0.001)])
def test_series_without_variation_say_nothing_for_an_edge(returns: np.ndarray) -> None:
    assert deflated_sharpe(returns, 20, 0.001).probability <= 0.5


def test_impossible_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="was 0 and"):
        expected_best_sharpe(0.1, 0)


@pytest.mark.parametrize("variance", [-1e-9, -0.5])
def test_a_variance_below_zero_is_refused_and_none_at_all_expects_nothing(variance: float) -> None:
    with pytest.raises(ValueError, match=f"trial_variance 0 or more, was 3 and {variance}"):
        expected_best_sharpe(variance, 3)
    assert expected_best_sharpe(0.0, 3) == 0.0


@pytest.mark.parametrize("days", [0, 1])
def test_fewer_than_two_days_say_nothing_and_two_say_something(days: int) -> None:
    assert probabilistic_sharpe(3.0, 0.0, days, 0.0, 3.0) == 0.5
    # (1 - 0) sqrt(1) / sqrt(1 + 0.5): the normal distribution at 0.8165.
    assert probabilistic_sharpe(1.0, 0.0, 2, 0.0, 3.0) == pytest.approx(0.79289, abs=1e-5)


def test_where_the_expansion_has_no_variance_left_there_is_no_doubt() -> None:
    # 1 - 3 * 1 + (1.5 - 1) / 4 is below zero.
    assert probabilistic_sharpe(1.0, 0.5, 100, 3.0, 1.5) == 1.0
    assert probabilistic_sharpe(1.0, 1.0, 100, 3.0, 1.5) == 0.0
    # 1 - 2 * 1 + (5 - 1) / 4 is zero.
    assert probabilistic_sharpe(1.0, 2.0, 100, 2.0, 5.0) == 0.0


def test_the_report_keeps_what_it_was_computed_from() -> None:
    returns = np.array([0.01, 0.02, 0.03, -0.01, 0.05])
    found = deflated_sharpe(returns, 7, 0.02)
    centred = returns - returns.mean()
    spread = np.sqrt((centred**2).mean())
    assert (found.trials, found.days) == (7, 5)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert found.skewness == pytest.approx((centred**3).mean() / spread**3)
    assert found.kurtosis == pytest.approx((centred**4).mean() / spread**4)
    assert found.expected_best == expected_best_sharpe(0.02, 7)
    short = deflated_sharpe(returns[:2], 1, 0.0)
    assert (short.skewness, short.kurtosis, short.days) == (0.0, 3.0, 2)
    three = deflated_sharpe(returns[:3], 1, 0.0)
    assert three.kurtosis == pytest.approx(1.5)
