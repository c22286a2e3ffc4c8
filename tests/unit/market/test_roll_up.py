"""Which larger candles smaller ones change, checked against resampling everything before and after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.resampling import resample
from alpharay.market.roll_up import StoredEnds, TimeRange, changed_ranges, joined_ends
from alpharay.market.timeframe import timeframe_ms

MINUTE, HOUR = 60_000, 3_600_000
EVER = TimeRange(-(10**15), 10**15)


def minutes(numbers: list[int], price: float = 1.0) -> Candles:
    times = np.array(sorted(numbers), dtype=np.int64) * MINUTE
    values = {name: np.full(len(times), price) for name in VALUE_COLUMNS}
    return Candles("test", "BTC/USD", "1m", times, **values)


def hours(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, dtype=np.int64) * HOUR


def ends(candles: Candles) -> StoredEnds | None:
    return joined_ends(None, candles.open_time) if len(candles) else None


numbers = st.lists(st.integers(0, 600), unique=True, max_size=60)


@settings(max_examples=300, deadline=None)
@given(stored=numbers, came=numbers.filter(len), timeframe=st.sampled_from(["2m", "5m", "1h", "4h"]))
def test_what_is_not_in_the_ranges_is_as_before_and_what_is_in_them_is_whole(
    stored: list[int], came: list[int], timeframe: str
) -> None:
    # What came has another price: a candle that it touches differs.
    before, new = minutes(stored), minutes(came, price=2.0)
    after = minutes(stored + [one for one in came if one not in stored])
    after = replace(after, volume=np.where(np.isin(after.open_time, new.open_time), 2.0, 1.0))
    known = TimeRange(int(after.open_time[0]), int(after.open_time[-1]) + MINUTE)

    ranges = changed_ranges(new.open_time, timeframe, before=ends(before), known=known)

    inside = np.zeros(0, dtype=np.int64)
    for start, end in ranges:
        inside = np.append(inside, np.arange(start, end, timeframe_ms(timeframe)))
    assert len(inside) == len(np.unique(inside))
    assert all(known.start_ms <= start and end <= known.end_ms for start, end in ranges)
    volumes = [
        dict(zip(part.open_time.tolist(), part.volume.tolist(), strict=True))
        for part in (resample(before, timeframe), resample(after, timeframe))
    ]
    different = {time for time, volume in volumes[1].items() if volumes[0].get(time) != volume}
    assert different <= set(inside.tolist())
    assert volumes[0].keys() <= volumes[1].keys(), "a candle never goes"
    for start, end in ranges:
        part = resample(after.between(start, end), timeframe, known_from_ms=start, known_until_ms=end)
        assert part.volume.tolist() == [volumes[1][time] for time in part.open_time.tolist()]


def test_a_candle_that_is_not_over_changes_nothing_until_its_last_one_or_a_later_one_comes() -> None:
    stored = minutes(list(range(60, 90)))
    for came, expected in (([90], []), ([119], [TimeRange(HOUR, 2 * HOUR)]), ([200], [TimeRange(HOUR, 2 * HOUR)])):
        open_times = np.array(came, dtype=np.int64) * MINUTE
        after = joined_ends(ends(stored), open_times)
        known = TimeRange(after.oldest, after.newest + MINUTE)
        assert changed_ranges(open_times, "1h", before=ends(stored), known=known) == expected


def test_an_older_candle_makes_the_first_one_whole_that_was_known_in_part() -> None:
    stored = minutes(list(range(90, 150)))
    came = np.array([10 * MINUTE], dtype=np.int64)
    known = TimeRange(10 * MINUTE, 150 * MINUTE)
    assert changed_ranges(came, "1h", before=ends(stored), known=known) == [TimeRange(HOUR, 2 * HOUR)]


def test_far_candles_are_ranges_of_their_own_and_neighbours_one() -> None:
    ranges = changed_ranges(hours([1, 2, 3, 900]), "1h", before=StoredEnds(0, 1000 * HOUR), known=EVER)
    assert ranges == [TimeRange(HOUR, 4 * HOUR), TimeRange(900 * HOUR, 901 * HOUR)]


def test_what_is_not_in_the_known_time_is_left_alone() -> None:
    known = TimeRange(2 * HOUR + 1, 5 * HOUR - 1)
    assert changed_ranges(hours([1, 2, 3, 4, 5]), "1h", before=None, known=known) == [TimeRange(3 * HOUR, 4 * HOUR)]
    assert changed_ranges(hours([1]), "1h", before=None, known=known) == []


@pytest.mark.parametrize(("before", "after"), [(None, (1, 4)), ((2, 3), (1, 4)), ((0, 9), (0, 9))])
def test_ends_grow_with_what_comes(before: tuple[int, int] | None, after: tuple[int, int]) -> None:
    known = None if before is None else StoredEnds(*before)
    assert joined_ends(known, np.array([4, 1], dtype=np.int64)) == StoredEnds(*after)
