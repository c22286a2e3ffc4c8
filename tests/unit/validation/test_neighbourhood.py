"""The neighbours of a parameter set: which exist, what they score, and how many keep the score."""

from __future__ import annotations

import numpy as np
import pytest
from series import random_walk, waves

from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.expression import close, ta
from alpharay.strategies.strategy import Strategy
from alpharay.validation.daily_marks import DailyMarker
from alpharay.validation.neighbourhood import KEPT, neighbourhood

CANDLES = waves(1_500)


def test_every_cell_is_the_backtest_of_its_parameters() -> None:
    strategy = strategy_named("SMA_EMA_CROSSOVER")
    own = strategy.defaults
    found = neighbourhood(strategy, own, DailyMarker(CANDLES), SerialExecutor(), objective="sharpe")
    (grid,) = found.maps
    checked = 0
    for row, row_value in enumerate(grid.row_values):
        for column, value in enumerate(grid.column_values):
            cell = grid.scores[row][column]
            parameters = {**own, grid.row_parameter: int(row_value), grid.column_parameter: int(value)}
            if cell is not None:
                assert cell == backtest_strategy(strategy, parameters, CANDLES).metrics.sharpe
                checked += 1
    assert checked > 20
    values = [cell for cells in grid.scores for cell in cells if cell is not None]
    others = sorted(values)
    others.remove(found.score)
    assert found.robust_share == pytest.approx(np.mean([value >= KEPT * found.score for value in others]))


def test_three_parameters_have_three_maps_the_most_sensitive_pair_first() -> None:
    strategy = strategy_named("MACD_CROSSOVER")
    found = neighbourhood(strategy, strategy.defaults, DailyMarker(CANDLES), SerialExecutor(), objective="sharpe")
    assert len(found.maps) == 3
    first_two = set(list(found.sensitivity)[:2])
    assert {found.maps[0].row_parameter, found.maps[0].column_parameter} == first_two
    losses = list(found.sensitivity.values())
    assert losses == sorted(losses, reverse=True)


def test_sets_out_of_order_are_no_neighbours() -> None:
    strategy = strategy_named("MACD_CROSSOVER")
    close = {**strategy.defaults, "fast": 19, "slow": 21} if "fast" in strategy.defaults else None
    if close is None:
        names = [strategy.constraints[0].smaller, strategy.constraints[0].larger]
        close = {**strategy.defaults, names[0]: 19, names[1]: 21}
    found = neighbourhood(strategy, close, DailyMarker(CANDLES), SerialExecutor(), objective="sharpe")
    smaller, larger = strategy.constraints[0].smaller, strategy.constraints[0].larger
    for grid in found.maps:
        if {grid.row_parameter, grid.column_parameter} == {smaller, larger}:
            for row, row_value in enumerate(grid.row_values):
                for column, value in enumerate(grid.column_values):
                    low, high = (row_value, value) if grid.row_parameter == smaller else (value, row_value)
                    if low >= high:
                        assert grid.scores[row][column] is None
            return
    pytest.fail("the constrained pair has a map")


def test_a_hill_is_robust_and_a_loser_is_not() -> None:
    strategy = strategy_named("SMA_EMA_CROSSOVER")
    hill = neighbourhood(strategy, strategy.defaults, DailyMarker(CANDLES), SerialExecutor(), objective="sharpe")
    assert hill.robust_share > 0.8
    loser = neighbourhood(
        strategy,
        strategy.defaults,
        DailyMarker(random_walk(1_500, drift=-0.0005)),
        SerialExecutor(),
        objective="sharpe",
    )
    assert loser.score < 0.0
    assert loser.robust_share == 0.0


def test_a_strategy_without_parameters_has_no_neighbours_and_is_robust() -> None:
    strategy = Strategy("FIXED", "fixed", (), close > ta.sma(20), close < ta.sma(20))
    found = neighbourhood(strategy, {}, DailyMarker(CANDLES), SerialExecutor(), objective="sharpe")
    assert (found.neighbours, found.robust_share, found.maps, found.median) == (0, 1.0, (), None)


def test_one_parameter_has_a_line() -> None:
    strategy = next(
        item
        for item in map(strategy_named, ("PARABOLIC_SAR", "DONCHIAN_BREAKOUT", "PRICE_GAP", "ROC_MA_CROSSOVER"))
        if len(item.parameters) >= 1
    )
    parameters = strategy.defaults
    found = neighbourhood(strategy, parameters, DailyMarker(CANDLES), SerialExecutor(), objective="sharpe")
    assert found.maps
    assert all(len(row) == len(grid.column_values) for grid in found.maps for row in grid.scores)
