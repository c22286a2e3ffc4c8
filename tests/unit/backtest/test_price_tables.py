"""The tables of prices: every range has the extremes of its bars, every day its last candle."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.backtest.tables import PriceTables, day_ends, price_tables
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS

HOUR_MS = 3_600_000
SIZES = (1, 2, 3, 63, 64, 65, 127, 128, 129, 200, 330)


def candles_of(bars: int, seed: int = 0) -> Candles:
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, bars)))
    high, low = close * (1.0 + random.random(bars) * 0.01), close * (1.0 - random.random(bars) * 0.01)
    return Candles("test", "A/USD", "1h", np.arange(bars) * HOUR_MS, close, high, low, close, np.ones(bars))


@pytest.mark.parametrize("bars", SIZES)
def test_every_range_has_the_extremes_of_its_bars_and_stops_at_the_last(bars: int) -> None:
    candles = candles_of(bars)
    ranges = price_tables(candles).close_ranges
    assert ranges.shape == (7, bars, 2)
    for level in range(7):
        for bar in range(bars):
            span = candles.close[bar : bar + 2**level]
            assert tuple(ranges[level, bar]) == (span.min(), span.max())


@pytest.mark.parametrize("bars", SIZES)
def test_every_range_of_blocks_has_the_extremes_of_its_bars(bars: int) -> None:
    candles = candles_of(bars, 1)
    blocks = price_tables(candles).close_blocks
    count = -(-bars // 64)
    # The longest range that fits is there: 2^k blocks, not 2^(k + 1).
    assert blocks.shape == (int(np.log2(count)) + 1, count, 2)
    for level in range(len(blocks)):
        for block in range(count):
            span = candles.close[block * 64 : (block + 2**level) * 64]
            assert tuple(blocks[level, block]) == (span.min(), span.max())


def test_returns_are_summed_before_each_bar() -> None:
    candles = candles_of(4)
    close = np.array([100.0, 110.0, 99.0, 99.0])
    candles = Candles("test", "A/USD", "1h", candles.open_time, close, close, close, close, np.ones(4))
    np.testing.assert_allclose(
        price_tables(candles).return_sums,
        [[0, 0, 0], [0, 0, 0], [0.1, 0.01, 0], [0.0, 0.02, 0.01], [0.0, 0.02, 0.01]],
        atol=1e-15,
    )


def test_days_end_with_their_last_candle_and_an_empty_day_repeats_the_one_before() -> None:
    hours = np.array([22, 23, 24, 47, 49, 96, 97], dtype=np.int64)
    # Days 0, 1, 2 with candles, day 3 without, day 4.
    assert day_ends(hours * HOUR_MS).tolist() == [1, 3, 4, 4, 6]


@pytest.mark.parametrize(("hours", "ends"), [([], []), ([0], [0]), ([23, 24], [0, 1]), ([24, 47], [1]), ([30], [0])])
def test_days_at_their_edges(hours: list[int], ends: list[int]) -> None:
    result = day_ends(np.array(hours, dtype=np.int64) * HOUR_MS)
    assert result.dtype == np.int64
    assert result.tolist() == ends


def test_days_before_1970_are_days_too() -> None:
    assert day_ends(np.array([-DAY_MS - 1, -DAY_MS, -1, 0], dtype=np.int64)).tolist() == [0, 2, 3]


def test_years_are_calendar_time_from_the_first_open_to_the_last_close() -> None:
    def years(hours: list[int]) -> float:
        close = np.ones(len(hours))
        times = np.array(hours, dtype=np.int64) * HOUR_MS
        return price_tables(Candles("test", "A/USD", "1h", times, close, close, close, close, close)).years

    assert years([]) == 0.0
    assert years([5]) == pytest.approx(1.0 / 8_760.0)
    assert years([5, 5 + 8_759]) == pytest.approx(1.0)


def test_tables_have_the_length_of_their_candles() -> None:
    tables = price_tables(candles_of(7))
    assert isinstance(tables, PriceTables)
    assert len(tables) == 7


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_price_that_is_none_is_refused_with_its_place(name: str, value: float) -> None:
    candles = candles_of(5)
    columns = {key: getattr(candles, key).copy() for key in ("open", "high", "low", "close")}
    columns[name][2:4] = value
    with pytest.raises(
        ValueError, match=rf"{name} of candle 2 \(open_time {2 * HOUR_MS}\) must be finite.*was {value}"
    ):
        price_tables(Candles("test", "A/USD", "1h", candles.open_time, *columns.values(), candles.volume))
