"""What is stored of a backtest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from alpharay.backtest.costs import NO_COSTS
from alpharay.backtest.single import backtest
from alpharay.backtest.summary import backtest_json, equity_json
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS


def candles(*closes: float) -> Candles:
    prices = np.array(closes)
    times = np.arange(len(prices), dtype=np.int64) * DAY_MS
    return Candles("none", "NONE/USD", "1d", times, prices, prices, prices, prices, prices)


def test_two_trades_are_counted_with_their_extremes():
    data = candles(1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0)
    entries = np.array([True, False, False, True, False, False, False])
    exits = np.array([False, True, False, False, True, False, False])
    result = backtest_json(backtest(data, entries, exits, costs=NO_COSTS), data.open_time)
    trades = result["trades"]
    assert (trades["count"], trades["long"], trades["short"], trades["wins"]) == (2, 2, 0, 1)
    assert trades["best_return"] == pytest.approx(1.0)
    assert trades["worst_return"] == pytest.approx(-0.5)
    assert trades["mean_return"] == pytest.approx(0.25)
    assert trades["mean_bars_held"] == 1.0
    assert (trades["first_entry_time"], trades["last_exit_time"]) == (DAY_MS, 5 * DAY_MS)
    assert sum(trades["exit_reasons"].values()) == 2
    assert json.loads(json.dumps(result)) == result


def test_a_win_is_a_return_above_zero_and_a_draw_is_none():
    data = candles(1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 4.0)
    entries, exits = np.arange(7) % 2 == 0, np.arange(7) % 2 == 1
    said = backtest(data, entries, exits, costs=NO_COSTS)
    assert said.trades["return"].to_list() == [1.0, 1.0, 0.0]
    assert backtest_json(said, data.open_time)["trades"]["wins"] == 2


def test_no_trade_has_no_figures_and_is_json():
    data = candles(1.0, 2.0, 3.0)
    nothing = np.zeros(3, dtype=bool)
    result = backtest_json(backtest(data, nothing, nothing), data.open_time)
    assert result["trades"]["count"] == 0
    assert result["trades"]["best_return"] is None
    assert result["equity"]["equity"] == [1.0, 1.0, 1.0]
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(("bars", "points"), [(1000, 200), (200, 200), (3, 3), (1, 1), (0, 0)])
def test_equity_keeps_its_first_and_last_bar(bars: int, points: int):
    times = np.arange(bars, dtype=np.int64)
    thinned = equity_json(times, np.linspace(1.0, 2.0, bars))
    assert len(thinned["time"]) == points
    if bars:
        assert (thinned["time"][0], thinned["time"][-1]) == (0, bars - 1)
        assert thinned["equity"][-1] == np.linspace(1.0, 2.0, bars)[-1]
