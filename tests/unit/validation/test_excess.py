"""The excess over the exposure-matched market, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.single import backtest
from alpharay.market.synthetic import garch_candles
from alpharay.validation.excess import daily_excess, excess_sharpe, positions

HOURS = 24 * 40


def flags(*rows, bars=HOURS):
    values = np.zeros(bars, dtype=np.bool_)
    values[list(rows)] = True
    return values


def test_positions_are_held_from_the_bar_after_entry_to_the_bar_before_exit():
    candles = garch_candles(10, 1)
    result = backtest(
        candles,
        flags(1, 7, bars=10),
        flags(3, bars=10),
        short_entries=flags(5, bars=10),
        short_exits=flags(6, bars=10),
    )
    assert positions(result).tolist() == [0, 0, 1, 1, 0, 0, -1, 0, 1, 1]


def test_always_in_the_market_has_no_excess_but_its_costs():
    candles = garch_candles(HOURS, 2)
    result = backtest(candles, flags(0), flags(), costs=NO_COSTS)
    _, *later = daily_excess(result, candles)
    # In the market on all but the first of 960 candles.
    market = candles.close[47::24] / candles.close[23:-1:24] - 1.0
    np.testing.assert_allclose(later, market / 960.0, atol=1e-12)


def test_never_in_the_market_has_an_excess_of_zero():
    candles = garch_candles(HOURS, 2)
    result = backtest(candles, flags(), flags())
    np.testing.assert_array_equal(daily_excess(result, candles), np.zeros(40))
    assert excess_sharpe(result, candles) == 0.0


def test_the_excess_of_a_day_is_the_return_less_exposure_times_market():
    candles = garch_candles(48, 4)
    result = backtest(candles, flags(23, bars=48), flags(bars=48), costs=NO_COSTS)
    first, second = daily_excess(result, candles)
    market = candles.close[[23, 47]] / candles.close[[23, 23]] - 1.0
    assert first == pytest.approx(-0.5 * (candles.close[23] / candles.open[0] - 1.0))
    assert second == pytest.approx((candles.close[47] / candles.open[24] - 1.0) - 0.5 * market[1])


def test_a_short_has_a_negative_exposure():
    candles = garch_candles(48, 4)
    result = backtest(
        candles, flags(bars=48), flags(bars=48), short_entries=flags(23, bars=48), short_exits=flags(bars=48),
        costs=NO_COSTS,
    )  # fmt: skip
    first, _ = daily_excess(result, candles)
    assert first == pytest.approx(0.5 * (candles.close[23] / candles.open[0] - 1.0))


def test_a_bull_market_is_no_edge():
    """Random timing earns much in a bull market, and its excess is about nothing."""
    candles = garch_candles(24 * 700, 5)
    growth = np.exp(np.arange(len(candles)) * 2e-4)
    names = ("open", "high", "low", "close")
    bull = replace(candles, **{name: getattr(candles, name) * growth for name in names})
    sharpes, excesses = [], []
    for seed in range(30):
        coin = np.random.default_rng(seed)
        enter, leave = (coin.random(len(candles)) < 0.02 for _ in range(2))
        result = backtest(bull, enter, leave, costs=NO_COSTS)
        sharpes.append(result.metrics.sharpe)
        excesses.append(excess_sharpe(result, bull))
    assert np.mean(sharpes) > 1.0
    assert abs(np.mean(excesses)) < 4.0 * np.std(excesses, ddof=1) / np.sqrt(30)


def test_costs_lower_the_excess():
    candles = garch_candles(HOURS, 6)
    enter, leave = (np.arange(HOURS) % 12 == start for start in (0, 6))
    dear, free = (backtest(candles, enter, leave, costs=costs) for costs in (Costs(), NO_COSTS))
    assert excess_sharpe(dear, candles) < excess_sharpe(free, candles) - 1.0


@pytest.mark.parametrize("bars", [0, 1, 24])
def test_less_than_two_days_have_a_ratio_of_zero(bars):
    candles = garch_candles(bars, 1)
    result = backtest(candles, flags(*range(min(bars, 1)), bars=bars), flags(bars=bars))
    assert excess_sharpe(result, candles) == 0.0
