import numpy as np
import pytest

from alpharay.selection.confidence import (
    ConfidenceWeights,
    KindRecord,
    confidence,
    frequency_of,
    performance_of,
    recency_of,
)


def returns_with_sharpe(annual: float, days: int) -> np.ndarray:
    noise = np.random.default_rng(5).standard_normal(days)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * 0.01
    return noise + annual / np.sqrt(365.0) * 0.01


def test_performance_of_one_year_keeps_a_fifth_of_the_sharpe_less_what_few_trades_hide():
    assert performance_of(returns_with_sharpe(2.0, 365), trades=30) == pytest.approx(2.0 * 0.2 * 0.75)


def test_performance_grows_with_the_length_of_the_evidence():
    short, long = (performance_of(returns_with_sharpe(1.0, days), trades=50) for days in (60, 700))
    assert 0.0 < short < long < 1.0


@pytest.mark.parametrize("unseen", [np.empty(0), np.zeros(100), np.full(1, 0.1), returns_with_sharpe(-1.0, 200)])
def test_performance_of_nothing_flat_or_losing_is_zero(unseen):
    assert performance_of(unseen, trades=40) == 0.0


def test_performance_without_a_trade_is_zero_and_never_above_one():
    assert performance_of(returns_with_sharpe(3.0, 365), trades=0) == 0.0
    assert performance_of(returns_with_sharpe(90.0, 365), trades=900) == 1.0


def test_frequency_of_an_untested_kind_is_the_rate_of_all_kinds():
    assert frequency_of(KindRecord(0, 0), KindRecord(98, 9)) == pytest.approx(0.1)


def test_frequency_of_a_much_tested_kind_is_its_own_rate():
    assert frequency_of(KindRecord(10_000, 4_000), KindRecord(100_000, 10_000)) == pytest.approx(0.4, abs=0.001)


def test_frequency_does_not_grow_with_how_often_a_kind_was_asked_for():
    everything = KindRecord(1_000, 100)
    often, seldom = (frequency_of(KindRecord(asked, asked // 10), everything) for asked in (500, 50))
    assert often == pytest.approx(seldom, rel=0.01)


@pytest.mark.parametrize(("age", "expected"), [(-1.0, 1.0), (0.0, 1.0), (15.0, 0.5), (30.0, 0.0), (400.0, 0.0)])
def test_recency_falls_to_zero_in_thirty_days(age, expected):
    assert recency_of(age) == expected


def test_confidence_weighs_its_parts():
    found = confidence(returns_with_sharpe(2.0, 365), 30, KindRecord(0, 0), KindRecord(98, 9), 15.0)
    assert (found.performance, found.frequency, found.recency) == pytest.approx((0.3, 0.1, 0.5))
    assert found.value == pytest.approx(0.6 * 0.3 + 0.25 * 0.1 + 0.15 * 0.5)


def test_weights_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ValueError, match=r"must sum to 1, was 1\.09"):
        ConfidenceWeights(performance=0.7)
    with pytest.raises(ValueError, match="passed must be in"):
        KindRecord(2, 3)
