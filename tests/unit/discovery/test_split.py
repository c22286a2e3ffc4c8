from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from market_series import random_walk

from alpharay.backtest.costs import Costs
from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.split import buy_and_hold, out_of_sample, split
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.expression import Level, close, ta
from alpharay.strategies.strategy import Strategy

CANDLES = random_walk(1200)


def test_a_split_shares_the_candles_without_overlap() -> None:
    parts = split(CANDLES, 0.7)
    assert len(parts.train) == 840
    assert len(parts.test) == 360
    assert parts.train.open_time[-1] < parts.train_end_time == parts.test.open_time[0]


def test_a_split_without_a_test_part_ends_after_the_last_candle() -> None:
    parts = split(CANDLES, 1.0)
    assert len(parts.test) == 0
    assert parts.train_end_time == CANDLES.open_time[-1] + 3_600_000


@pytest.mark.parametrize(("rows", "fraction"), [(0, 0.7), (1, 1.0), (2, 0.7)])
def test_too_few_candles_to_train_on_are_refused(rows: int, fraction: float) -> None:
    with pytest.raises(ValueError, match="at least 2 candles to train on"):
        split(CANDLES.slice(0, rows), fraction)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"train_fraction must be in \(0, 1\]"):
        split(CANDLES, fraction)


def test_out_of_sample_indicators_are_warm_on_the_first_test_bar() -> None:
    always = Strategy("ALWAYS", "", (), enter=close > Level(0.0), exit=close < Level(0.0))
    parts = split(CANDLES, 0.5)
    result = out_of_sample(always, {}, parts)
    assert result.trades["entry_bar"].to_list() == [1]
    fresh = Strategy("FRESH", "", (), enter=close > ta.sma(500) * 0.01, exit=close < Level(0.0))
    assert out_of_sample(fresh, {}, parts).trades["entry_bar"].to_list() == [1]
    assert backtest_strategy(fresh, {}, parts.test).trades["entry_bar"].to_list() == [500]


def test_out_of_sample_starts_flat_with_an_equity_of_one_and_all_its_trades_are_in_the_test_part() -> None:
    parts = split(CANDLES, 0.5)
    result = out_of_sample(CATALOGUE["DOUBLE_EMA_CROSSOVER"], {"short": 5, "long": 20}, parts)
    assert result.equity[0] == 1.0
    assert result.trades["entry_time"].min() > parts.train_end_time
    assert result.metrics.trades == len(result.trades)


def test_in_sample_figures_do_not_change_when_the_test_part_does() -> None:
    parts = split(CANDLES, 0.5)
    changed = replace(
        CANDLES,
        **{
            name: np.concatenate([getattr(CANDLES, name)[:600], getattr(CANDLES, name)[600:] * 3.0])
            for name in ("open", "high", "low", "close")
        },
    )
    assert parts.train.close.tobytes() == split(changed, 0.5).train.close.tobytes()


def test_buy_and_hold_pays_the_entry_and_follows_the_price() -> None:
    held = buy_and_hold(CANDLES, Costs(0.001, 0.0)).metrics
    assert held.trades == 1
    assert held.final_equity == pytest.approx(0.999 * CANDLES.close[-1] / CANDLES.open[1], rel=1e-12)


def test_buy_and_hold_of_nothing_is_flat() -> None:
    assert buy_and_hold(CANDLES.slice(0, 0)).metrics.final_equity == 1.0
