import numpy as np
import pytest

from alpharay.selection.retirement import (
    RetirementSettings,
    probabilistic_sharpe,
    reason_to_retire,
    worst_drawdown,
)


def returns_with_sharpe(annual: float, days: int, seed: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(days)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * 0.01
    return noise + annual / np.sqrt(365.0) * 0.01


def test_probabilistic_sharpe_agrees_with_simulated_estimates():
    # The estimated ratio of normal returns spreads around the true one as the formula says.
    generator = np.random.default_rng(1)
    true = 0.1
    samples = generator.standard_normal((4_000, 120)) + true
    estimated = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    below = [probabilistic_sharpe(row, true * np.sqrt(365.0)) for row in samples[:400]]
    assert np.mean(np.array(below) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert estimated.mean() == pytest.approx(true, abs=0.01)


def test_probabilistic_sharpe_of_too_few_or_flat_returns_is_defined():
    assert probabilistic_sharpe(np.array([0.1, 0.2]), 1.0) == 0.5
    assert probabilistic_sharpe(np.zeros(50), 1.0) == 0.0
    assert probabilistic_sharpe(np.zeros(50), -1.0) == 1.0
    assert probabilistic_sharpe(np.zeros(50), 0.0) == 0.5


def test_worst_drawdown_counts_the_start_as_a_peak():
    assert worst_drawdown(np.array([-0.1, 0.05, -0.2])) == pytest.approx(1.0 - 0.9 * 1.05 * 0.8)
    assert worst_drawdown(np.empty(0)) == 0.0


def test_a_strategy_that_earns_what_was_expected_stays():
    assert reason_to_retire(returns_with_sharpe(2.0, 700), returns_with_sharpe(2.0, 365, seed=4), 10.0) is None


def test_a_strategy_that_has_stopped_earning_retires_with_the_figures():
    live = returns_with_sharpe(-0.5, 300, seed=4)
    reason = reason_to_retire(returns_with_sharpe(4.0, 700), live, 10.0, RetirementSettings(drawdown_factor=5.0))
    assert reason is not None
    assert "Sharpe ratio of -0.50 over 300 live days" in reason


def test_the_answer_between_two_tests_is_that_of_the_earlier_one():
    before, live = returns_with_sharpe(6.0, 700), np.r_[returns_with_sharpe(6.0, 60), np.full(29, -0.002)]
    assert reason_to_retire(before, live, 10.0) is None
    assert reason_to_retire(before, live[:29] * 0.0, 10.0) is None


def test_a_live_drawdown_twice_the_known_one_retires_at_once():
    reason = reason_to_retire(returns_with_sharpe(4.0, 700), np.array([0.01, -0.3]), 1.0)
    assert reason is not None
    assert "lost 30.0% from its peak" in reason


def test_old_evidence_retires():
    assert "181 days old" in str(reason_to_retire(np.empty(0), np.empty(0), 181.0))
    assert reason_to_retire(np.empty(0), np.empty(0), 1.0) is None


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"doubt must be in \(0, 1\), was 0"):
        RetirementSettings(doubt=0.0)
