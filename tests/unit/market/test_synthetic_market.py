"""GARCH candles: valid, repeatable, without a drift, with clusters of volatility."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.market.quality import check_candles
from alpharay.market.synthetic import GarchMarket, garch_candles


def returns(candles):
    return candles.close / candles.open - 1.0


def test_made_up_candles_keep_the_rules_of_real_ones():
    candles = garch_candles(5_000, 7)
    rows = candles.to_frame().to_numpy()
    checked = check_candles(rows, exchange="test", symbol="A/USD", timeframe="1h")
    assert not checked.refused
    np.testing.assert_array_equal(candles.open[1:], candles.close[:-1])
    assert (candles.high > np.maximum(candles.open, candles.close)).mean() > 0.5


def test_the_same_seed_makes_the_same_market_and_another_seed_another():
    one, same, other = (garch_candles(100, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.close, same.close)
    assert not np.array_equal(one.close, other.close)


def test_returns_have_no_drift_and_the_volatility_asked_for():
    changes = np.array([returns(garch_candles(2_000, seed, market=GarchMarket(volatility=0.5))) for seed in range(40)])
    assert abs(changes.mean()) < 4.0 * changes.std() / np.sqrt(changes.size)
    assert changes.std() * np.sqrt(8_760) == pytest.approx(0.5, rel=0.15)


def test_volatility_clusters_and_signs_do_not():
    changes = returns(garch_candles(20_000, 3))
    assert np.corrcoef(np.abs(changes[1:]), np.abs(changes[:-1]))[0, 1] > 0.05
    assert abs(np.corrcoef(np.sign(changes[1:]), np.sign(changes[:-1]))[0, 1]) < 0.04


@pytest.mark.parametrize("bars", [0, 1])
def test_no_candle_and_one_candle_can_be_made(bars):
    assert len(garch_candles(bars, 0)) == bars


def test_settings_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"sum below 1, was 0\.5 and 0\.5"):
        GarchMarket(alpha=0.5, beta=0.5)
    with pytest.raises(ValueError, match="volatility must be above 0, was 0"):
        GarchMarket(volatility=0.0)
    with pytest.raises(ValueError, match="degrees_of_freedom must be above 2, was 2"):
        GarchMarket(degrees_of_freedom=2.0)
    with pytest.raises(ValueError, match="bars must be at least 0, was -1"):
        garch_candles(-1, 0)
