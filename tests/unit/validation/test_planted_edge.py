"""Planted edges: the oracle earns what was asked for, and the drift is where it is in the market, only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpharay.backtest.costs import Costs
from alpharay.backtest.single import backtest_strategy
from alpharay.market.quality import check_candles
from alpharay.market.synthetic import garch_candles
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.excess import positions
from alpharay.validation.planted_edge import _with_oracle, plant_edge, with_drift

BASE = garch_candles(4_000, 11)
ORACLE = strategy_named("SMA_EMA_CROSSOVER")
PARAMETERS = {"sma": 40, "ema": 12}


@pytest.mark.parametrize("sharpe", [0.0, 2.0, 8.0])
def test_the_oracle_earns_the_sharpe_ratio_asked_for_after_costs(sharpe):
    planted = plant_edge(BASE, ORACLE, PARAMETERS, sharpe)
    result = backtest_strategy(ORACLE, PARAMETERS, planted.candles, costs=Costs())
    assert result.metrics.sharpe == planted.sharpe == pytest.approx(sharpe, abs=0.1)
    np.testing.assert_array_equal(positions(result), planted.position)
    assert planted.trades == result.metrics.trades > 30


def test_a_larger_edge_needs_more_drift():
    small, large = (plant_edge(BASE, ORACLE, PARAMETERS, sharpe).drift for sharpe in (2.0, 8.0))
    assert 0.0 < small < large


def test_the_drift_is_where_the_oracle_is_in_the_market_and_nowhere_else():
    planted = plant_edge(BASE, ORACLE, PARAMETERS, 4.0)
    candles = planted.candles
    body = candles.close / candles.open - BASE.close / BASE.open
    np.testing.assert_allclose(body, planted.drift * planted.position, atol=1e-12)
    np.testing.assert_allclose(candles.open[1:] / candles.close[:-1], BASE.open[1:] / BASE.close[:-1], rtol=1e-12)
    np.testing.assert_array_equal(candles.volume, BASE.volume)


def test_the_series_does_not_look_ahead():
    """The planted candles of a shorter series are the first ones of a longer series with the same drift."""
    whole, start = (
        _with_oracle(base, ORACLE, PARAMETERS, 5e-4, np.zeros(len(base)), Costs())
        for base in (BASE, BASE.slice(0, 1_500))
    )
    np.testing.assert_allclose(whole.candles.close[:1_500], start.candles.close, rtol=1e-12)


def test_candles_with_drift_are_candles():
    position = (np.arange(len(BASE)) % 7 < 3).astype(float)
    for drift in (-0.01, 0.01):
        rows = with_drift(BASE, position, drift).to_frame().to_numpy()
        assert not check_candles(rows, exchange="test", symbol="A/USD", timeframe="1h").refused


def test_an_edge_that_no_drift_can_make_is_refused():
    with pytest.raises(ValueError, match="no drift gives SMA_EMA_CROSSOVER"):
        plant_edge(BASE.slice(0, 30), ORACLE, PARAMETERS, 8.0)


def test_an_oracle_that_goes_short_is_refused():
    both = replace(ORACLE, enter_short=ORACLE.exit, exit_short=ORACLE.enter)
    with pytest.raises(ValueError, match="also goes short"):
        plant_edge(BASE, both, PARAMETERS, 2.0)
