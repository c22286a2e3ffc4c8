from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.market.candles import Candles
from alpharay.market.gaps import Gap, GapError, apply_gap_policy, find_gaps

MINUTE = 60_000


def minutes(*places: int) -> Candles:
    times = np.array(places, dtype=np.int64) * MINUTE
    close = np.array(places, dtype=np.float64) + 100.0
    return Candles("test", "BTC/USD", "1m", times, close - 1, close + 2, close - 2, close, np.ones(len(places)))


@given(
    present=st.sets(st.integers(0, 40)),
    start=st.integers(0, 45 * MINUTE),
    end=st.integers(0, 45 * MINUTE),
)
def test_gaps_are_exactly_the_missing_open_times_of_the_range(present, start, end):
    open_time = np.array(sorted(present), dtype=np.int64) * MINUTE
    wanted = {t for t in range(0, 46 * MINUTE, MINUTE) if start <= t < end}

    gaps = find_gaps(open_time, "1m", start, end)

    missing = [t for gap in gaps for t in range(gap.start_ms, gap.end_ms, MINUTE)]
    assert missing == sorted(wanted - set(open_time.tolist()))
    assert sum(gap.candles("1m") for gap in gaps) == len(missing)
    assert all(left.end_ms < right.start_ms for left, right in pairwise(gaps))


def test_no_candles_at_all_is_one_gap():
    assert find_gaps(np.array([], dtype=np.int64), "1m", 0, 3 * MINUTE) == (Gap(0, 3 * MINUTE),)


def test_empty_or_reversed_range_has_no_gap():
    assert find_gaps(np.array([], dtype=np.int64), "1m", MINUTE, MINUTE) == ()
    assert find_gaps(np.array([], dtype=np.int64), "1m", 5 * MINUTE, MINUTE) == ()


def test_fill_puts_flat_candles_at_the_previous_close_with_no_volume():
    filled = apply_gap_policy(minutes(0, 1, 4, 5), "fill")

    assert (filled.open_time // MINUTE).tolist() == [0, 1, 2, 3, 4, 5]
    for column in (filled.open, filled.high, filled.low, filled.close):
        assert column[2:4].tolist() == [101.0, 101.0]
    assert filled.volume.tolist() == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    assert filled.high[4] == 106.0
    assert find_gaps(filled.open_time, "1m", 0, 6 * MINUTE) == ()


def test_keep_returns_the_same_candles():
    candles = minutes(0, 5)
    assert apply_gap_policy(candles, "keep") is candles


def test_error_names_the_market_and_the_first_missing_candle():
    with pytest.raises(GapError, match=r"BTC/USD 1m lacks 5 candles; the first would open at 120000 ms"):
        apply_gap_policy(minutes(0, 1, 4, 8), "error")


@pytest.mark.parametrize("policy", ["keep", "fill", "error"])
@pytest.mark.parametrize("places", [(), (3,), (3, 4, 5)])
def test_candles_without_a_gap_pass_every_policy_unchanged(policy, places):
    candles = minutes(*places)
    assert apply_gap_policy(candles, policy).open_time.tolist() == candles.open_time.tolist()


def test_unknown_policy_is_named():
    with pytest.raises(ValueError, match="keep, fill, error, was 'guess'"):
        apply_gap_policy(minutes(0), "guess")  # type: ignore[arg-type]
