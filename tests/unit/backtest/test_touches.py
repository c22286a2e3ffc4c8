"""The first touch of a stop or a target, for every entry bar at once, against looking at every bar after it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.backtest.touches import first_touches


def looked_for(low: np.ndarray, high: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> list[int]:
    bars = len(low)
    return [
        next((bar for bar in range(entry, bars) if low[bar] <= lower[entry] or high[bar] >= upper[entry]), bars)
        for entry in range(bars)
    ]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 150),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.001, 0.02, 0.3]),
    st.booleans(),
)
def test_first_touches_on_random_candles(seed, bars, tick, distance, jumps):
    random = np.random.default_rng(seed)
    # Opens that jump to and fro make every search begin far from its answer.
    close = 100.0 * np.exp(random.normal(0.0, 0.2, bars) if jumps else np.cumsum(random.normal(0.0, 0.01, bars)))
    opens, low, high = close, close * (1.0 - random.random(bars) * 0.02), close * (1.0 + random.random(bars) * 0.02)
    if tick:
        opens, low, high = (np.round(prices / tick) * tick for prices in (opens, low, high))
    lower, upper = opens * (1.0 - distance), opens * (1.0 + distance)
    assert first_touches(low, high, lower, upper).tolist() == looked_for(low, high, lower, upper)


@pytest.mark.parametrize(("lower", "upper", "touched"), [(90.0, 110.0, 2), (89.9, 110.0, 4), (89.9, 110.1, 6)])
def test_a_level_that_is_just_reached_is_touched_and_a_hair_away_is_not(lower, upper, touched):
    low, high = np.full(6, 100.0), np.full(6, 100.0)
    low[2], high[4] = 90.0, 110.0
    levels = np.full(6, lower), np.full(6, upper)
    assert first_touches(low, high, *levels)[0] == touched


def test_a_level_that_is_off_is_never_touched():
    prices = np.linspace(100.0, 1.0, 50)
    off = np.full(50, np.inf)
    assert first_touches(prices, prices, -off, off).tolist() == [50] * 50


def test_the_entry_bar_itself_counts():
    prices = np.array([100.0, 100.0, 100.0])
    assert first_touches(prices - 5.0, prices, prices - 5.0, prices + 50.0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("falling", [True, False])
def test_on_a_staircase_each_level_is_touched_on_the_step_of_its_height(falling):
    """Levels that jump to and fro, each exactly as high as one step."""
    bars = 300
    ahead = np.random.default_rng(7).integers(0, 150, bars)
    places = np.arange(bars)
    steps = (1_000.0 - places) if falling else (1_000.0 + places)
    level = steps - ahead if falling else steps + ahead
    off = np.full(bars, np.inf)
    touched = first_touches(steps, steps, level, off) if falling else first_touches(steps, steps, -off, level)
    assert touched.tolist() == np.minimum(places + ahead, bars).tolist()
    # A hair farther than a step is the next step.
    hair = level - 0.5 if falling else level + 0.5
    touched = first_touches(steps, steps, hair, off) if falling else first_touches(steps, steps, -off, hair)
    assert touched.tolist() == np.minimum(places + ahead + 1, bars).tolist()
