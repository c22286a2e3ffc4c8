from __future__ import annotations

import math

import pytest

from alpharay.signals.evidence import FLOOR, YEAR_MS, ScoredStrategy, weight
from alpharay.strategies.catalogue import strategy_named


def scored(
    *,
    out: float | None = 1.0,
    inside: float | None = 2.0,
    trades: float | None = 30.0,
    years: float = 4.0,
    status: str = "VALIDATED",
) -> ScoredStrategy:
    strategy = strategy_named("MACD_CROSSOVER")
    return ScoredStrategy(
        strategy_id="a" * 64,
        strategy=strategy,
        parameters=strategy.defaults,
        status=status,
        in_sample={"sharpe": inside},
        out_of_sample={"sharpe": out, "trades": trades},
        start_time=0,
        train_end_time=int(6 * YEAR_MS),
        end_time=int((6 + years) * YEAR_MS),
    )


def test_the_weight_of_a_hand_computed_case() -> None:
    # Sharpe 1, four years keep a half, 30 trades keep three quarters.
    assert weight(scored()) == pytest.approx(1.0 * 0.5 * 0.75)


def test_a_candidate_counts_half_of_a_validated_one() -> None:
    assert weight(scored(status="CANDIDATE")) == pytest.approx(weight(scored()) / 2.0)


def test_in_sample_below_out_of_sample_limits_the_weight() -> None:
    assert weight(scored(inside=0.5, out=3.0)) == pytest.approx(weight(scored(inside=3.0, out=0.5)))


@pytest.mark.parametrize("value", [None, 0.0, -2.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["out", "inside", "trades"])
def test_missing_or_poor_evidence_counts_next_to_nothing(name: str, value: float | None) -> None:
    assert weight(scored(**{name: value})) == FLOOR  # type: ignore[arg-type]


def test_a_window_with_nothing_out_of_sample_counts_next_to_nothing() -> None:
    assert weight(scored(years=0.0)) == FLOOR


def test_more_years_trades_and_sharpe_count_more_up_to_one() -> None:
    assert weight(scored(years=8.0)) > weight(scored()) > weight(scored(years=0.5))
    assert weight(scored(trades=200.0)) > weight(scored()) > weight(scored(trades=2.0))
    assert weight(scored(out=1.5)) > weight(scored())
    assert weight(scored(out=99.0, inside=99.0)) == 1.0


def test_an_unknown_status_has_no_more_than_the_floor() -> None:
    assert weight(scored(status="SOMETHING_NEW")) == FLOOR
