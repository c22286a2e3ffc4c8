"""What rising costs leave of a strategy."""

from __future__ import annotations

import pytest
from series import random_walk, waves

from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.single import backtest_strategy
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.cost_stress import cost_stress, stressed

STRATEGY = strategy_named("SMA_EMA_CROSSOVER")


def test_each_level_is_the_backtest_at_its_costs() -> None:
    candles = waves(1_500)
    found = cost_stress(STRATEGY, STRATEGY.defaults, candles, Costs(0.001, 0.0002))
    for level, multiple in zip(found.levels, (1.0, 2.0, 3.0), strict=True):
        costs = Costs(0.001 * multiple, 0.0002 * multiple)
        assert level.metrics["total_return"] == pytest.approx(
            backtest_strategy(STRATEGY, STRATEGY.defaults, candles, costs=costs).metrics.total_return
        )
    returns = [level.metrics["total_return"] for level in found.levels]
    assert returns == sorted(returns, reverse=True)
    assert found.at(2.0) is found.levels[1]
    with pytest.raises(KeyError, match="was 5"):
        found.at(5.0)


def test_the_break_even_is_where_the_return_is_zero() -> None:
    candles, costs = waves(1_500, height=0.05), Costs(0.001, 0.0002)
    found = cost_stress(STRATEGY, STRATEGY.defaults, candles, costs).break_even
    assert found is not None
    assert found > 1.0
    around = [
        backtest_strategy(STRATEGY, STRATEGY.defaults, candles, costs=stressed(costs, found * factor)).metrics
        for factor in (0.97, 1.03)
    ]
    assert around[0].total_return > 0.0 > around[1].total_return


def test_a_strategy_that_loses_without_costs_breaks_even_at_none_and_free_trading_has_no_multiple() -> None:
    falling = random_walk(800, drift=-0.002)
    assert cost_stress(STRATEGY, STRATEGY.defaults, falling, Costs()).break_even == 0.0
    assert cost_stress(STRATEGY, STRATEGY.defaults, waves(600), NO_COSTS).break_even is None


def test_costs_stay_possible_however_far_they_are_stressed() -> None:
    assert stressed(Costs(0.1, 0.2), 100.0) == Costs(0.49, 0.49)
