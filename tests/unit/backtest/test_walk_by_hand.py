"""Trades small enough to be worked out on paper: every figure of the kernel, and each rule of the fill."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made_bars import HOUR_MS, bars_of, exits_of, flags, flat_bars, trade_long, trade_short

from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.single import backtest, walk_signals
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import price_tables
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS
from alpharay.strategies.evaluation import Signals


def test_a_long_trade_by_hand():
    # Bought at 100 on bar 1, closes at 110, 99 and 121, sold at 132 on bar 4.
    candles = bars_of(
        (90, 95, 85, 95), (100, 112, 98, 110), (110, 111, 98, 99), (99, 125, 99, 121), (132, 133, 100, 101),
        (101, 101, 101, 101),
    )  # fmt: skip
    result = trade_long(candles, 0, 3, costs=NO_COSTS)
    returns = [0.0, 0.1, 99 / 110 - 1, 121 / 99 - 1, 132 / 121 - 1]
    mean = sum(returns) / 6
    assert result.outcome == {
        "final_equity": pytest.approx(1.32),
        # From the close of 110 to the close of 99; the close of the exit bar, 101, is not held.
        "max_drawdown": pytest.approx(0.1),
        # The peak of bar 1 is passed on bar 3; that of bar 4 never.
        "drawdown_bars": 2.0,
        "trades": 1.0,
        "wins": 1.0,
        "gross_profit": pytest.approx(0.32),
        "gross_loss": 0.0,
        "exposure_bars": 3.0,
        "sides_traded": 2.0,
        "bar_mean": pytest.approx(mean),
        "bar_variance": pytest.approx(sum(value * value for value in returns) / 6 - mean * mean),
        "bar_downside": pytest.approx(0.1**2 / 6),
    }
    assert result.equity.tolist() == pytest.approx([1.0, 1.1, 0.99, 1.21, 1.32, 1.32])
    assert result.trades.row(0, named=True) == {
        "side": "long", "entry_bar": 1, "exit_bar": 4, "entry_time": HOUR_MS, "exit_time": 4 * HOUR_MS,
        "entry_price": 100.0, "exit_price": 132.0, "equity_before": 1.0, "equity_after": pytest.approx(1.32),
        "return": pytest.approx(0.32), "exit_reason": "signal",
    }  # fmt: skip


def test_a_short_trade_by_hand():
    # Sold at 100 on bar 1, closes at 90 and 110, bought back at 80 on bar 3: 100 + 100 - 80 for each unit of 100.
    candles = flat_bars(100, 100, 90, 110, 80, 200)
    result = trade_short(candles, 0, 3, costs=NO_COSTS)
    returns = [0.1, 0.9 / 1.1 - 1, 1.2 / 0.9 - 1]
    mean = sum(returns) / 6
    assert result.outcome == {
        "final_equity": pytest.approx(1.2),
        "max_drawdown": pytest.approx(0.2 / 1.1),
        # The peak of bar 2 is passed at the exit on bar 4.
        "drawdown_bars": 2.0,
        "trades": 1.0,
        "wins": 1.0,
        "gross_profit": pytest.approx(0.2),
        "gross_loss": 0.0,
        "exposure_bars": 3.0,
        "sides_traded": 2.0,
        "bar_mean": pytest.approx(mean),
        "bar_variance": pytest.approx(sum(value * value for value in returns) / 6 - mean * mean),
        "bar_downside": pytest.approx((0.2 / 1.1) ** 2 / 6),
    }
    assert result.equity.tolist() == pytest.approx([1.0, 1.0, 1.1, 0.9, 1.2, 1.2])


def test_costs_are_paid_on_each_side():
    costs = Costs(fee=0.1, slippage=0.25)
    bought = trade_long(flat_bars(10, 10, 20, 20), 0, 1, costs=costs)
    # 0.9 / 1.25 units of equity, doubled, sold for 0.9 * 0.75 of its price.
    assert bought.metrics.final_equity == pytest.approx(0.72 * 2.0 * 0.675)
    assert bought.equity.tolist() == pytest.approx([1.0, 0.72, 0.972, 0.972])
    sold = trade_short(flat_bars(10, 10, 5, 5), 0, 1, costs=costs)
    # Sold for 1 + 0.675; bought back at half the price over 0.72.
    assert sold.metrics.final_equity == pytest.approx(1.675 - 0.5 / 0.72)
    assert sold.equity.tolist() == pytest.approx([1.0, 0.675, 1.675 - 0.5 / 0.72, 1.675 - 0.5 / 0.72])
    # What is still held is marked to the close without the costs of selling it.
    assert trade_long(flat_bars(10, 10, 20), 0, costs=costs).outcome["final_equity"] == pytest.approx(1.44)


def test_a_position_that_stays_open_has_one_side_and_is_marked_to_the_last_close():
    result = trade_long(flat_bars(10, 10, 8, 12), 0, costs=NO_COSTS)
    assert exits_of(result) == [(3, 12.0, "open")]
    assert (result.outcome["sides_traded"], result.outcome["trades"], result.outcome["wins"]) == (1.0, 1.0, 1.0)
    assert result.outcome["exposure_bars"] == 3.0
    assert result.outcome["gross_profit"] == pytest.approx(0.2)
    losing = trade_long(flat_bars(10, 10, 8, 9), 0, costs=NO_COSTS).outcome
    assert (losing["wins"], losing["gross_profit"], losing["gross_loss"]) == (0.0, 0.0, pytest.approx(0.1))


def test_the_time_under_water_lasts_to_the_end_when_no_new_peak_comes():
    result = trade_long(flat_bars(10, 10, 20, 15, 15, 15, 15), 0, 3, costs=NO_COSTS)
    assert result.outcome["drawdown_bars"] == 4.0
    assert result.outcome["max_drawdown"] == pytest.approx(0.25)


def test_a_peak_that_is_only_reached_again_is_not_a_new_one():
    result = trade_long(flat_bars(10, 10, 20, 15, 20, 20, 10, 10), 0, 5, costs=NO_COSTS)
    # 2 on bar 2, on bars 4 and 5 the same again, and after the exit at 10 for good.
    assert result.outcome["drawdown_bars"] == 5.0
    # Nor is the cash of an exit at the price of the peak.
    sold = trade_long(flat_bars(10, 10, 20, 15, 20, 20, 20), 0, 3, costs=NO_COSTS)
    assert sold.outcome["drawdown_bars"] == 4.0


def test_two_trades_follow_each_other_with_the_equity_of_the_first():
    candles = flat_bars(10, 10, 20, 20, 10, 15, 15)
    result = backtest(candles, flags(7, 0, 3), flags(7, 1, 4), costs=NO_COSTS)
    assert result.trades.select("entry_bar", "exit_bar", "equity_before", "equity_after").rows() == [
        (1, 2, 1.0, 2.0), (4, 5, 2.0, 3.0),
    ]  # fmt: skip
    outcome = result.outcome
    assert (outcome["trades"], outcome["wins"], outcome["sides_traded"], outcome["exposure_bars"]) == (2, 2, 4, 2)
    assert outcome["gross_profit"] == pytest.approx(2.0)


def test_wins_and_losses_add_up_each_on_its_own_and_a_draw_is_no_win():
    candles = flat_bars(10, 10, 20, 20, 10, 10, 10, 10)
    result = backtest(candles, flags(8, 0, 2, 5), flags(8, 1, 3, 6), costs=NO_COSTS)
    assert result.trades["return"].to_list() == pytest.approx([1.0, -0.5, 0.0])
    outcome = result.outcome
    assert (outcome["trades"], outcome["wins"]) == (3.0, 1.0)
    assert (outcome["gross_profit"], outcome["gross_loss"]) == pytest.approx((1.0, 1.0))


def test_an_entry_on_the_last_bar_has_nothing_to_fill_at():
    for enter, count in ((2, 0), (1, 1)):
        for result in (trade_long(flat_bars(1, 1, 1), enter), trade_short(flat_bars(1, 1, 1), enter)):
            assert result.outcome["trades"] == count


def test_an_exit_on_the_last_bar_leaves_the_position_open():
    for leave, reason in ((2, "open"), (1, "signal")):
        for make in (trade_long, trade_short):
            assert make(flat_bars(1, 1, 1), 0, leave).trades["exit_reason"].to_list() == [reason]


def test_an_exit_counts_from_the_close_of_the_entry_bar_on():
    # Enter on bar 1: an exit of bar 1 would forbid it, one of bar 2, the entry bar, fills at bar 3.
    assert trade_long(flat_bars(1, 1, 1, 1, 1), 1, 2).trades["exit_bar"].to_list() == [3]
    assert trade_long(flat_bars(1, 1, 1, 1, 1), 1, 1).trades.is_empty()


def test_a_bar_that_says_to_leave_and_to_enter_after_an_exit_waits_for_the_next():
    # Entries on bars 0 and 3; the exit of bar 2 fills on bar 3, on whose close the second entry is decided.
    candles = flat_bars(1, 1, 1, 1, 1, 1)
    assert backtest(candles, flags(6, 0, 3), flags(6, 2)).trades["entry_bar"].to_list() == [1, 4]
    # An entry on bar 2 is dropped with the exit of bar 2, and one while in a position does nothing.
    assert backtest(candles, flags(6, 0, 1, 2), flags(6, 2)).trades["entry_bar"].to_list() == [1]


def test_a_turn_closes_one_side_and_opens_the_other_at_the_same_open():
    candles = flat_bars(10, 10, 20, 20, 10, 10)
    result = backtest(
        candles, flags(6, 0, 3), flags(6), short_entries=flags(6, 1), short_exits=flags(6), costs=NO_COSTS
    )
    assert result.trades.select("side", "entry_bar", "exit_bar", "exit_reason").rows() == [
        ("long", 1, 2, "signal"), ("short", 2, 4, "signal"), ("long", 4, 5, "open"),
    ]  # fmt: skip
    # Doubled, then half of that again on the way down.
    assert result.metrics.final_equity == pytest.approx(2.0 * 1.5)


def test_of_two_sides_that_could_be_entered_the_earlier_wins():
    candles = flat_bars(*[10.0] * 8)
    for long, short, first in ((1, 2, "long"), (2, 1, "short")):
        result = backtest(candles, flags(8, long), flags(8, 5), short_entries=flags(8, short), short_exits=flags(8, 5))
        assert result.trades["side"][0] == first
    never = backtest(candles, flags(8, 2), flags(8), short_entries=flags(8, 2), short_exits=flags(8))
    assert never.trades.is_empty()


def test_each_side_has_exits_of_its_own():
    candles = flat_bars(*[10.0] * 8)
    long = backtest(candles, flags(8, 0), flags(8, 4), short_entries=flags(8), short_exits=flags(8, 2))
    short = backtest(candles, flags(8), flags(8, 2), short_entries=flags(8, 0), short_exits=flags(8, 4))
    assert long.trades["exit_bar"].to_list() == short.trades["exit_bar"].to_list() == [5]


def test_a_short_is_liquidated_where_it_is_worth_nothing_or_stopped_before():
    candles = bars_of((100, 100, 100, 100), (100, 110, 90, 100), (100, 250, 100, 240), (240, 240, 240, 240))
    result = trade_short(candles, costs=NO_COSTS)
    assert exits_of(result) == [(2, 200.0, "liquidation")]
    assert (result.outcome["final_equity"], result.outcome["max_drawdown"]) == (0.0, 1.0)
    assert result.outcome["gross_loss"] == 1.0
    assert exits_of(trade_short(candles, costs=NO_COSTS, stops=Stops(stop_loss=0.5))) == [(2, 150.0, "stop_loss")]
    with_costs = Costs(fee=0.1, slippage=0.0)
    assert exits_of(trade_short(candles, costs=with_costs)) == [(2, pytest.approx(190.0), "liquidation")]
    # A trail from the low of 90 is nearer than ruin.
    trailed = trade_short(candles, costs=NO_COSTS, stops=Stops(trailing_stop=0.99))
    assert exits_of(trailed) == [(2, pytest.approx(90 * 1.99), "trailing_stop")]


def test_a_long_is_never_liquidated():
    candles = bars_of((100, 100, 100, 100), (100, 100, 0.001, 0.001), (0.001, 50, 0.001, 50))
    result = backtest(
        candles, flags(3, 0), flags(3), short_entries=flags(3), short_exits=flags(3), costs=NO_COSTS, stops=NO_STOPS
    )
    assert exits_of(result) == [(2, 50.0, "open")]


def test_a_short_bought_back_for_more_than_it_has_ends_at_zero_and_trades_no_more():
    # The open jumps to 3 times the price: the stop fills there, and the account cannot pay it.
    candles = flat_bars(100, 100, 300, 300, 300, 300)
    result = backtest(
        candles, flags(6, 3), flags(6), short_entries=flags(6, 0), short_exits=flags(6),
        stops=Stops(stop_loss=0.5), costs=NO_COSTS,
    )  # fmt: skip
    assert exits_of(result) == [(2, 300.0, "stop_loss")]
    assert result.outcome["final_equity"] == 0.0
    assert result.outcome["trades"] == 1.0


def test_ruin_ends_trading_and_a_hair_above_does_not():
    for last, trades in ((1e-7, 1), (1e-6, 2)):
        # Each price is 1e-9 * 100 or 1e-8 * 100.
        candles = flat_bars(100, 100, last, last, last, last)
        result = backtest(candles, flags(6, 0, 2), flags(6, 1), costs=Costs(fee=0.01, slippage=0.0))
        assert result.outcome["trades"] == trades


def daily_equity(candles: Candles, enter: np.ndarray, leave: np.ndarray) -> list[float]:
    said = Signals(enter, leave)
    return walk_signals(said, price_tables(candles), NO_COSTS)[1][0].tolist()


def test_daily_equity_is_that_of_each_midnight():
    times = np.array([0, 12, 24, 36, 48, 60, 72, 84, 150], dtype=np.int64) * HOUR_MS
    price = np.array([10.0, 10, 10, 12, 14, 11, 9, 8, 8])
    candles = Candles("test", "A/USD", "1h", times, price, price, price, price, np.ones(9))
    # Bought at 10 on bar 2, sold at 9 on bar 6; days 4 and 5 have no candle.
    assert daily_equity(candles, flags(9, 1), flags(9, 5)) == pytest.approx([1.0, 1.2, 1.1, 0.9, 0.9, 0.9, 0.9])
    assert daily_equity(candles, flags(9, 0), flags(9)) == pytest.approx([1.0, 1.2, 1.1, 0.8, 0.8, 0.8, 0.8])
    assert daily_equity(candles, flags(9), flags(9)) == [1.0] * 7
    assert times[-1] // DAY_MS == 6


def test_no_bar_and_one_bar_have_the_figures_of_nothing():
    for bars in (0, 1):
        candles = flat_bars(*[5.0] * bars) if bars else flat_bars(5.0).slice(0, 0)
        outcome = backtest(candles, np.ones(bars, bool), np.zeros(bars, bool)).outcome
        assert outcome == dict.fromkeys(outcome, 0.0) | {"final_equity": 1.0}
