"""Every distinct comparison of a batch as a bit set."""

from __future__ import annotations

from numba import njit

from alpharay.backtest.bits import WordArray, above_level_word, above_word, below_level_word, below_word
from alpharay.backtest.rules import CodeArray
from alpharay.market.candles import FloatArray

TILE_WORDS = 16
"""Comparisons run over 1,024 bars of all columns at a time, so that these stay in the cache."""


@njit(cache=True, nogil=True)
def compare(  # noqa: C901 - five plain loops, one a kind of comparison
    values: FloatArray, comparisons: CodeArray, levels: FloatArray, bits: WordArray
) -> None:
    """Write the bit sets of every distinct comparison, tile by tile."""
    words = bits.shape[1]
    for first in range(0, words, TILE_WORDS):
        last = min(first + TILE_WORDS, words)
        for item in range(len(comparisons)):
            left, right, above, below = comparisons[item]
            column, level = values[left], levels[item]
            if right < 0:
                if above >= 0:
                    for word in range(first, last):
                        bits[above, word] = above_level_word(column, level, word * 64)
                if below >= 0:
                    for word in range(first, last):
                        bits[below, word] = below_level_word(column, level, word * 64)
                continue
            other = values[right]
            if above >= 0 and below >= 0:
                for word in range(first, last):
                    bits[above, word] = above_word(column, other, word * 64)
                    bits[below, word] = below_word(column, other, word * 64)
            elif above >= 0:
                for word in range(first, last):
                    bits[above, word] = above_word(column, other, word * 64)
            else:
                for word in range(first, last):
                    bits[below, word] = below_word(column, other, word * 64)
