from __future__ import annotations

import numpy as np

from alpharay.feeds.ingestion import missing_ranges, shard_of
from alpharay.market.gaps import Gap
from alpharay.store.candle_rows import Market

M = 60_000


def _missing(stored: list[int], absent: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    gaps = missing_ranges(
        np.array(stored, np.int64) * M, [Gap(a * M, b * M) for a, b in absent], "1m", start * M, end * M
    )
    return [(gap.start_ms // M, gap.end_ms // M) for gap in gaps]


def test_nothing_stored_is_all_missing():
    assert _missing([], [], 0, 10) == [(0, 10)]


def test_everything_stored_is_nothing_missing():
    assert _missing(list(range(10)), [], 0, 10) == []


def test_confirmed_absences_are_not_asked_for_again():
    assert _missing([0, 1, 5, 9], [(2, 5)], 0, 10) == [(6, 9)]


def test_an_absence_inside_a_gap_splits_it():
    assert _missing([0], [(3, 4), (6, 8)], 0, 10) == [(1, 3), (4, 6), (8, 10)]


def test_overlapping_absences_and_one_that_spans_two_gaps():
    assert _missing([4], [(0, 3), (2, 6), (5, 7)], 0, 9) == [(7, 9)]


def test_an_empty_range_misses_nothing():
    assert _missing([], [], 5, 5) == []


def test_every_market_belongs_to_one_shard_and_stays_there():
    markets = [Market("simulated", f"S{number}/USD", "1m") for number in range(200)]
    shards = [shard_of(market, 4) for market in markets]
    assert set(shards) == {0, 1, 2, 3}
    assert shards[:5] == [shard_of(market, 4) for market in markets[:5]]
    assert shard_of(markets[0], 1) == 0
