"""The ledger of unseen intervals: what is left, and how little of it is taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.validation.ledger import Interval, shortest_enough, unused

DAY = 86_400_000


def intervals() -> st.SearchStrategy[list[Interval]]:
    ends = st.tuples(st.integers(0, 60), st.integers(1, 20))
    return st.lists(ends.map(lambda pair: Interval(pair[0], pair[0] + pair[1])), max_size=8)


@given(intervals())
def test_unused_time_is_exactly_what_no_interval_holds(used: list[Interval]) -> None:
    left = unused(used, Interval(10, 50))
    for moment in range(10, 50):
        taken = any(item.start <= moment < item.end for item in used)
        assert sum(item.start <= moment < item.end for item in left) == (0 if taken else 1)
    assert all(10 <= item.start < item.end <= 50 for item in left)
    assert left == sorted(left)


def test_an_interval_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="before its end 5, was 5"):
        Interval(5, 5)


def test_neighbours_that_touch_do_not_overlap() -> None:
    assert not Interval(0, 5).overlaps(Interval(5, 9))
    assert Interval(0, 6).overlaps(Interval(5, 9))


def test_no_more_is_taken_than_days_and_trades_need() -> None:
    exits = np.arange(0, 200 * DAY, DAY // 2)
    enough = shortest_enough([Interval(0, 200 * DAY)], exits, days=30, trades=30, timeframe="1h")
    assert enough == Interval(0, 30 * DAY)
    rare = np.arange(0, 200 * DAY, 3 * DAY)
    enough = shortest_enough([Interval(0, 200 * DAY)], rare, days=30, trades=30, timeframe="1h")
    # The thirtieth trade ends in the candle that opens on day 87.
    assert enough == Interval(0, 87 * DAY + 3_600_000)


def test_intervals_that_are_too_short_are_left_for_others() -> None:
    exits = np.arange(0, 300 * DAY, DAY // 2)
    left = [Interval(0, 20 * DAY), Interval(50 * DAY, 75 * DAY), Interval(100 * DAY, 300 * DAY)]
    assert shortest_enough(left, exits, days=30, trades=30, timeframe="1d") == Interval(100 * DAY, 130 * DAY)
    assert shortest_enough(left[:2], exits, days=30, trades=30, timeframe="1d") is None


def test_without_trades_there_is_nothing_to_take() -> None:
    none = np.empty(0, dtype=np.int64)
    assert shortest_enough([Interval(0, 400 * DAY)], none, days=30, trades=30, timeframe="1d") is None
    assert shortest_enough([], none, days=30, trades=30, timeframe="1d") is None
