"""From a share of the equity to a quantity: held to the limits, in whole lots, with the reasons."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.backtest.frictions import Frictions
from alpharay.portfolio.order_proposal import propose_order
from alpharay.risk.limits import PortfolioState, RiskLimits

FREE = RiskLimits(position=None, concentration=None, gross=None, net=None)


def state(equity: float = 10_000.0, **positions: float) -> PortfolioState:
    held = {f"{name}/USD": value for name, value in positions.items()}
    return PortfolioState(equity=equity, day_start_equity=equity, peak_equity=equity, positions=held)


@pytest.mark.parametrize(("side", "sign"), [("buy", 1.0), ("sell", -1.0)])
def test_share_of_the_equity_becomes_a_quantity(side, sign) -> None:
    found = propose_order("BTC/USD", side, 0.1, 250.0, state=state(), limits=FREE)
    assert (found.wanted, found.quantity, found.reasons) == (sign * 1_000.0, Decimal(4), ())


def test_limit_reduces_the_order_and_says_so() -> None:
    found = propose_order("BTC/USD", "buy", 0.5, 100.0, state=state(BTC=1_000.0), limits=RiskLimits(position=0.2))
    assert found.quantity == Decimal(10)
    assert any("position" in reason for reason in found.reasons)


def test_limit_refuses_the_order() -> None:
    found = propose_order("BTC/USD", "buy", 0.1, 100.0, state=state(BTC=3_000.0), limits=RiskLimits())
    assert (found.quantity, found.ordered) == (0, None)
    assert found.reasons


def test_lots_are_exact_and_rounded_down() -> None:
    found = propose_order("X/USD", "buy", 0.1, 3.0, state=state(), limits=FREE, frictions=Frictions(lot_size=0.1))
    assert found.quantity == Decimal("333.3")


def test_too_small_an_order_is_none() -> None:
    for frictions, why in ((Frictions(minimum_notional=50.0), "50"), (Frictions(lot_size=5.0), "lot size")):
        found = propose_order("X/USD", "buy", 0.001, 10.0, state=state(), limits=FREE, frictions=frictions)
        assert found.quantity == 0
        assert any(why in reason for reason in found.reasons)


@pytest.mark.parametrize(("equity", "fraction", "why"), [(10_000.0, 0.0, "size is 0"), (-5.0, 0.5, "above 0, was -5")])
def test_nothing_wanted_is_no_order(equity, fraction, why) -> None:
    found = propose_order("X/USD", "buy", fraction, 10.0, state=state(equity), limits=FREE)
    assert found.quantity == 0
    assert why in found.reasons[0]


@pytest.mark.parametrize("fraction", [-0.1, float("nan")])
def test_fraction_below_zero_is_refused(fraction) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        propose_order("X/USD", "buy", fraction, 10.0, state=state(), limits=FREE)


@given(fraction=st.floats(0, 2), price=st.floats(1e-4, 1e6), lot=st.sampled_from([None, 0.1, 0.001, 1.0]))
def test_order_is_never_worth_more_than_was_wanted(fraction, price, lot) -> None:
    frictions = Frictions(lot_size=lot)
    found = propose_order("X/USD", "buy", fraction, price, state=state(), limits=FREE, frictions=frictions)
    assert float(found.quantity) * price <= found.wanted * (1.0 + 1e-6)
    if lot is not None:
        assert found.quantity % Decimal(repr(lot)) == 0
