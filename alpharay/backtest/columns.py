"""The indicator columns of one data set: each distinct one computed once, kept in one bounded slab of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numba import njit

from alpharay.backtest.bits import WORD_BITS, WordArray, word_count
from alpharay.market.candles import FloatArray

Key = Hashable


class ColumnSlab:
    """Columns by key, with the bit set of the bars where each is a number; the least recently used makes room.

    `values` is (capacity, bars padded with NaN to whole words), `valid` is (capacity, words).
    """

    def __init__(self, bars: int, budget_bytes: int) -> None:
        padded = word_count(bars) * WORD_BITS
        column_bytes = max(padded * 8 + word_count(bars) * 8, 1)
        self.bars = bars
        self.capacity = max(budget_bytes // column_bytes, 16)
        # Untouched pages of an empty array take no memory, so the budget is a bound, not a cost.
        self.values: FloatArray = np.empty((self.capacity, padded))
        self.valid: WordArray = np.empty((self.capacity, word_count(bars)), dtype=np.uint64)
        self._slots: OrderedDict[Key, int] = OrderedDict()
        self._free = list(range(self.capacity - 1, -1, -1))

    def find(self, key: Key) -> int | None:
        """Return the slot of a column, marking it as just used; None when it is not here."""
        slot = self._slots.get(key)
        if slot is not None:
            self._slots.move_to_end(key)
        return slot

    def put(self, key: Key, column: FloatArray, keep: set[int]) -> int:
        """Store a column and return its slot; never evicts a slot in `keep`."""
        slot = self._free.pop() if self._free else self._evict(keep)
        self.values[slot, : self.bars] = column
        self.values[slot, self.bars :] = np.nan
        valid_words(self.values[slot], self.valid[slot])
        self._slots[key] = slot
        return slot

    def _evict(self, keep: set[int]) -> int:
        for key, slot in self._slots.items():
            if slot not in keep:
                del self._slots[key]
                return slot
        raise MemoryError(f"one batch needs more than {self.capacity} columns of {self.bars} bars: send fewer genomes")


@njit(cache=True)
def valid_words(column: FloatArray, words: WordArray) -> None:
    """Write the bit set of the bars where `column` is a number."""
    for index in range(len(words)):
        word = np.uint64(0)
        for bit in range(64):
            value = column[index * 64 + bit]
            word |= np.uint64(value == value) << np.uint64(bit)
        words[index] = word
