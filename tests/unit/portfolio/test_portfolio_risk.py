"""The risk of a portfolio: components that sum to totals, margins that are slopes, and trades that hedge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.portfolio.portfolio_risk import marginal_risk, portfolio_risk
from alpharay.risk.covariance import shrunk_covariance

SYMBOLS = ("BTC/USD", "ETH/USD", "SOL/USD")
MIXED = np.array([[1.0, 0.6, 0.3], [0.0, 0.8, 0.4], [0.0, 0.0, 0.9]])
RETURNS = np.random.default_rng(7).normal(0.0, 0.01, (400, 3)) @ MIXED
WEIGHTS = {"BTC/USD": 0.5, "ETH/USD": -0.3, "SOL/USD": 0.2}
STEP = 1e-6

weight_sets = st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3).filter(
    lambda values: max(abs(value) for value in values) > 0.01
)


def volatility(weights: dict[str, float]) -> float:
    """The definition, by numpy alone."""
    held = np.array([weights[symbol] for symbol in SYMBOLS])
    return math.sqrt(held @ shrunk_covariance(RETURNS) @ held)


@given(values=weight_sets)
@settings(max_examples=60, deadline=None)
def test_components_sum_to_the_totals_and_margins_are_slopes(values: list[float]) -> None:
    weights = dict(zip(SYMBOLS, values, strict=True))
    found = portfolio_risk(weights, SYMBOLS, RETURNS)
    parts = found.symbols.values()
    assert found.volatility == pytest.approx(volatility(weights), rel=1e-9)
    assert sum(one.component_volatility for one in parts) == pytest.approx(found.volatility, rel=1e-9)
    assert sum(one.component_value_at_risk for one in parts) == pytest.approx(found.value_at_risk, rel=1e-9)
    assert sum(one.component_shortfall for one in parts) == pytest.approx(found.expected_shortfall, rel=1e-9)
    for symbol in SYMBOLS:
        up, down = ({**weights, symbol: weights[symbol] + step} for step in (STEP, -STEP))
        slope = (volatility(up) - volatility(down)) / (2.0 * STEP)
        assert found.symbols[symbol].marginal_volatility == pytest.approx(slope, rel=1e-4, abs=1e-7)
        assert found.symbols[symbol].marginal_value_at_risk == pytest.approx(2.3263478740 * slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("symbol", "change"), [("BTC/USD", 1e-6), ("ETH/USD", -1e-6), ("SOL/USD", 1e-6)])
def test_a_small_trade_adds_its_marginal_risk(symbol: str, change: float) -> None:
    found = marginal_risk(WEIGHTS, SYMBOLS, RETURNS, symbol, change)
    assert found.incremental_volatility / abs(change) == pytest.approx(found.marginal_volatility, rel=1e-3)
    assert found.incremental_value_at_risk / abs(change) == pytest.approx(found.marginal_value_at_risk, rel=1e-3)


def test_the_best_hedge_is_the_lowest_point() -> None:
    best = marginal_risk(WEIGHTS, SYMBOLS, RETURNS, "ETH/USD", 0.1).best_hedge
    at_best = marginal_risk(WEIGHTS, SYMBOLS, RETURNS, "ETH/USD", best).after.volatility
    for change in (best - 0.01, best + 0.01):
        assert marginal_risk(WEIGHTS, SYMBOLS, RETURNS, "ETH/USD", change).after.volatility > at_best


def test_a_trade_that_closes_the_only_position_leaves_no_risk() -> None:
    found = marginal_risk({"BTC/USD": 0.4}, SYMBOLS, RETURNS, "BTC/USD", -0.4)
    assert found.before.volatility == pytest.approx(0.4 * math.sqrt(shrunk_covariance(RETURNS)[0, 0]))
    assert (found.after.volatility, found.after.value_at_risk, found.after.heat.together) == (0.0, 0.0, 0.0)
    assert found.incremental_value_at_risk == pytest.approx(-found.before.value_at_risk)


def test_exposure_is_told_by_symbol_and_group() -> None:
    groups = {"BTC/USD": "majors", "ETH/USD": "majors"}
    found = portfolio_risk(WEIGHTS, SYMBOLS, RETURNS, groups=groups)
    assert (found.exposure.gross, found.exposure.net) == (pytest.approx(1.0), pytest.approx(0.4))
    assert (found.groups["majors"].gross, found.groups["majors"].net) == (pytest.approx(0.8), pytest.approx(0.2))
    assert found.groups["SOL/USD"].largest_symbol == "SOL/USD"


def test_heat_counts_a_hedge_as_one() -> None:
    one = RETURNS[:, :1]
    same = np.column_stack([one, one])
    found = portfolio_risk({"A/USD": 0.5, "B/USD": -0.5}, ("A/USD", "B/USD"), same)
    # Two that move as one are known to do so but for the shrinkage.
    assert found.heat.correlated < 0.1 * found.heat.together
    assert portfolio_risk({"A/USD": 0.5, "B/USD": 0.5}, ("A/USD", "B/USD"), same).heat.diversification < 0.01


def test_nothing_held_and_what_does_not_move_have_no_risk() -> None:
    empty = portfolio_risk({}, SYMBOLS, RETURNS)
    assert (empty.volatility, empty.expected_shortfall, empty.exposure.gross, empty.groups) == (0.0, 0.0, 0.0, {})
    flat = np.column_stack([RETURNS[:, 0], np.zeros(len(RETURNS))])
    found = portfolio_risk({"A/USD": 0.5, "B/USD": 0.5}, ("A/USD", "B/USD"), flat)
    assert found.symbols["B/USD"].component_volatility == 0.0


def test_what_has_no_returns_is_refused() -> None:
    with pytest.raises(ValueError, match="XRP/USD had none"):
        portfolio_risk({"XRP/USD": 0.1}, SYMBOLS, RETURNS)
    with pytest.raises(ValueError, match="XRP/USD had none"):
        marginal_risk(WEIGHTS, SYMBOLS, RETURNS, "XRP/USD", 0.1)
    with pytest.raises(ValueError, match="level"):
        portfolio_risk(WEIGHTS, SYMBOLS, RETURNS, level=1.0)
