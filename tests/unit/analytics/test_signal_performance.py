"""Hit rates, P&L and calibration: against SciPy, by hand, and where there is nothing to say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from alpharay.analytics.confidence_calibration import calibration
from alpharay.analytics.decisions import DecisionRow, MarketName, StrategySet, decisions_of, no_decisions
from alpharay.analytics.hit_rate import NO_RATE, Rate, wilson_rate
from alpharay.analytics.performance import performance, weighted_mean

SOL, BTC = MarketName("binance", "SOL/USD", "1h"), MarketName("binance", "BTC/USD", "1h")
BOTH = StrategySet(("a", "b"), (1, -1))
UNTOLD = StrategySet(("a", "c"))


def row(
    net: float, *, entry: int = 0, length: int = 10, side: int = 1, confidence: float = 0.5, signals: int = 1,
    market: MarketName = SOL, strategies: StrategySet = BOTH,
) -> DecisionRow:  # fmt: skip
    return DecisionRow(market, strategies, side, confidence, entry, entry + length, net, signals)


def apart(returns: list[float], confidences: list[float] | None = None) -> list[DecisionRow]:
    """Return decisions that do not overlap."""
    said = [0.5] * len(returns) if confidences is None else confidences
    return [row(net, entry=20 * place, confidence=said[place]) for place, net in enumerate(returns)]


@given(st.integers(1, 400), st.floats(0.0, 1.0), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_s_interval_is_scipy_s(observations: int, share: float, level: float) -> None:
    successes = round(observations * share)
    expected = binomtest(successes, observations).proportion_ci(level, method="wilson")
    found = wilson_rate(successes, observations, level)
    assert found.value == successes / observations
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_rate_of_nothing_is_none_and_one_of_one_is_uncertain() -> None:
    assert wilson_rate(0, 0) == NO_RATE
    rate = wilson_rate(1, 1)
    assert rate.low == pytest.approx(0.2065, abs=1e-4)
    assert rate.high == 1.0


@pytest.mark.parametrize(("successes", "observations", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)])
def test_what_is_no_rate_is_refused(successes: float, observations: float, level: float) -> None:
    with pytest.raises(ValueError, match="must be in"):
        wilson_rate(successes, observations, level)


def test_figures_by_hand() -> None:
    found = performance(decisions_of(apart([0.04, -0.01, 0.02, -0.03, 0.0])))
    assert (found.signals, found.decisions, found.independent) == (5, 5, 5.0)
    assert (found.hit_rate.value, found.success_rate) == (0.4, 0.4)
    assert (found.hit_rate.low, found.hit_rate.high) == pytest.approx(
        tuple(binomtest(2, 5).proportion_ci(method="wilson"))
    )
    assert found.mean_return.value == pytest.approx(0.004)
    deviation = float(np.std([0.04, -0.01, 0.02, -0.03, 0.0], ddof=1))
    assert found.deviation == pytest.approx(deviation)
    assert found.mean_return.high == pytest.approx(0.004 + 1.959964 * deviation / math.sqrt(5))
    assert (found.best, found.worst, found.profit_factor) == (0.04, -0.03, pytest.approx(0.06 / 0.04))


def test_a_hundred_requests_on_one_candle_are_one_observation() -> None:
    polled = [row(0.05, signals=100), *(row(-0.01, entry=20 * place) for place in range(1, 4))]
    found = performance(decisions_of(polled))
    assert (found.signals, found.decisions, found.independent) == (103, 4, 4.0)
    assert found.hit_rate.value == 0.25
    assert found.success_rate == pytest.approx(100 / 103)


def test_overlapping_decisions_make_the_interval_wider() -> None:
    alike = [row(0.01 if place % 2 else -0.01, entry=place, length=10) for place in range(60)]
    found, free = performance(decisions_of(alike)), wilson_rate(30, 60)
    assert found.independent == pytest.approx(6.9, abs=0.5)
    assert found.hit_rate.value == pytest.approx(0.5)
    assert found.hit_rate.low is not None
    assert free.low is not None
    assert found.hit_rate.low < free.low - 0.1


def test_no_decisions_have_no_figures() -> None:
    found = performance(no_decisions())
    assert (found.signals, found.independent) == (0, 0.0)
    assert found.hit_rate == found.mean_return == NO_RATE
    assert found.success_rate is found.deviation is found.best is found.profit_factor is None


def test_one_decision_has_a_mean_without_an_interval() -> None:
    found = performance(decisions_of([row(0.02)]))
    assert found.mean_return == Rate(0.02, None, None)
    assert found.hit_rate.value == 1.0
    assert (found.deviation, found.profit_factor) == (None, None)


def test_whole_weights_are_values_seen_so_often() -> None:
    values, weights = np.array([0.1, -0.2, 0.05]), np.array([3.0, 2.0, 4.0])
    repeated = np.repeat(values, weights.astype(int))
    mean, deviation = weighted_mean(values, weights)
    assert mean.value == pytest.approx(repeated.mean())
    assert deviation == pytest.approx(repeated.std(ddof=1))


def test_a_strategy_answers_for_what_it_asked_for() -> None:
    rows = [
        row(0.01, entry=0, side=1),
        row(0.02, entry=20, side=-1),
        row(0.03, entry=40, strategies=UNTOLD),
        row(0.04, entry=60, market=BTC, strategies=StrategySet(("d",), (0,))),
    ]
    decisions = decisions_of(rows)
    groups = {name: one.net_return.tolist() for name, one in decisions.by_strategy().items()}
    assert groups == {"a": [0.01, 0.03], "b": [0.02], "c": [0.03]}
    assert {name: len(one) for name, one in decisions.by_market().items()} == {SOL: 3, BTC: 1}
    assert {name: len(one) for name, one in decisions.by_action().items()} == {"BUY": 3, "SELL": 1}


@pytest.mark.parametrize("changed", [{"side": 0}, {"net": math.nan}])
def test_what_has_no_outcome_is_no_decision(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        decisions_of([row(**{"net": 0.1, **changed})])  # type: ignore[arg-type]


def test_a_calibration_by_hand() -> None:
    found = calibration(decisions_of(apart([0.1, -0.1, 0.1, 0.1], [0.15, 0.12, 0.9, 1.0])), bins=10)
    assert found.brier_score == pytest.approx((0.85**2 + 0.12**2 + 0.1**2 + 0.0) / 4)
    assert found.brier_of_base_rate == pytest.approx(0.75 * 0.25)
    assert found.brier_skill == pytest.approx(1 - found.brier_score / 0.1875)
    first, last = found.bins[1], found.bins[9]
    assert (first.decisions, first.hit_rate.value, first.mean_confidence) == (2, 0.5, pytest.approx(0.135))
    assert (last.decisions, last.hit_rate.value, last.mean_confidence) == (2, 1.0, pytest.approx(0.95))
    assert found.calibration_error == pytest.approx((2 * (0.5 - 0.135) + 2 * (1 - 0.95)) / 4)
    assert found.bins[5].mean_confidence is None
    assert found.bins[5].hit_rate == NO_RATE


@given(st.lists(st.tuples(st.sampled_from([-0.1, 0.1]), st.floats(0.0, 1.0)), max_size=40), st.integers(1, 12))
def test_the_curve_equals_a_plain_loop(said: list[tuple[float, float]], bins: int) -> None:
    found = calibration(decisions_of(apart([net for net, _ in said], [one for _, one in said])), bins)
    edges = [number / bins for number in range(bins + 1)]
    for number, part in enumerate(found.bins):
        last = number == bins - 1
        inside = [net for net, one in said if edges[number] <= one and (last or one < edges[number + 1])]
        assert part.decisions == len(inside)
        assert part.independent == pytest.approx(len(inside))
        assert part.hit_rate.value == (
            None if not inside else pytest.approx(sum(net > 0 for net in inside) / len(inside))
        )
    if said:
        distances = [(one - (net > 0)) ** 2 for net, one in said]
        assert found.brier_score == pytest.approx(sum(distances) / len(said))
    else:
        assert found.brier_score is found.brier_skill is found.calibration_error is None


@pytest.mark.parametrize("place", range(10))
def test_a_confidence_on_an_edge_is_in_the_bin_that_starts_there(place: int) -> None:
    found = calibration(decisions_of(apart([0.1], [float(f"0.{place}")])))
    assert [part.decisions for part in found.bins].index(1) == place


def test_forecasts_that_are_probabilities_are_calibrated() -> None:
    generator = np.random.default_rng(5)
    said = generator.uniform(0.0, 1.0, 5_000)
    returns = np.where(generator.uniform(0.0, 1.0, 5_000) < said, 0.1, -0.1)
    found = calibration(decisions_of(apart(returns.tolist(), said.tolist())))
    assert found.calibration_error is not None
    assert found.calibration_error < 0.03
    assert found.brier_score == pytest.approx(1 / 6, abs=0.01)
    outside = sum(not part.hit_rate.low <= (part.low + part.high) / 2 <= part.hit_rate.high for part in found.bins)  # type: ignore[operator]
    assert outside <= 2


def test_a_confidence_that_is_no_number_is_left_out() -> None:
    found = calibration(decisions_of(apart([0.1, 0.1], [math.nan, 0.5])))
    assert (found.independent, found.mean_confidence) == (1.0, 0.5)
    assert found.brier_skill is None


def test_fewer_than_one_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="bins must be at least 1"):
        calibration(no_decisions(), bins=0)
