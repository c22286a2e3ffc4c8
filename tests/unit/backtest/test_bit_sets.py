"""Bit sets: packing, and the next set bit about the edges of words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from alpharay.backtest.bits import (
    WORD_BITS,
    above_level_word,
    above_word,
    below_level_word,
    below_word,
    known_word,
    leading_zeros,
    next_set_bit,
    pack,
    trailing_zeros,
    unpack,
    word_count,
)


@pytest.mark.parametrize(("bars", "words"), [(0, 0), (1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (129, 3)])
def test_words_hold_64_bars_each(bars: int, words: int) -> None:
    assert word_count(bars) == words
    assert len(pack(np.zeros(bars, dtype=np.bool_))) == words
    assert np.dtype(np.uint64).itemsize * 8 == WORD_BITS


def test_the_first_bar_is_the_lowest_bit() -> None:
    flags = np.zeros(70, dtype=np.bool_)
    flags[[0, 5, 63, 64, 69]] = True
    words = pack(flags)
    assert words.dtype == np.uint64
    assert [int(word) for word in words] == [1 | 1 << 5 | 1 << 63, 1 | 1 << 5]


def test_bits_past_the_last_bar_are_clear() -> None:
    assert int(pack(np.ones(3, dtype=np.bool_))[0]) == 7


@pytest.mark.parametrize("bars", [0, 1, 63, 64, 65, 200])
def test_unpacking_is_the_way_back(bars: int) -> None:
    flags = np.random.default_rng(bars).random(bars) < 0.5
    back = unpack(pack(flags), bars)
    assert back.dtype == np.bool_
    np.testing.assert_array_equal(back, flags)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.lists(st.integers(0, 299), max_size=6), st.integers(0, 320))
def test_the_next_set_bit_is_the_first_flag_from_there_on(bars: int, places: list[int], start: int) -> None:
    flags = np.zeros(bars, dtype=np.bool_)
    flags[[place for place in places if place < bars]] = True
    after = [place for place in sorted(places) if start <= place < bars]
    assert next_set_bit(pack(flags), start, bars) == (after[0] if after else bars)


@pytest.mark.parametrize("place", [0, 1, 62, 63, 64, 65, 127, 128, 191])
def test_a_single_bit_is_found_from_every_bar_before_it_and_none_after(place: int) -> None:
    flags = np.zeros(192, dtype=np.bool_)
    flags[place] = True
    words = pack(flags)
    assert [next_set_bit(words, start, 192) for start in range(place + 1)] == [place] * (place + 1)
    assert {next_set_bit(words, start, 192) for start in range(place + 1, 194)} == {192}


def test_a_bit_past_the_last_bar_is_not_found() -> None:
    # Comparisons may leave bits there: the words are longer than the candles.
    words = np.array([0, 1 << 10], dtype=np.uint64)
    assert next_set_bit(words, 0, 70) == 70
    assert next_set_bit(words, 66, 70) == 70
    assert next_set_bit(words, 0, 75) == 74


def test_no_bars_have_no_bit() -> None:
    assert next_set_bit(np.empty(0, dtype=np.uint64), 0, 0) == 0


@njit
def zeros_about(word: np.uint64) -> tuple[int, int]:
    return leading_zeros(word), trailing_zeros(word)


@njit
def words_of_columns(
    left: np.ndarray, place: int, right: np.ndarray, other: int
) -> tuple[np.uint64, np.uint64, np.uint64]:
    return (
        above_word(left, place, right, other),
        below_word(left, place, right, other),
        known_word(left, place, right, other),
    )


@njit
def words_of_level(column: np.ndarray, place: int, level: float) -> tuple[np.uint64, np.uint64]:
    return above_level_word(column, place, level), below_level_word(column, place, level)


@pytest.mark.parametrize(
    ("word", "leading", "trailing"),
    [(0, 64, 64), (1, 63, 0), (1 << 63, 0, 63), (0b1100, 60, 2), (2**64 - 1, 0, 0), (1 << 40 | 1 << 7, 23, 7)],
)
def test_zeros_above_the_highest_and_below_the_lowest_bit(word: int, leading: int, trailing: int) -> None:
    assert zeros_about(np.uint64(word)) == (leading, trailing)


def column_with_ties(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 3, 256).astype(np.float64)
    values[np.random.default_rng(seed + 1).random(256) < 0.2] = np.nan
    return values


@pytest.mark.parametrize("place", [0, 1, 63, 64, 100, 192])
@pytest.mark.parametrize("other", [0, 64, 77])
def test_a_word_compares_the_64_bars_from_its_places_and_numbers_only(place: int, other: int) -> None:
    lefts, rights = column_with_ties(1), column_with_ties(5)
    left, right = lefts[place : place + WORD_BITS], rights[other : other + WORD_BITS]

    def word(flags: np.ndarray) -> int:
        return int(pack(flags)[0])

    above, below, known = words_of_columns(lefts, place, rights, other)
    assert above == word(left > right)
    assert below == word(left < right)
    assert known == word(~np.isnan(left) & ~np.isnan(right))
    above, below = words_of_level(lefts, place, 1.0)
    assert above == word(left > 1.0)
    assert below == word(left < 1.0)


@pytest.mark.parametrize("compare", [words_of_columns, words_of_level])
def test_nothing_compares_with_what_is_not_a_number(compare: Callable[..., tuple[int, ...]]) -> None:
    column, unknown = np.ones(64), np.full(64, np.nan)
    assert set(compare(column, 0, *((unknown, 0) if compare is words_of_columns else (np.nan,)))) == {0}
