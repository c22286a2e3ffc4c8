"""Holdings over the edges of blocks and tiles, wherever they begin and end, and backtests side by side."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hand_made_bars import bars_of, exits_of, flags, trade_long, trade_short
from test_kernel_equals_plain import check, random_candles

from alpharay.backtest.bits import pack
from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.rules import settle_conflicts
from alpharay.backtest.settlement import OUTCOME_FIELDS, TRADE_FIELDS
from alpharay.backtest.single import backtest, walk_signals
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import price_tables
from alpharay.backtest.walk import factors_of, prices_of, stop_search_of, walk
from alpharay.market.candles import Candles
from alpharay.strategies.evaluation import Signals

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
