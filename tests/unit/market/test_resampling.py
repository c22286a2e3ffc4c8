"""Resampling, checked against polars' own grouping by time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.resampling import resample

MINUTE = 60_000
HOUR = 60 * MINUTE


def candles_at(open_time: list[int] | np.ndarray, timeframe: str = "1m", seed: int = 0) -> Candles:
    random = np.random.default_rng(seed)
    times = np.asarray(open_time, dtype=np.int64)
    body = random.uniform(90.0, 110.0, (2, len(times)))
    wick = random.uniform(0.0, 5.0, (2, len(times)))
    return Candles(
        exchange="test",
        symbol="BTC/USD",
        timeframe=timeframe,
        open_time=times,
        open=body[0],
        high=body.max(axis=0) + wick[0],
        low=body.min(axis=0) - wick[1],
        close=body[1],
        volume=random.uniform(0.0, 10.0, len(times)),
    )


def grouped_by_polars(candles: Candles, every: str) -> pl.DataFrame:
    return (
        candles.to_frame()
        .with_columns(pl.from_epoch("open_time", time_unit="ms"))
        .group_by_dynamic("open_time", every=every, start_by="window")
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .with_columns(pl.col("open_time").dt.epoch("ms"))
    )


@settings(max_examples=60, deadline=None)
@given(
    kept=st.lists(st.booleans(), min_size=1, max_size=400),
    timeframe=st.sampled_from(["2m", "5m", "1h", "4h"]),
    first=st.integers(0, 10_000),
)
def test_resample_of_minutes_with_gaps_equals_polars_on_whole_buckets(kept, timeframe, first):
    times = (first + np.flatnonzero(kept)) * MINUTE
    candles = candles_at(times)
    expected = grouped_by_polars(candles, timeframe)
    if len(candles):
        length = {"2m": 2, "5m": 5, "1h": 60, "4h": 240}[timeframe] * MINUTE
        whole = (pl.col("open_time") >= int(times[0])) & (pl.col("open_time") + length <= int(times[-1]) + MINUTE)
        expected = expected.filter(whole)

    result = resample(candles, timeframe).to_frame()

    assert result["open_time"].to_list() == expected["open_time"].to_list()
    for name in ("open", "high", "low", "close"):
        assert result[name].to_list() == expected[name].to_list()
    np.testing.assert_allclose(result["volume"], expected["volume"], rtol=1e-12)


def test_last_bucket_is_dropped_until_its_last_source_candle_is_there():
    assert len(resample(candles_at(np.arange(0, 9) * MINUTE), "5m")) == 1
    assert len(resample(candles_at(np.arange(0, 10) * MINUTE), "5m")) == 2


def test_last_bucket_is_kept_when_the_caller_knows_that_it_is_over():
    candles = candles_at(np.arange(0, 9) * MINUTE)
    assert len(resample(candles, "5m", known_until_ms=10 * MINUTE)) == 2


def test_first_bucket_that_starts_before_the_candles_is_dropped_unless_known():
    candles = candles_at(np.arange(2, 10) * MINUTE)
    assert resample(candles, "5m").open_time.tolist() == [5 * MINUTE]
    assert resample(candles, "5m", known_from_ms=0).open_time.tolist() == [0, 5 * MINUTE]


def test_bucket_without_a_source_candle_has_no_row():
    candles = candles_at([0, MINUTE, 10 * MINUTE, 14 * MINUTE])
    assert resample(candles, "5m").open_time.tolist() == [0, 10 * MINUTE]


def test_day_is_a_utc_day():
    start = 1_546_300_800_000  # 2019-01-01T00:00:00Z
    candles = candles_at(start + np.arange(-24, 48) * HOUR, "1h")
    assert resample(candles, "1d").open_time.tolist() == [start - 24 * HOUR, start, start + 24 * HOUR]


def test_resample_to_the_same_timeframe_changes_nothing():
    candles = candles_at(np.arange(5) * MINUTE)
    result = resample(candles, "1m")
    assert all(np.array_equal(getattr(result, name), getattr(candles, name)) for name in VALUE_COLUMNS)


def test_no_candles_and_one_candle_have_an_answer():
    assert len(resample(candles_at([]), "1h")) == 0
    assert resample(candles_at([]), "1h").timeframe == "1h"
    assert len(resample(candles_at([MINUTE]), "1h")) == 0


@pytest.mark.parametrize("timeframe", ["1m", "90m", "7m"])
def test_timeframe_that_is_no_multiple_is_named(timeframe):
    with pytest.raises(ValueError, match=f"whole multiple of the candles' 1h, was '{timeframe}'"):
        resample(candles_at([0, HOUR], "1h"), timeframe)
