"""What becomes of a signal: by hand, against a plain loop, against the backtest, and never by a later candle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.analytics.outcome import DEFINED, Ending, Outcomes, OutcomeTerms, signal_outcomes
from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.single import backtest
from alpharay.market.candles import Candles

MINUTE = 60_000
FREE = OutcomeTerms(horizon=3, costs=NO_COSTS)


def candles_of(opens: list[float], *, bars: list[int] | None = None, highs: list[float] | None = None) -> Candles:
    """Return candles with these opens at these minutes."""
    price = np.array(opens, float)
    places = np.arange(len(opens)) if bars is None else np.array(bars)
    high = price.copy() if highs is None else np.array(highs, float)
    volume = np.ones(len(opens))
    return Candles("generated", "SOL/USD", "1m", places * MINUTE, price, high, price, price, volume)


def one(outcomes: Outcomes, place: int = 0) -> tuple[Ending, float, float]:
    """Return ending, entry minute and exit minute."""
    entry, leave = outcomes.entry_time[place] / MINUTE, outcomes.exit_time[place] / MINUTE
    return Ending(int(outcomes.ending[place])), entry, leave


def test_a_buy_is_entered_at_the_next_open_and_left_after_the_horizon() -> None:
    found = signal_outcomes([90_000], [1], candles_of([10, 11, 12, 13, 14, 15, 16]), FREE)
    assert one(found) == (Ending.HORIZON, 2, 5)
    assert found.net_return[0] == found.gross_return[0] == pytest.approx(15 / 12 - 1)


def test_a_sell_earns_what_the_price_falls() -> None:
    found = signal_outcomes([90_000], [-1], candles_of([10, 11, 12, 13, 14, 9, 16]), FREE)
    assert one(found) == (Ending.HORIZON, 2, 5)
    assert found.net_return[0] == pytest.approx(1 - 9 / 12)


def test_an_open_at_the_very_time_of_the_signal_may_have_been_before_it() -> None:
    candles = candles_of([10, 11, 12, 13, 14, 15])
    assert one(signal_outcomes([MINUTE], [1], candles, FREE)) == (Ending.HORIZON, 2, 5)
    assert one(signal_outcomes([MINUTE - 1], [1], candles, FREE)) == (Ending.HORIZON, 1, 4)


def test_the_opposite_signal_ends_it_where_that_one_is_entered() -> None:
    candles = candles_of([10, 11, 12, 13, 14, 15, 16, 17])
    found = signal_outcomes([30_000, 70_000, 130_000, 150_000], [1, 0, -1, -1], candles, FREE)
    assert one(found) == (Ending.OPPOSITE, 1, 3)
    assert Ending(int(found.ending[1])) is Ending.NONE
    assert math.isnan(found.net_return[1])
    assert one(found, 2) == one(found, 3) == (Ending.HORIZON, 3, 6)


def test_an_opposite_signal_of_the_same_candle_does_not_end_it() -> None:
    found = signal_outcomes([10_000, 20_000], [1, -1], candles_of([10, 11, 12, 13, 14, 15]), FREE)
    assert one(found) == one(found, 1) == (Ending.HORIZON, 1, 4)


def test_an_opposite_signal_at_the_horizon_changes_nothing() -> None:
    found = signal_outcomes([10_000, 190_000], [1, -1], candles_of([10, 11, 12, 13, 14, 15]), FREE)
    assert one(found) == (Ending.HORIZON, 1, 4)


@pytest.mark.parametrize("stored", range(5))
def test_it_waits_until_the_candle_of_its_exit_is_closed(stored: int) -> None:
    whole = candles_of([10, 11, 12, 13, 14])
    found = signal_outcomes([30_000], [1], whole.slice(0, stored), FREE)
    assert Ending(int(found.ending[0])) is Ending.WAITING
    assert (found.entry_time[0], found.exit_time[0]) == (-1, -1)
    assert math.isnan(found.net_return[0])
    assert one(signal_outcomes([30_000], [1], whole, FREE)) == (Ending.HORIZON, 1, 4)


def test_a_gap_makes_entry_and_exit_later_as_they_would_have_been() -> None:
    # Minutes 1, 2 and 6 to 8 are missing.
    candles = candles_of([10, 13, 14, 15, 19, 20], bars=[0, 3, 4, 5, 9, 10])
    found = signal_outcomes([30_000], [1], candles, FREE)
    assert one(found) == (Ending.HORIZON, 3, 9)
    assert found.net_return[0] == pytest.approx(19 / 13 - 1)


def test_a_signal_whose_market_had_no_candle_for_six_time_frames_is_missed() -> None:
    terms = OutcomeTerms(horizon=1, latest_entry=5)
    late = candles_of([10, 16, 17, 18], bars=[0, 6, 7, 8])
    assert Ending(int(signal_outcomes([59_999], [1], late, terms).ending[0])) is Ending.MISSED
    assert one(signal_outcomes([60_000], [1], late, terms)) == (Ending.HORIZON, 6, 7)


@pytest.mark.parametrize("broken", [math.nan, math.inf, 0.0, -1.0])
def test_a_candle_without_a_price_is_passed_over(broken: float) -> None:
    opens = [10, 11, 12, 13, 14, 15]
    opens[1] = opens[4] = broken  # type: ignore[call-overload]
    found = signal_outcomes([30_000], [1], candles_of(opens), FREE)
    assert one(found) == (Ending.HORIZON, 2, 5)
    assert found.net_return[0] == pytest.approx(15 / 12 - 1)


def test_a_short_is_lost_in_the_candle_in_which_the_price_doubles() -> None:
    candles = candles_of([10, 10, 10, 10, 10, 10], highs=[10, 10, 19.9, 20, 10, 10])
    found = signal_outcomes([30_000], [-1], candles, FREE)
    assert one(found) == (Ending.LIQUIDATED, 1, 3)
    assert (found.exit_price[0], found.net_return[0], found.gross_return[0]) == (20.0, -1.0, -1.0)


def test_the_candle_of_the_exit_cannot_liquidate_a_short_but_its_open_takes_no_more_than_everything() -> None:
    candles = candles_of([10, 10, 10, 10, 30, 10], highs=[10, 10, 10, 10, 99, 10])
    found = signal_outcomes([30_000], [-1], candles, FREE)
    assert one(found) == (Ending.HORIZON, 1, 4)
    assert found.net_return[0] == -1.0


def test_no_signals_and_no_candles_have_no_outcomes() -> None:
    assert len(signal_outcomes([], [], candles_of([10, 11]))) == 0
    found = signal_outcomes([5, 6, 7], [1, 0, -1], candles_of([]))
    assert found.ending.tolist() == [Ending.WAITING, Ending.NONE, Ending.WAITING]


@pytest.mark.parametrize(
    ("times", "sides", "message"),
    [
        ([2, 1], [1, 1], "times must never fall"),
        ([1, 2], [1, 2], "sides must be 1, 0 or -1"),
        ([1, 2], [1], "two arrays of one length"),
    ],
)
def test_what_does_not_fit_is_refused(times: list[int], sides: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        signal_outcomes(times, sides, candles_of([10]))


@pytest.mark.parametrize("side", [1, -1])
def test_the_return_is_that_of_the_backtest_of_the_same_trade(side: int) -> None:
    generator = np.random.default_rng(3)
    price = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, 40)))
    candles = candles_of(price.tolist())
    costs = Costs(fee=0.002, slippage=0.0007)
    enter, leave = np.zeros(40, bool), np.zeros(40, bool)
    enter[9], leave[19] = True, True
    none = np.zeros(40, bool)
    if side > 0:
        traded = backtest(candles, enter, leave, costs=costs)
    else:
        traded = backtest(candles, none, none, short_entries=enter, short_exits=leave, costs=costs)
    assert traded.metrics.trades == 1
    found = signal_outcomes([9 * MINUTE + 1], [side], candles, OutcomeTerms(horizon=10, costs=costs))
    assert one(found) == (Ending.HORIZON, 10, 20)
    assert found.net_return[0] == pytest.approx(traded.metrics.total_return, rel=1e-12)


def plain(times: list[int], sides: list[int], candles: Candles, terms: OutcomeTerms, place: int) -> tuple[str, float]:
    """Return ending and net return of one signal, looked up candle by candle."""
    rows = [
        (int(at), float(price), float(high))
        for at, price, high in zip(candles.open_time, candles.open, candles.high, strict=True)
        if math.isfinite(price) and price > 0
    ]
    fee, slippage = terms.costs.fee, terms.costs.slippage

    def entry_of(when: int) -> int | None:
        return next((index for index, row in enumerate(rows) if row[0] > when), None)

    if sides[place] == 0:
        return "NONE", math.nan
    entry = entry_of(times[place])
    if entry is None:
        return "WAITING", math.nan
    if rows[entry][0] > times[place] + terms.latest_entry * MINUTE:
        return "MISSED", math.nan
    enders = [entry_of(when) for when, side in zip(times, sides, strict=True) if side == -sides[place]]
    for index in range(entry + 1, len(rows)):
        over = rows[index][0] >= rows[entry][0] + terms.horizon * MINUTE
        if over or index in enders:
            ratio = rows[index][1] / rows[entry][1]
            if sides[place] > 0:
                bought = (1 - fee) / (1 + slippage)
                return "HORIZON" if over else "OPPOSITE", bought * ratio * (1 - slippage) * (1 - fee) - 1
            cash, owed = (1 - fee) * (1 - slippage), (1 + slippage) / (1 - fee)
            if any(1 + cash - row[2] / rows[entry][1] * owed <= 1e-12 for row in rows[entry:index]):
                return "LIQUIDATED", -1.0
            return "HORIZON" if over else "OPPOSITE", max(cash - ratio * owed, -1.0)
    return "WAITING", math.nan


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[int], list[int], Candles, OutcomeTerms]:
    bars = sorted(draw(st.sets(st.integers(0, 30), max_size=20)))
    opens = [draw(st.sampled_from([math.nan, 5.0, 9.0, 10.0, 11.0, 12.5, 26.0])) for _ in bars]
    highs = [price if math.isnan(price) else price * draw(st.sampled_from([1.0, 1.1, 2.5])) for price in opens]
    times = sorted(draw(st.lists(st.integers(0, 30 * MINUTE), max_size=12)))
    times = [draw(st.sampled_from([when, when // MINUTE * MINUTE])) for when in times]
    sides = [draw(st.sampled_from([1, 0, -1])) for _ in times]
    terms = OutcomeTerms(
        horizon=draw(st.integers(1, 9)), costs=draw(st.sampled_from([NO_COSTS, Costs()])), latest_entry=3
    )
    return sorted(times), sides, candles_of(opens, bars=bars, highs=highs), terms


@settings(max_examples=100, deadline=None)
@given(markets())
def test_it_equals_a_plain_loop(market: tuple[list[int], list[int], Candles, OutcomeTerms]) -> None:
    times, sides, candles, terms = market
    found = signal_outcomes(times, sides, candles, terms)
    for place in range(len(times)):
        ending, net = plain(times, sides, candles, terms, place)
        assert Ending(int(found.ending[place])).name == ending
        assert found.net_return[place] == pytest.approx(net, rel=1e-12, abs=1e-12, nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(markets(), st.integers(0, 20))
def test_what_is_defined_stays_to_the_bit_when_candles_come(
    market: tuple[list[int], list[int], Candles, OutcomeTerms], stored: int
) -> None:
    times, sides, candles, terms = market
    before = signal_outcomes(times, sides, candles.slice(0, min(stored, len(candles))), terms)
    after = signal_outcomes(times, sides, candles, terms)
    for place in np.flatnonzero(before.ending != Ending.WAITING):
        assert before.ending[place] == after.ending[place]
        np.testing.assert_array_equal(before.net_return[place], after.net_return[place])
        assert (before.entry_time[place], before.exit_time[place]) == (after.entry_time[place], after.exit_time[place])
    newest = -1 if stored == 0 or len(candles) == 0 else int(candles.open_time[min(stored, len(candles)) - 1])
    assert (before.exit_time <= newest).all() or not np.isin(before.ending, DEFINED).any()
