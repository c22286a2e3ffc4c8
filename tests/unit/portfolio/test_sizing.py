"""Sizes by hand, against growth that is simulated, and TradeStream's blend on TradeStream's own constants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from alpharay.backtest.frictions import Frictions
from alpharay.portfolio.order_quantity import order_quantity
from alpharay.portfolio.sizing import (
    Blend,
    TradeRecord,
    blended,
    confidence_size,
    fixed_fraction,
    fractional_kelly,
    volatility_target,
)

MANY = TradeRecord(wins=600_000, losses=400_000, average_win=1.0, average_loss=1.0)


def test_fixed_fraction_loses_the_risk_at_the_stop() -> None:
    sizing = fixed_fraction(risk=0.02, stop_distance=0.05)
    assert sizing.fraction == pytest.approx(0.4)
    assert sizing.fraction * 0.05 == pytest.approx(0.02)
    assert sizing.binding == "formula"
    capped = fixed_fraction(risk=0.02, stop_distance=0.05, maximum=0.1)
    assert (capped.fraction, capped.binding) == (0.1, "maximum")
    assert capped.explanation == (
        "fixed fraction gives 0.1 of equity, which is the most (risk 0.02, stop distance 0.05, maximum 0.1)"
    )


def test_kelly_of_a_long_record_is_kellys_bet() -> None:
    # Kelly 1956: a coin that falls right with 0.6 at even money deserves 0.2.
    assert fractional_kelly(MANY, fraction=1.0).fraction == pytest.approx(0.2, rel=1e-3)
    assert fractional_kelly(MANY, fraction=0.25).fraction == pytest.approx(0.05, rel=1e-3)
    two_to_one = TradeRecord(wins=500_000, losses=500_000, average_win=2.0, average_loss=1.0)
    assert fractional_kelly(two_to_one, fraction=1.0).fraction == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize(("win", "loss", "rate"), [(0.03, 0.02, 0.5), (0.05, 0.08, 0.7), (0.4, 0.5, 0.6)])
def test_kelly_of_trades_grows_the_equity_fastest(win: float, loss: float, rate: float) -> None:
    record = TradeRecord(wins=int(rate * 1e7), losses=int((1 - rate) * 1e7), average_win=win, average_loss=loss)

    def growth(fraction: float) -> float:
        return -(rate * math.log1p(fraction * win) + (1 - rate) * math.log1p(-fraction * loss))

    best = minimize_scalar(growth, bounds=(0.0, 0.999 / loss), method="bounded", options={"xatol": 1e-8}).x
    assert fractional_kelly(record, fraction=1.0, maximum=100.0).fraction == pytest.approx(best, rel=2e-3)


def test_short_record_is_shrunk_towards_nothing() -> None:
    sizes = [
        fractional_kelly(
            TradeRecord(wins=6 * times, losses=4 * times, average_win=1.0, average_loss=1.0), fraction=1.0
        ).fraction
        for times in (1, 5, 50, 5_000)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.05
    assert sizes[-1] == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize(("rate", "payoff", "trades"), [(0.56, 1.0, 300), (0.45, 1.6, 200)])
def test_shrinkage_is_the_one_that_grows_most_on_average(rate: float, payoff: float, trades: int) -> None:
    wins = np.arange(trades + 1)
    chance = stats.binom.pmf(wins, trades, rate)
    estimated = (wins + 1) / (trades + 2)
    bet = np.maximum(((payoff + 1) * estimated - 1) / payoff, 0.0)

    def mean_growth(share: float) -> float:
        gain = rate * np.log1p(share * bet * payoff) + (1 - rate) * np.log1p(-share * bet)
        return -float(chance @ gain)

    best = minimize_scalar(mean_growth, bounds=(0.0, 1.0), method="bounded").x
    record = TradeRecord(
        wins=round(rate * trades), losses=trades - round(rate * trades), average_win=payoff, average_loss=1.0
    )
    assert fractional_kelly(record, fraction=1.0).inputs["shrinkage"] == pytest.approx(best, abs=0.1)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (TradeRecord(wins=0, losses=0, average_win=0.0, average_loss=0.0), "there are no trades to judge by"),
        (TradeRecord(wins=5, losses=0, average_win=0.1, average_loss=0.0), "unknown without a win and a loss"),
        (TradeRecord(wins=0, losses=5, average_win=0.0, average_loss=0.1), "unknown without a win and a loss"),
        (TradeRecord(wins=50, losses=50, average_win=0.1, average_loss=0.1), "there is no edge"),
        (TradeRecord(wins=10, losses=90, average_win=0.1, average_loss=0.1), "there is no edge"),
    ],
)
def test_kelly_without_evidence_of_an_edge_buys_nothing_and_says_why(record: TradeRecord, reason: str) -> None:
    sizing = fractional_kelly(record)
    assert sizing.fraction == 0.0
    assert reason in sizing.binding
    assert reason in sizing.explanation


def test_volatility_target_gives_the_target() -> None:
    sizing = volatility_target(target=0.15, volatility=0.6, maximum=2.0)
    assert sizing.fraction * 0.6 == pytest.approx(0.15)
    assert volatility_target(target=0.15, volatility=0.01, maximum=2.0).binding == "maximum"
    assert volatility_target(target=0.15, volatility=0.6, maximum=0.0).fraction == 0.0
    flat = volatility_target(target=0.15, volatility=0.0)
    assert (flat.fraction, flat.binding) == (0.0, "the market does not move")


def test_blend_of_tradestreams_constants_is_tradestreams_size() -> None:
    # Its query's constants: win rate 0.65, profit factor 1.8 as payoff, volatility 0.15; here with a score of 0.8.
    # K = 0.25 (1.8 * 0.65 - 0.35) / 1.8, RP = 0.005 / 0.15, VA = 0.8 / 1.15; 0.4 K + 0.3 RP + 0.3 VA.
    record = TradeRecord(wins=6_500_000, losses=3_500_000, average_win=0.018, average_loss=0.01)
    sizing = blended(record, confidence=0.8, volatility=0.15)
    kelly, parity, adjusted = 0.25 * (1.8 * 0.65 - 0.35) / 1.8, 0.005 / 0.15, 0.8 / 1.15
    assert sizing.fraction == pytest.approx(0.4 * kelly + 0.3 * parity + 0.3 * adjusted, rel=1e-5)
    assert [weight for weight, _ in sizing.parts] == [0.4, 0.3, 0.3]
    assert [part.fraction for _, part in sizing.parts] == pytest.approx([kelly, parity, adjusted], rel=1e-5)


def test_blend_without_trades_counts_its_other_parts() -> None:
    nothing = TradeRecord(wins=0, losses=0, average_win=0.0, average_loss=0.0)
    sizing = blended(nothing, confidence=0.8, volatility=0.6)
    assert sizing.fraction == pytest.approx(0.3 * 0.005 / 0.6 + 0.3 * 0.8 / 1.6)
    assert sizing.parts[0][1].binding == "there are no trades to judge by"
    only_target = blended(
        nothing, confidence=0.8, volatility=0.5, blend=Blend(kelly=0.0, volatility_target=1.0, confidence=0.0)
    )
    assert only_target.fraction == pytest.approx(0.01)
    assert blended(nothing, confidence=0.0, volatility=0.6, risk_budget=0.0).binding == "no part gives a size"
    flat = blended(nothing, confidence=0.8, volatility=0.0)
    assert (flat.fraction, flat.binding) == (0.0, "the market does not move")


def test_parts_of_a_blend_are_held_to_its_maximum_and_say_so() -> None:
    sizing = blended(MANY, confidence=1.0, volatility=0.001, maximum=0.03)
    assert [part.binding for _, part in sizing.parts] == ["maximum"] * 3
    assert sizing.fraction == pytest.approx(0.03)
    with pytest.raises(ValueError, match="maximum must be at least 0 and finite, was nan"):
        blended(MANY, confidence=1.0, volatility=0.001, maximum=math.nan)


def test_inputs_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="stop_distance"):
        fixed_fraction(risk=0.02, stop_distance=0.0)
    with pytest.raises(ValueError, match="risk must be at least 0 and finite, was nan"):
        fixed_fraction(risk=math.nan, stop_distance=0.1)
    with pytest.raises(ValueError, match="maximum"):
        fixed_fraction(risk=0.1, stop_distance=0.1, maximum=math.inf)
    with pytest.raises(ValueError, match="fraction"):
        fractional_kelly(MANY, fraction=0.0)
    with pytest.raises(ValueError, match="volatility"):
        volatility_target(target=0.1, volatility=math.nan)
    with pytest.raises(ValueError, match="confidence"):
        confidence_size(confidence=1.5, volatility=0.1)
    with pytest.raises(ValueError, match="wins of a record"):
        TradeRecord(wins=-1, losses=0, average_win=0.0, average_loss=0.0)
    with pytest.raises(ValueError, match="shares of a blend"):
        Blend(kelly=0.9)


LOTS = Frictions(lot_size=0.1, minimum_notional=20.0)


@pytest.mark.parametrize(
    ("notional", "expected", "binding"),
    [
        (95.0, 0.9, "lot size"),
        (-95.0, -0.9, "lot size"),
        (30.0, 0.3, None),
        (9.0, 0.0, "lot size"),
        (15.0, 0.0, "minimum notional"),
        (0.0, 0.0, None),
    ],
)
def test_orders_are_whole_lots_above_the_minimum(notional: float, expected: float, binding: str | None) -> None:
    order = order_quantity(notional, 100.0, LOTS)
    assert order.quantity == pytest.approx(expected)
    assert order.notional == pytest.approx(expected * 100.0)
    assert order.binding == binding


def test_order_that_closes_may_be_small_and_without_rules_anything_goes() -> None:
    assert order_quantity(-15.0, 100.0, LOTS, closes=True).quantity == pytest.approx(-0.1)
    assert order_quantity(0.001, 100.0).quantity == pytest.approx(1e-5)
    with pytest.raises(ValueError, match="price must be above 0"):
        order_quantity(10.0, 0.0)
    with pytest.raises(ValueError, match="notional must be finite"):
        order_quantity(math.nan, 1.0)
