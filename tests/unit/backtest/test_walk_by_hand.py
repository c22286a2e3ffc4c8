"""Trades small enough to be worked out on paper: every figure of the kernel, and each rule of the fill."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from test_kernel_equals_plain import check, random_candles

from alpharay.backtest.bits import pack
from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.rules import settle_conflicts
from alpharay.backtest.settlement import OUTCOME_FIELDS, TRADE_FIELDS
from alpharay.backtest.single import backtest, walk_signals
from alpharay.backtest.stops import NO_STOPS, AtrTrail, Stops
from alpharay.backtest.tables import price_tables
from alpharay.backtest.walk import factors_of, prices_of, stop_search_of, walk
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS
from alpharay.strategies.evaluation import Signals

HOUR_MS = 3_600_000


def bars_of(*rows: tuple[float, float, float, float], step_ms: int = HOUR_MS) -> Candles:
    """Candles from (open, high, low, close)."""
    opened, high, low, close = np.array(rows, dtype=np.float64).T
    times = np.arange(len(rows), dtype=np.int64) * step_ms
    return Candles("test", "A/USD", "1h", times, opened, high, low, close, np.ones(len(rows)))


def flat_bars(*prices: float) -> Candles:
    """Candles that stand still inside and jump in between."""
    return bars_of(*((price, price, price, price) for price in prices))


def flags(bars: int, *places: int) -> np.ndarray:
    said = np.zeros(bars, dtype=np.bool_)
    said[list(places)] = True
    return said


def trade_long(candles: Candles, enter: int = 0, leave: int | None = None, **options):
    bars = len(candles)
    return backtest(candles, flags(bars, enter), flags(bars, *([] if leave is None else [leave])), **options)


def trade_short(candles: Candles, enter: int = 0, leave: int | None = None, **options):
    bars = len(candles)
    exits = flags(bars, *([] if leave is None else [leave]))
    return backtest(candles, flags(bars), flags(bars), short_entries=flags(bars, enter), short_exits=exits, **options)


def exits_of(result) -> list[tuple[int, float, str]]:
    return result.trades.select("exit_bar", "exit_price", "exit_reason").rows()


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


STOPPED = Stops(stop_loss=0.125, take_profit=0.25)
"""Fractions that binary numbers hold: a touch is exact."""


@pytest.mark.parametrize(
    ("bar", "price", "reason"),
    [
        ((100, 101, 87.5, 95), 87.5, "stop_loss"),  # the low is on the stop
        ((100, 101, 87.6, 95), None, None),
        ((100, 125, 99, 101), 125.0, "take_profit"),  # the high is on the target
        ((100, 124.9, 99, 101), None, None),
        ((85, 130, 80, 125), 85.0, "stop_loss"),  # opened beyond the stop
        ((87.5, 91, 87.5, 91), 87.5, "stop_loss"),
        ((130, 131, 80, 85), 130.0, "take_profit"),  # opened beyond the target: at the open, whatever came then
        ((125, 126, 125, 126), 125.0, "take_profit"),
        ((125, 126, 80, 85), 125.0, "take_profit"),  # opened on the target, and fell to the stop after it was sold
        ((100, 126, 85, 100), 87.5, "stop_loss"),  # both: the worse one
    ],
)
def test_a_long_is_stopped(bar, price, reason):
    candles = bars_of((100, 100, 100, 100), (100, 105, 95, 100), bar, (100, 100, 100, 100), (100, 100, 100, 100))
    result = trade_long(candles, 0, 3, stops=STOPPED)
    assert exits_of(result) == [(2, price, reason) if reason else (4, 100.0, "signal")]


@pytest.mark.parametrize(
    ("bar", "price", "reason"),
    [
        ((100, 112.5, 99, 105), 112.5, "stop_loss"),
        ((100, 112.4, 99, 105), None, None),
        ((100, 101, 75, 99), 75.0, "take_profit"),
        ((100, 101, 75.1, 99), None, None),
        ((115, 120, 70, 75), 115.0, "stop_loss"),
        ((112.5, 112.5, 109, 109), 112.5, "stop_loss"),
        ((70, 120, 69, 115), 70.0, "take_profit"),
        ((75, 75, 74, 74), 75.0, "take_profit"),
        ((75, 120, 74, 115), 75.0, "take_profit"),
        ((100, 115, 74, 100), 112.5, "stop_loss"),
    ],
)
def test_a_short_is_stopped_in_the_mirror(bar, price, reason):
    candles = bars_of((100, 100, 100, 100), (100, 105, 95, 100), bar, (100, 100, 100, 100), (100, 100, 100, 100))
    result = trade_short(candles, 0, 3, stops=STOPPED)
    assert exits_of(result) == [(2, price, reason) if reason else (4, 100.0, "signal")]


def test_a_stop_works_on_the_entry_bar_but_not_at_its_open():
    candles = bars_of((100, 100, 100, 100), (100, 100, 87, 100), (100, 100, 100, 100))
    assert exits_of(trade_long(candles, stops=STOPPED)) == [(1, 87.5, "stop_loss")]
    rising = bars_of((100, 100, 100, 100), (100, 126, 100, 100), (100, 100, 100, 100))
    assert exits_of(trade_long(rising, stops=STOPPED)) == [(1, 125.0, "take_profit")]
    # A trail of nothing but the entry: it is one distance below the open that was paid.
    assert exits_of(trade_long(candles, stops=Stops(trailing_stop=0.1))) == [(1, 90.0, "trailing_stop")]


def test_a_stopped_bar_is_not_held_and_its_close_is_not_seen():
    candles = bars_of((100, 100, 100, 100), (100, 105, 95, 105), (105, 105, 50, 50), (50, 50, 50, 50))
    result = trade_long(candles, stops=Stops(stop_loss=0.1), costs=NO_COSTS)
    assert result.outcome["exposure_bars"] == 1.0
    assert result.outcome["final_equity"] == pytest.approx(0.9)
    assert result.outcome["max_drawdown"] == pytest.approx(1.0 - 0.9 / 1.05)
    assert result.equity.tolist() == pytest.approx([1.0, 1.05, 0.9, 0.9])


def test_after_a_stop_the_next_entry_is_decided_on_its_own_bar():
    candles = bars_of(*[(100, 101, 99, 100)] * 2, (100, 101, 80, 100), *[(100, 101, 99, 100)] * 4)
    result = backtest(candles, flags(7, 0, 2), flags(7), stops=Stops(stop_loss=0.1))
    # The bar of the stop closes flat: its close may enter again.
    assert result.trades.select("entry_bar", "exit_bar").rows() == [(1, 2), (3, 6)]


def test_a_stop_is_not_searched_after_the_exit_signal():
    candles = bars_of(*[(100, 101, 99, 100)] * 3, (100, 101, 50, 60), *[(60, 61, 59, 60)] * 2)
    assert exits_of(trade_long(candles, 0, 2, stops=STOPPED)) == [(3, 100.0, "signal")]
    assert exits_of(trade_long(candles, 0, 3, stops=STOPPED)) == [(3, 87.5, "stop_loss")]


def test_a_trailing_stop_follows_the_best_price_up_to_the_bar_before():
    candles = bars_of(
        (100, 100, 100, 100), (100, 110, 95, 108), (108, 130, 100, 101), (125, 126, 117.5, 120), (120, 120, 116, 119),
        (119, 119, 119, 119),
    )  # fmt: skip
    # 0.9 of 100, 110 and 130: the high of 130 counts only from the bar after it.
    assert exits_of(trade_long(candles, stops=Stops(trailing_stop=0.1))) == [(4, 117.0, "trailing_stop")]
    mirror = bars_of(
        (100, 100, 100, 100), (100, 105, 90, 92), (92, 98, 70, 95), (72, 76.5, 71, 75), (75, 78, 74, 75),
        (75, 75, 75, 75),
    )  # fmt: skip
    assert exits_of(trade_short(mirror, stops=Stops(trailing_stop=0.1))) == [
        (4, pytest.approx(77.0), "trailing_stop"),
    ]


def test_of_stop_and_trail_the_tighter_one_holds():
    candles = bars_of((100, 100, 100, 100), (100, 130, 95, 120), (120, 120, 90, 100), (100, 100, 100, 100))
    both = Stops(stop_loss=0.04, trailing_stop=0.1)
    assert exits_of(trade_long(candles, stops=both)) == [(1, 96.0, "stop_loss")]
    wider = Stops(stop_loss=0.06, trailing_stop=0.1)
    assert exits_of(trade_long(candles, stops=wider)) == [(2, 117.0, "trailing_stop")]
    # As far as the stop: it is the stop that is named.
    same = Stops(stop_loss=0.1, trailing_stop=0.1)
    first = bars_of((100, 100, 100, 100), (100, 100, 85, 90), (90, 90, 90, 90))
    assert exits_of(trade_long(first, stops=same)) == [(1, 90.0, "stop_loss")]


def test_a_target_is_taken_beside_a_trail():
    candles = bars_of((100, 100, 100, 100), (100, 125, 99, 120), (120, 120, 120, 120))
    assert exits_of(trade_long(candles, stops=Stops(take_profit=0.2, trailing_stop=0.3))) == [
        (1, 120.0, "take_profit"),
    ]


def test_an_atr_trail_starts_one_distance_away_and_only_tightens():
    # A true range of 10 on every bar, so the average is 10 from the second bar on (the first has no close before it).
    rows = [(100, 105, 95, 100)] * 4 + [(100, 110, 100, 105), (105, 109, 99, 104), (104, 106, 95, 96)] + [(96,) * 4] * 2
    candles = bars_of(*rows)
    trail = Stops(atr_trail=AtrTrail(length=2, multiple=1.2))
    # From the open of 100: 88; after bar 4, 110 - 12 = 98; bar 5's 109 - 12 = 97 would be looser.
    assert exits_of(trade_long(candles, 2, stops=trail)) == [(6, 98.0, "trailing_stop")]
    mirror = bars_of(*((200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in rows))
    assert exits_of(trade_short(mirror, 2, stops=trail)) == [(6, 102.0, "trailing_stop")]


def test_an_atr_that_is_not_known_yet_stops_nothing():
    candles = bars_of(*[(100, 105, 95, 100)] * 3, (100, 100, 20, 30), (30, 30, 30, 30))
    unknown = Stops(atr_trail=AtrTrail(length=50, multiple=0.1))
    assert exits_of(trade_long(candles, 0, stops=unknown)) == [(4, 30.0, "open")]
    # From its first value on it trails, though the entry had none.
    late = Stops(atr_trail=AtrTrail(length=2, multiple=1.0))
    assert exits_of(trade_long(candles, 0, stops=late)) == [(3, 95.0, "trailing_stop")]


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


EDGES = (1, 2, 62, 63, 64, 65, 126, 127, 128, 129, 190, 191, 192, 193, 256, 320)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 63, 64, 65, 127, 128, 129, 130, 192, 255, 256, 257])
def test_a_holding_anywhere_about_the_blocks_of_64_bars_has_the_extremes_of_its_bars(length, falling):
    """The highest and the lowest close of a holding are looked up in tables; their edges are every 64 bars."""
    bars = 400
    candles = random_candles(length, bars, gaps=False, volatility=0.02)
    for entry in EDGES:
        if entry + length >= bars:
            continue
        # One peak and one trough inside: the first and last bars of the holding and of its blocks among the places.
        inside = {entry, entry + length - 1, (entry + 63) // 64 * 64, (entry + length) // 64 * 64 - 1}
        for place in inside:
            if not entry <= place < entry + length:
                continue
            close = candles.close.copy()
            close[place] *= 0.3 if falling else 3.0
            spiked = Candles(
                "test", "A/USD", "1m", candles.open_time, candles.open, np.maximum(candles.high, close),
                np.minimum(candles.low, close), close, candles.volume,
            )  # fmt: skip
            result = trade_long(spiked, entry - 1, entry + length - 1, costs=NO_COSTS)
            points = [1.0, *(close[entry : entry + length] / candles.open[entry])]
            points.append(candles.open[entry + length] / candles.open[entry])
            peaks = np.maximum.accumulate(points)
            assert result.outcome["max_drawdown"] == pytest.approx(np.max(1.0 - points / peaks), abs=1e-12)


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("length", [129, 191, 200, 257, 321])
def test_the_one_extreme_of_a_long_holding_is_found_wherever_it_is(side, length):
    """Under water all the time but for one bar, which is the deepest, or the only one above."""
    sign, make = (1.0, trade_long) if side == "long" else (-1.0, trade_short)
    bars = 400
    for entry in (1, 30, 64):
        for place in (*range(entry, entry + length, 37), 64, 127, 128, 191, entry + length - 1):
            if not entry <= place < entry + length:
                continue
            for extreme, drawdown, under_water in (
                (100.0 - sign * 50.0, 0.5, bars - 1),
                (100.0 + sign * 25.0, 1.0 - 0.9 / 1.25, max(place, bars - 1 - place)),
            ):
                close = np.full(bars, 100.0 - sign * 10.0)
                close[place] = extreme
                opened = np.where(np.arange(bars) == entry, 100.0, 100.0 - sign * 10.0)
                rows = np.column_stack([opened, np.maximum(opened, close), np.minimum(opened, close), close])
                result = make(bars_of(*rows), entry - 1, entry + length - 1, costs=NO_COSTS)
                assert result.outcome["max_drawdown"] == pytest.approx(drawdown)
                assert result.outcome["drawdown_bars"] == under_water


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("level", ["stop_loss", "take_profit"])
def test_the_first_touch_is_found_on_whatever_bar_it_is(side, level):
    bars = 460
    make = trade_long if side == "long" else trade_short
    stops = Stops(**{level: 0.125})
    against = (side == "long") == (level == "stop_loss")
    for entry in (1, 60, 64, 100):
        for touched in (
            *range(entry, entry + 4),
            63,
            64,
            65,
            127,
            128,
            129,
            191,
            192,
            250,
            255,
            256,
            319,
            383,
            384,
            447,
            448,
            459,
        ):
            if touched < entry:
                continue
            rows = [(100.0, 101.0, 99.0, 100.0)] * bars
            rows[touched] = (100.0, 101.0, 87.5, 100.0) if against else (100.0, 112.5, 99.0, 100.0)
            # A second touch later, and one just before the entry, are not the first one of the holding.
            others = (entry - 1, touched + 1, touched + 70) if touched % 2 else ()
            for other in others:
                if other < bars and other != touched:
                    rows[other] = (100.0, 130.0, 70.0, 100.0)
            result = make(bars_of(*rows), entry - 1, stops=stops)
            price = 87.5 if against else 112.5
            assert exits_of(result)[0] == (touched, price, level)


def test_many_short_trades_in_a_row_are_all_settled():
    """More trades than are looked up ahead, each of one bar."""
    bars = 300
    candles = random_candles(9, bars, gaps=False)
    every = np.arange(bars) % 3 == 0
    leave = np.arange(bars) % 3 == 1
    check(candles, [every, leave], Costs())
    result = backtest(candles, every, leave, costs=NO_COSTS)
    assert result.outcome["trades"] == 100.0
    assert result.metrics.final_equity == pytest.approx(
        math.prod(candles.open[bar + 2] / candles.open[bar + 1] for bar in range(0, bars, 3))
    )


TILE_BARS = 2_048
"""The kernel goes through so many bars at a time."""


@pytest.mark.parametrize("stops", [NO_STOPS, Stops(stop_loss=0.03, take_profit=0.02), Stops(trailing_stop=0.03)])
@pytest.mark.parametrize(("both_sides", "minimum_holding"), [(False, 0), (True, 0), (True, 40)])
def test_what_is_held_over_the_edge_of_a_tile_is_one_holding(stops, both_sides, minimum_holding):
    """Signals on and about the last bar of a tile, and positions that last over one and over two of them."""
    bars, edge = 2 * TILE_BARS + 100, TILE_BARS
    candles = random_candles(6, bars, gaps=False, volatility=0.002)
    spans = ((edge - 2, edge - 1), (edge - 2, edge), (edge - 1, edge + 1), (edge, edge + 1), (5, 2 * edge + 5))
    for enter, leave in spans:
        enters, leaves = (enter, min(enter + 200, bars - 1)), (leave, leave + 7, min(leave + 300, bars - 1))
        said = [flags(bars, *enters), flags(bars, *leaves)]
        if both_sides:
            said += [flags(bars, leave + 1), flags(bars, enter + 90, leave + 1, leave + 60)]
        check(candles, said, Costs(), stops, minimum_holding)


def test_as_many_trades_as_a_tile_has_bars_are_settled_tile_by_tile():
    """A turn on every bar: the most trades there can be."""
    bars = TILE_BARS + 300
    candles = random_candles(8, bars, gaps=False)
    up = np.arange(bars) % 2 == 0
    check(candles, [up, flags(bars), ~up, flags(bars)], Costs(0.0, 0.0))


def test_the_accounts_of_many_backtests_do_not_touch_each_other():
    """More of them than there is room to list the holdings of at a time."""
    bars = TILE_BARS + 100
    candles = random_candles(3, bars)
    tables, random = price_tables(candles), np.random.default_rng(5)
    rows = [Signals(random.random(bars) < share, random.random(bars) < share) for share in (0.5, 0.002, 0.3, 0.05, 0.9)]
    for stops in (NO_STOPS, Stops(stop_loss=0.01), Stops(trailing_stop=0.01)):
        decisions = np.stack([np.stack([pack(said.enter), pack(said.exit)]) for said in rows])
        for row in decisions:
            settle_conflicts(row[0], row[1], None, None)
        outcome = np.empty((len(rows), len(OUTCOME_FIELDS)))
        daily = np.empty((len(rows), len(tables.day_ends)))
        walk(
            prices_of(tables), factors_of(Costs()), stop_search_of(stops, candles, Costs(), both_sides=False),
            decisions, np.array([0, 5, 0, 30, 1]), outcome, daily, np.empty((0, len(TRADE_FIELDS))),
        )  # fmt: skip
        for row, (said, holding) in enumerate(zip(rows, (0, 5, 0, 30, 1), strict=True)):
            alone = walk_signals(said, tables, Costs(), stops, holding)
            np.testing.assert_array_equal(outcome[row], alone[0][0])
            np.testing.assert_array_equal(daily[row], alone[1][0])


def test_backtests_that_trade_on_every_bar_are_listed_a_few_at_a_time():
    bars = TILE_BARS + 50
    candles = random_candles(4, bars, gaps=False)
    tables = price_tables(candles)
    up = np.arange(bars) % 2 == 0
    rows = [Signals(up, flags(bars), ~up, flags(bars)), Signals(~up, flags(bars), up, flags(bars))] * 3
    decisions = np.stack([np.stack([pack(item) for item in astuple(said)]) for said in rows])
    for row in decisions:
        settle_conflicts(*row)
    outcome = np.empty((len(rows), len(OUTCOME_FIELDS)))
    walk(
        prices_of(tables), factors_of(NO_COSTS), stop_search_of(NO_STOPS, candles, NO_COSTS, both_sides=True),
        decisions, np.zeros(len(rows), dtype=np.int64), outcome, np.empty((len(rows), len(tables.day_ends))),
        np.empty((0, len(TRADE_FIELDS))),
    )  # fmt: skip
    assert outcome[:, 3].tolist() == [bars - 1.0] * 6
    for row, said in zip(outcome, rows, strict=True):
        np.testing.assert_array_equal(row, walk_signals(said, tables, NO_COSTS)[0][0])
