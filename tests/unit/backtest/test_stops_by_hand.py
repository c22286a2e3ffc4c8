"""Stops, targets and trails on bars small enough to be worked out on paper."""

from __future__ import annotations

import pytest
from hand_made_bars import bars_of, exits_of, flags, trade_long, trade_short

from alpharay.backtest.costs import NO_COSTS
from alpharay.backtest.single import backtest
from alpharay.backtest.stops import AtrTrail, Stops

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
