"""Labels against the backtest of the trade that each stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpharay.backtest.costs import Costs
from alpharay.backtest.single import backtest
from alpharay.market.candles import Candles
from alpharay.market.synthetic import garch_candles
from alpharay.models.trade_labels import trade_labels


def opens(*prices: float) -> Candles:
    values = np.array(prices)
    times = np.arange(len(values), dtype=np.int64) * 60_000
    return Candles("x", "A/USD", "1m", times, values, values, values, values, values)


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_label_says_which_trade_of_the_backtest_would_have_paid(horizon: int) -> None:
    candles = garch_candles(60, seed=1)
    costs = Costs(fee=0.002, slippage=0.001)
    labels = trade_labels(candles, horizon=horizon, fee=costs.fee, slippage=costs.slippage)
    none = np.zeros(60, dtype=bool)
    seen = set()
    for bar in range(60 - horizon - 1):
        entry, leave = none.copy(), none.copy()
        entry[bar] = leave[bar + horizon] = True
        long = backtest(candles, entry, leave, costs=costs).metrics.total_return > 0.0
        short = backtest(candles, none, none, short_entries=entry, short_exits=leave, costs=costs)
        expected = 1.0 if long else 0.0 if short.metrics.total_return > 0.0 else np.nan
        np.testing.assert_equal(labels.values[bar], expected)
        seen.add(str(expected))
    assert seen == {"1.0", "0.0", "nan"}
    assert np.isnan(labels.values[60 - horizon - 1 :]).all()
    assert (labels.known_at == np.arange(60) + 1 + horizon).all()


def test_labels_by_hand() -> None:
    # Decided on bar 0: bought at 100 on bar 1, sold at 103 on bar 3.
    labels = trade_labels(opens(90.0, 100.0, 100.0, 103.0, 99.9), horizon=2, fee=0.01, slippage=0.0)
    np.testing.assert_equal(labels.values, [1.0, np.nan, np.nan, np.nan, np.nan])
    # 102 pays a fee of 1 % on both sides no more: 102 * 0.99 < 100 / 0.99.
    labels = trade_labels(opens(90.0, 100.0, 100.0, 102.0, 97.9), horizon=2, fee=0.01, slippage=0.0)
    np.testing.assert_equal(labels.values, [np.nan, 0.0, np.nan, np.nan, np.nan])


def test_without_costs_only_a_price_that_stands_still_has_no_label() -> None:
    labels = trade_labels(opens(1.0, 1.0, 1.1, 1.1, 1.0), horizon=1, fee=0.0, slippage=0.0)
    np.testing.assert_equal(labels.values, [1.0, np.nan, 0.0, np.nan, np.nan])


@pytest.mark.parametrize("bars", [0, 1, 2, 3])
def test_too_few_candles_have_no_label(bars: int) -> None:
    labels = trade_labels(garch_candles(bars, seed=0), horizon=2, fee=0.0, slippage=0.0)
    assert len(labels.values) == len(labels.known_at) == bars
    assert np.isnan(labels.values).all()


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_a_price_that_is_no_price_gives_no_label(bad: float) -> None:
    candles = opens(1.0, 2.0, 3.0, 4.0, 5.0)
    broken = candles.open.copy()
    broken[2] = bad
    labels = trade_labels(replace(candles, open=broken), horizon=1, fee=0.0, slippage=0.0)
    np.testing.assert_equal(labels.values, [np.nan, np.nan, 1.0, np.nan, np.nan])
