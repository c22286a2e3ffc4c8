"""Regimes: labels know nothing of their own day or later, and the parts add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest
from series import random_walk, waves

from alpharay.backtest.single import backtest_strategy
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.regimes import daily_regimes, regime_performance

STRATEGY = strategy_named("SMA_EMA_CROSSOVER")


def test_a_label_changes_with_nothing_from_its_day_on() -> None:
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.02, 300)))
    labels = daily_regimes(closes)
    for day in (31, 100, 250):
        changed = closes.copy()
        changed[day:] *= np.random.default_rng(1).uniform(0.5, 2.0, 300 - day)
        assert daily_regimes(changed)[: day + 1] == labels[: day + 1]


def test_labels_say_what_the_series_was_made_of() -> None:
    generator = np.random.default_rng(2)
    quiet_rise = generator.normal(0.004, 0.002, 200)
    wild_fall = generator.normal(-0.01, 0.05, 200)
    labels = daily_regimes(100.0 * np.exp(np.cumsum(np.concatenate([quiet_rise, wild_fall]))))
    assert set(labels[:31]) == {("unknown", "unknown")}
    assert all(trend == "rising" for _, trend in labels[40:200])
    later = labels[240:]
    assert sum(label == ("volatile", "falling") for label in later) > 0.7 * len(later)


def test_the_regimes_returns_multiply_to_the_whole_and_every_day_is_in_one() -> None:
    candles = waves(3_000)
    result = backtest_strategy(STRATEGY, STRATEGY.defaults, candles)
    parts = regime_performance(result, candles)
    assert sum(part.days for part in parts) == 125
    product = np.prod([1.0 + part.total_return for part in parts])
    assert product == pytest.approx(result.equity[-1], rel=1e-12)
    market = np.prod([1.0 + part.market_return for part in parts])
    assert market == pytest.approx(candles.close[-1] / candles.open[0], rel=1e-12)


@pytest.mark.parametrize("bars", [0, 1, 30])
def test_short_series_are_unknown_throughout(bars: int) -> None:
    candles = random_walk(30).slice(0, bars)
    parts = regime_performance(backtest_strategy(STRATEGY, STRATEGY.defaults, candles), candles)
    assert all((part.volatility, part.trend) == ("unknown", "unknown") for part in parts)
    assert len(parts) == min(bars, 1)
