"""Windows that end together are read once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from alpharay.market.candles import Candles
from alpharay.store import candle_cache
from alpharay.store.candle_cache import CandleCache
from alpharay.store.candle_rows import Market

BTC = Market("simulated", "BTC/USD", "1m")
ETH = Market("simulated", "ETH/USD", "1m")
MINUTE = 60_000
END = 1000 * MINUTE
BYTES_OF_ALL = 1000 * 6 * 8


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """The windows that were read from the database."""
    read: list[tuple[str, int, int]] = []

    def load(_: object, market: Market, *, start_ms: int, end_ms: int) -> Candles:
        read.append((market.symbol, start_ms, end_ms))
        times = np.arange(start_ms, end_ms, MINUTE)
        prices = times / MINUTE + 1.0
        return Candles(*market, times, prices, prices, prices, prices, prices)

    monkeypatch.setattr(candle_cache, "load_candles", load)
    return read


def window(cache: CandleCache, market: Market, start: int, **options: int) -> Candles:
    return cache.window(None, market, start * MINUTE, END, **options)  # type: ignore[arg-type]


def test_shorter_windows_are_the_end_of_the_longest_and_are_not_read(reads: list[tuple[str, int, int]]):
    cache = CandleCache()
    shortest = window(cache, BTC, 900, longest_from_ms=0)
    assert reads == [("BTC/USD", 0, END)]
    assert len(shortest) == 100
    assert shortest.open_time[0] == 900 * MINUTE
    longest = window(cache, BTC, 0)
    assert len(longest) == 1000
    assert np.shares_memory(shortest.close, longest.close)
    assert len(reads) == 1


def test_a_longer_window_than_is_here_is_read(reads: list[tuple[str, int, int]]):
    cache = CandleCache()
    window(cache, BTC, 500)
    assert len(window(cache, BTC, 100)) == 900
    assert [start for _, start, _ in reads] == [500 * MINUTE, 100 * MINUTE]


def test_the_least_recently_used_data_set_makes_room_and_one_that_is_too_large_stays(
    reads: list[tuple[str, int, int]],
):
    cache = CandleCache(2 * BYTES_OF_ALL)
    for market in (BTC, ETH, BTC, Market("simulated", "SOL/USD", "1m")):
        window(cache, market, 0)
    assert cache.symbols == {("simulated", "BTC/USD"), ("simulated", "SOL/USD")}
    small = CandleCache(10)
    assert len(window(small, BTC, 0)) == 1000
    assert small.symbols == {("simulated", "BTC/USD")}


def test_candles_are_read_again_when_they_are_old(reads: list[tuple[str, int, int]]):
    now = 0.0
    clock: Callable[[], float] = lambda: now  # noqa: E731 - reads the variable as it is then
    cache = CandleCache(max_age_s=10.0, clock=clock)
    window(cache, BTC, 0)
    now = 9.0
    window(cache, BTC, 0)
    assert len(reads) == 1
    now = 11.0
    window(cache, BTC, 0)
    assert len(reads) == 2
