"""A composed indicator has the bits of the indicator of its name, in a population of many parameter sets."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernel_equals_plain import random_candles

from alpharay.backtest.compositions import COMPOSITIONS
from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.single import backtest_strategy
from alpharay.indicators import INDICATORS
from alpharay.strategies.expression import Applied, Column, Level, Parameter
from alpharay.strategies.strategy import Integer, Real, Strategy


@pytest.mark.parametrize("tick", [0.0, 0.5])
@pytest.mark.parametrize("name", sorted(COMPOSITIONS))
def test_composition_trades_as_the_indicator_does(name: str, tick: float) -> None:
    known = INDICATORS[name]
    candles = random_candles(7, 1500, tick=tick, gaps=False)
    # The indicator against itself on the bar before and against a level: equal bits make equal crossings.
    line = Applied(name, tuple(map(Column, known.inputs)), tuple(map(Parameter, known.parameters)))
    strategy = Strategy(
        "COMPOSED",
        "",
        tuple(
            Integer(key, 1, 60, default=5) if key in known.integer_parameters else Real(key, 0.0, 4.0, default=2.0)
            for key in known.parameters
        ),
        enter=(line > line.previous()) & ~(line < Level(1e-3)),
        exit=line.crosses_below(line.previous(3)),
    )
    random = np.random.default_rng(1)
    genomes = np.column_stack(
        [
            random.integers(1, 60, 30) if key in known.integer_parameters else random.uniform(0.0, 4.0, 30)
            for key in known.parameters
        ]
    ).astype(np.float64)
    result = backtest_population(strategy, genomes, open_market(candles))
    for genome, outcome in zip(genomes, result.outcome, strict=True):
        alone = backtest_strategy(strategy, strategy.from_genome(genome), candles)
        np.testing.assert_array_equal(list(alone.outcome.values()), outcome)
