"""Candles and parameters that the indicator tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import strategies

from alpharay.indicators import INDICATORS, Indicator
from alpharay.market.candles import VALUE_COLUMNS, FloatArray

Columns = dict[str, FloatArray]
REAL_CANDLES = Path(__file__).parents[4] / "shared" / "data" / "XRP-USD_1m.parquet"

NAMES = sorted(INDICATORS)
WINDOW_NAMES = [name for name in NAMES if INDICATORS[name].memory == "window"]
RECURSIVE_NAMES = [name for name in NAMES if INDICATORS[name].memory == "recursive"]
BATCH_NAMES = [name for name in NAMES if INDICATORS[name].batch is not None]

# Around the edges of the kernels' tiles (256 and 1,024 bars) and the lengths of short series.
BAR_COUNTS = strategies.one_of(
    strategies.integers(0, 90),
    strategies.integers(250, 300),
    strategies.integers(1000, 1100),
    strategies.just(2100),
)
REAL_NUMBERS = {
    "width": strategies.floats(0.0, 4.0),
    "start": strategies.floats(0.01, 0.1),
    "increment": strategies.floats(0.01, 0.1),
    "maximum": strategies.floats(0.1, 0.5),
    "multiple": strategies.floats(0.0, 4.0),
    "size": strategies.floats(0.01, 4.0),
}


def random_candles(seed: int, bars: int, *, decimals: int = 8) -> Columns:
    """Return a random walk with gaps, quiet stretches and, when rounded to few decimals, many ties."""
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, 0.3, bars) * (random.random(bars) > 0.3)
    close = np.round(20.0 + np.abs(np.cumsum(steps)), decimals)
    opening = np.round(np.concatenate((close[:1], close[:-1])) + random.normal(0.0, 0.05, bars), decimals)
    high = np.round(np.maximum(opening, close) + random.exponential(0.1, bars), decimals)
    low = np.round(np.minimum(opening, close) - random.exponential(0.1, bars), decimals)
    return {
        "open": opening,
        "high": high,
        "low": low,
        "close": close,
        "volume": random.exponential(100.0, bars) + 1.0,
    }


def flat_candles(bars: int, price: float, volume: float) -> Columns:
    return {name: np.full(bars, volume if name == "volume" else price) for name in VALUE_COLUMNS}


def real_candles(bars: int, *, skip: int = 0) -> Columns:
    if not REAL_CANDLES.exists():
        pytest.skip("the real candles are not beside this checkout")
    frame = pl.read_parquet(REAL_CANDLES).slice(skip, bars)
    return {name: frame[name].to_numpy().astype(np.float64) for name in VALUE_COLUMNS}


def candles() -> strategies.SearchStrategy[Columns]:
    return strategies.builds(
        random_candles,
        strategies.integers(0, 2**32 - 1),
        BAR_COUNTS,
        decimals=strategies.sampled_from((1, 8)),
    )


def parameters(known: Indicator, longest: int = 40) -> strategies.SearchStrategy[tuple[float, ...]]:
    whole = strategies.one_of(strategies.integers(1, 6), strategies.integers(1, longest))
    return strategies.tuples(
        *(whole if name in known.integer_parameters else REAL_NUMBERS[name] for name in known.parameters)
    )


def compute(known: Indicator, columns: Columns, values: tuple[float, ...]) -> FloatArray:
    return known(*(columns[name] for name in known.inputs), *values)


def rows(columns: Columns, start: int, stop: int | None = None) -> Columns:
    return {name: values[start:stop] for name, values in columns.items()}


def assert_same_bits(actual: FloatArray, expected: FloatArray) -> None:
    """Every NaN counts as the same; of numbers every bit must be."""
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_array_equal(
        np.nan_to_num(actual, nan=0.0).view(np.int64), np.nan_to_num(expected, nan=0.0).view(np.int64)
    )
