"""Strategies that wait for a figure trade on the bar that completes one drawn by hand, and on no other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from alpharay.market.candles import Candles
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.evaluation import Signals, signals


def drawn(
    closes: list[float], *, reach: float = 0.1, volumes: list[float] | None = None, **columns: list[float]
) -> Candles:
    """Return candles that open at the close before and reach a little beyond both; other columns as given."""
    close = np.array(closes)
    opening = np.concatenate((close[:1], close[:-1]))
    rows = {
        "open": opening,
        "high": np.maximum(opening, close) + reach,
        "low": np.minimum(opening, close) - reach,
        "close": close,
        "volume": np.array(volumes) if volumes else np.full(len(close), 10.0),
        **{name: np.array(values) for name, values in columns.items()},
    }
    time = 1_600_000_200_000 + np.arange(len(close), dtype=np.int64) * 60_000
    return Candles("test", "DRAWN/USD", "1m", time, **rows)


def said(name: str, candles: Candles, **parameters: float) -> tuple[list[int], list[int]]:
    """Return the bars on which a strategy says enter and exit."""
    strategy = CATALOGUE[name]
    found: Signals = signals(strategy, {**strategy.defaults, **parameters}, candles)
    return np.flatnonzero(found.enter).tolist(), np.flatnonzero(found.exit).tolist()


def legs(*corners: float, step: float = 1.0) -> list[float]:
    """Return closes that go from corner to corner in equal steps."""
    closes = [corners[0]]
    for start, end in pairwise(corners):
        count = round(abs(end - start) / step)
        closes += np.linspace(start, end, count + 1)[1:].tolist()
    return closes


def test_double_bottom_enters_on_the_break_of_its_neckline_and_double_top_leaves():
    closes = legs(110, 100, 105, 100, 108)
    first_above = 20 + 6
    # The second bottom is at bar 20; the high between is 105.1.
    assert closes[first_above] == 106.0
    assert said("DOUBLE_TOP_BOTTOM", drawn(closes), wing=3) == ([first_above], [])
    mirrored = [210.0 - close for close in closes]
    assert said("DOUBLE_TOP_BOTTOM", drawn(mirrored), wing=3) == ([], [first_above])


def test_bottoms_of_different_depth_are_no_double_bottom():
    assert said("DOUBLE_TOP_BOTTOM", drawn(legs(110, 100, 105, 97, 110)), wing=3) == ([], [])


def test_double_bottom_that_breaks_down_first_is_none():
    assert said("DOUBLE_TOP_BOTTOM", drawn(legs(110, 100, 105, 100, 104, 98, 112)), wing=3)[0] == []


def test_gap_enters_when_the_whole_bar_is_above_the_one_before():
    closes = [100.0, 100.1] * 10
    candles = drawn([*closes, 103.0, 103.1, 99.0], open=[*closes, 102.8, 103.0, 99.2])
    low, high = np.minimum(candles.open, candles.close) - 0.1, np.maximum(candles.open, candles.close) + 0.1
    candles = drawn(candles.close.tolist(), open=candles.open.tolist(), low=low.tolist(), high=high.tolist())
    assert said("PRICE_GAP", candles, length=5) == ([20], [22])
    assert said("PRICE_GAP", drawn(candles.close.tolist()), length=5)[0] == []


def test_fibonacci_enters_when_the_retracement_is_left_upwards_and_leaves_at_the_new_high():
    # From 100 to 120, back to 110, then on: 38.2 % of the way back is at 112.3.
    closes = legs(110, 100, 120, 110, 123)
    entered, left = said("FIBONACCI_RETRACEMENTS", drawn(closes), length=40)
    assert [closes[bar] for bar in entered] == [113.0]
    assert entered[0] == 10 + 20 + 10 + 3
    assert [closes[bar] for bar in left if bar > entered[0]] == [121.0, 122.0, 123.0]


def test_gann_swing_enters_past_the_last_upper_turn_and_leaves_past_the_last_lower_one():
    closes = legs(100, 106, 103, 110, 105, 108, 100)
    entered, left = said("GANN_SWING", drawn(closes), bars=2)
    assert [closes[bar] for bar in entered] == [107.0]
    assert [closes[bar] for bar in left] == [104.0]


def test_renko_enters_on_the_first_rising_brick_and_leaves_on_the_first_falling_one():
    closes = [100.0, 98.9, 97.8, 98.4, 99.9, 101.0, 100.5, 99.2, 98.5]
    # Bricks end at 99, 98.01 and, two further ones apart, at 100.95; at 99.9 only one brick has been made good.
    assert said("RENKO_CHART", drawn(closes), size=1.0) == ([5], [1, 8])


def test_range_bars_wait_for_a_run():
    closes = [100.0, 101.1, 102.2, 103.3, 102.4, 103.5, 102.0, 101.0, 99.5]
    entered, left = said("RANGE_BARS", drawn(closes), size=1.0, run=3)
    assert entered[0] == 3
    assert left[0] == 8


def test_pinball_needs_the_weak_momentum_and_the_break():
    closes = [*legs(100, 90), 90.4, 89.9, 89.8, 92.0]
    entered, _ = said("MOMENTUM_PINBALL", drawn(closes))
    assert entered == []
    falling_faster = np.cumsum([100.0, *(-0.1 * bar for bar in range(12)), 8.0]).tolist()
    assert said("MOMENTUM_PINBALL", drawn(falling_faster))[0] == [len(falling_faster) - 1]


def test_stopping_volume_enters_and_upthrust_leaves():
    quiet = [100.0, 100.2] * 12
    spike = [*quiet, 100.0, 100.2, 100.0]
    low, high = [99.9] * 27, [100.3] * 27
    low[24] = 97.0
    high[26] = 103.0
    volumes = [10.0] * 27
    volumes[24] = volumes[26] = 50.0
    assert said("VOLUME_SPREAD_ANALYSIS", drawn(spike, low=low, high=high, volumes=volumes)) == ([24], [26])
    assert said("VOLUME_SPREAD_ANALYSIS", drawn(spike, low=low, high=high)) == ([], [])


def test_volume_profile_enters_above_value_and_leaves_below_the_point_of_control():
    closes = [100.0, 101.0, 100.0, 99.0] * 6 + [103.0, 103.0, 98.0]
    volumes = [50.0, 10.0, 50.0, 10.0] * 6 + [10.0] * 3
    entered, left = said("VOLUME_PROFILE", drawn(closes, volumes=volumes), length=20)
    assert 24 in entered
    assert left[-1] == 26


def test_trailing_stops_enter_above_and_leave_below():
    closes = legs(120, 100, 120, 105)
    for name in ("ATR_TRAILING_STOP", "VOLATILITY_STOP"):
        entered, left = said(name, drawn(closes), atr=5, multiple=2.0)
        assert len(entered) == 1
        assert 20 < entered[0] < 26
        assert [bar for bar in left if bar > entered[0]] == [bar for bar in left if 40 < bar < 46]
        assert left[-1] > 40
