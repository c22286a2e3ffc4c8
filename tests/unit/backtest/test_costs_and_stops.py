"""Costs and stops: what they are worth, and what is refused by its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.stops import NO_STOPS, AtrTrail, Stops


def test_factors_of_costs_by_hand() -> None:
    costs = Costs(fee=0.1, slippage=0.25)
    assert (costs.entry_factor, costs.exit_factor) == pytest.approx((0.9 / 1.25, 0.9 * 0.75))
    assert (NO_COSTS.entry_factor, NO_COSTS.exit_factor) == (1.0, 1.0)


def test_without_a_word_there_is_no_stop_and_an_atr_trail_is_wilders() -> None:
    assert Stops() == NO_STOPS == Stops(stop_loss=None, take_profit=None, trailing_stop=None, atr_trail=None)
    assert (AtrTrail().length, AtrTrail().multiple) == (14, 3.0)


def test_the_edges_of_what_is_allowed() -> None:
    assert Costs(fee=0.0, slippage=0.499).slippage == 0.499
    assert Stops(stop_loss=1e-9, take_profit=0.999).trailing_stop is None
    assert AtrTrail(length=1, multiple=1e-9).length == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Costs(fee=0.5), r"fee must be in \[0, 0.5\), was 0.5"),
        (lambda: Costs(slippage=-1e-9), r"slippage must be in \[0, 0.5\), was -1e-09"),
        (lambda: Costs(fee=float("nan")), "fee must be in .* was nan"),
        (lambda: Stops(stop_loss=0.0), r"stop_loss must be in \(0, 1\), was 0.0"),
        (lambda: Stops(take_profit=1.0), r"take_profit must be in \(0, 1\), was 1.0"),
        (lambda: Stops(trailing_stop=float("nan")), "trailing_stop must be in .* was nan"),
        (lambda: AtrTrail(length=0), "length of the ATR trail must be at least 1, was 0"),
        (lambda: AtrTrail(multiple=0.0), "multiple of the ATR trail must be above 0, was 0.0"),
        (lambda: AtrTrail(multiple=float("nan")), "multiple of the ATR trail must be above 0, was nan"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
