from __future__ import annotations

import math
from dataclasses import replace

import pytest

from alpharay.signals.evidence import FLOOR, YEAR_MS, Deployed, ScoredStrategy, selected_weights, weight
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
    assert weight(scored()) == pytest.approx(0.5 + 0.5 * (1.0 * 0.5 * 0.75))
    assert weight(scored(status="CANDIDATE")) == pytest.approx(FLOOR + (0.5 - FLOOR) * (1.0 * 0.5 * 0.75))


@pytest.mark.parametrize("status", ["CANDIDATE", "INSUFFICIENT"])
def test_the_best_candidate_counts_no_more_than_the_poorest_validated_one(status: str) -> None:
    best = weight(scored(status=status, out=99.0, inside=99.0))
    assert best <= weight(scored(out=-1.0)) == weight(scored(status="DEPLOYED", trades=None))


def test_in_sample_below_out_of_sample_limits_the_weight() -> None:
    assert weight(scored(inside=0.5, out=3.0)) == pytest.approx(weight(scored(inside=3.0, out=0.5)))


@pytest.mark.parametrize("value", [None, 0.0, -2.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["out", "inside", "trades"])
def test_missing_or_poor_evidence_counts_next_to_nothing(name: str, value: float | None) -> None:
    assert weight(scored(status="CANDIDATE", **{name: value})) == FLOOR  # type: ignore[arg-type]


def test_a_window_with_nothing_out_of_sample_counts_next_to_nothing() -> None:
    assert weight(scored(status="CANDIDATE", years=0.0)) == FLOOR


def test_more_years_trades_and_sharpe_count_more_up_to_one() -> None:
    assert weight(scored(years=8.0)) > weight(scored()) > weight(scored(years=0.5))
    assert weight(scored(trades=200.0)) > weight(scored()) > weight(scored(trades=2.0))
    assert weight(scored(out=1.5)) > weight(scored())
    assert weight(scored(out=99.0, inside=99.0)) == 1.0


@pytest.mark.parametrize("status", ["REJECTED", "RETIRED", "SOMETHING_NEW"])
def test_a_status_without_a_vote_has_no_more_than_the_floor(status: str) -> None:
    assert weight(scored(status=status)) == FLOOR


def test_deployed_strategies_stand_to_each_other_as_in_the_ensemble_and_are_as_sure_as_their_confidence() -> None:
    deployed = [Deployed("a", 0.8, 0.5), Deployed("b", 0.6, 0.3), Deployed("c", 0.9, 0.2)]
    assert selected_weights(deployed) == pytest.approx({"a": 0.8, "b": 0.6 * 0.6, "c": 0.9 * 0.4})


def test_a_deployed_strategy_outside_the_ensemble_counts_as_its_least_member() -> None:
    found = selected_weights([Deployed("a", 0.8, 0.6), Deployed("b", 0.8, 0.4), Deployed("left", 0.8, None)])
    assert found["left"] == pytest.approx(found["b"])
    assert selected_weights([Deployed("alone", 0.7, None)]) == {"alone": 0.7}


def test_a_deployed_strategy_without_confidence_counts_next_to_nothing_and_none_deployed_is_no_weight() -> None:
    assert selected_weights([Deployed("a", None, None), Deployed("b", 0.0, 1.0)]) == {"a": FLOOR, "b": FLOOR}
    assert selected_weights([]) == {}


def test_what_selection_gives_is_the_weight_whatever_the_evidence() -> None:
    assert weight(replace(scored(status="DEPLOYED"), selected_weight=0.3)) == 0.3
    assert weight(replace(scored(status="CANDIDATE", out=9.0), selected_weight=FLOOR)) == FLOOR
