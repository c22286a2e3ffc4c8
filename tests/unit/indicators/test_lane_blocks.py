"""Averages that advance eight at a time have the bits of one that advances alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from alpharay.indicators.lane_blocks import LANES, advance_block, follow
from alpharay.indicators.smoothing import advance_one, wilder_average, wilder_averages


@pytest.mark.parametrize("bars", [1, 7, 8, 9, 1_023, 1_024, 1_025, 2_500])
@pytest.mark.parametrize("lanes", [1, 2, 7, 8, 9, 17])
def test_averages_side_by_side_have_the_bits_of_each_alone(bars: int, lanes: int) -> None:
    rows = np.random.default_rng(bars + lanes).normal(100.0, 1.0, (lanes, bars))
    lengths = np.arange(2, 2 + lanes)
    together = wilder_averages(rows, lengths)
    alone = np.array([wilder_average(row, int(length)) for row, length in zip(rows, lengths, strict=True)])
    np.testing.assert_array_equal(together.view(np.int64), alone.view(np.int64))


def test_a_missing_value_ends_only_its_own_lane() -> None:
    rows = np.random.default_rng(3).normal(100.0, 1.0, (LANES, 3_000))
    rows[5, 1_500] = np.nan
    lengths = np.full(LANES, 10)
    together = wilder_averages(rows, lengths)
    assert np.isnan(together[5, 1_500:1_510]).all()
    assert np.isfinite(together[5, 1_510:]).all()
    assert np.isfinite(np.delete(together, 5, axis=0)[:, 9:]).all()


def test_rows_that_are_not_one_piece_of_memory_are_smoothed_all_the_same() -> None:
    rows = np.random.default_rng(4).normal(100.0, 1.0, (LANES, 600))
    apart = np.asfortranarray(rows)
    lengths = np.full(LANES, 5)
    np.testing.assert_array_equal(wilder_averages(apart, lengths), wilder_averages(rows, lengths))


def test_a_block_is_the_recursion_written_out() -> None:
    random = np.random.default_rng(5)
    values, out = random.normal(size=(LANES, 16)), np.empty((LANES, 16))
    factors, state = random.uniform(0.1, 0.9, LANES), random.normal(size=LANES)
    places = np.arange(LANES) * 16
    expected = np.empty_like(values)
    for lane in range(LANES):
        advance_one(values[lane], 0, 1_000, factors[lane], state[lane], 1_000, expected[lane])
    _advance(values, places, factors, state, out)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(state, expected[:, -1])


def test_a_step_towards_a_value_rounds_its_product_and_sum_at_once() -> None:
    random = np.random.default_rng(6)
    for average, factor, value in random.uniform(0.0, 1.0, (200, 3)).tolist():
        exactly = Fraction(average) + Fraction(factor) * Fraction(value - average)
        assert _followed(average, factor, value) == float(exactly)


def test_a_step_towards_the_average_itself_stays_and_one_towards_no_value_is_none() -> None:
    assert _followed(0.1, 1.0 / 3.0, 0.1) == 0.1
    assert np.isnan(_followed(0.1, 0.5, np.nan))


def test_a_block_of_memory_in_pieces_is_refused() -> None:
    pieces = np.zeros((2 * LANES, 16))[::2]
    eight = np.zeros(LANES)
    with pytest.raises(TypingError):
        _advance(pieces, np.zeros(LANES, dtype=np.int64), eight, eight, np.zeros((LANES, 16)))


@njit
def _advance(values, places, factors, state, out):  # type: ignore[no-untyped-def]
    for bar in range(0, 16, LANES):
        advance_block(values, places, factors, state, out, places, bar)


@njit
def _followed(average, factor, value):  # type: ignore[no-untyped-def]
    return follow(average, factor, value)
