"""Bit sets: packing, and the next set bit about the edges of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.backtest.bits import WORD_BITS, next_set_bit, pack, unpack, word_count


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
