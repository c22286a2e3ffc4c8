"""The indicator columns of one data set: each distinct one computed once, kept in one bounded slab of memory."""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from alpharay.backtest.bits import WORD_BITS, word_count
from alpharay.market.candles import FloatArray

Key = Hashable

SMALLEST_CAPACITY = 64
"""Columns that a slab holds however small its budget: more than the rules of one genome need."""

LINE_BYTES = 64
"""A line of the processor's cache."""


# The memory of a slab that is gone serves the next one: fresh pages cost more than most indicators.
_KEPT: deque[FloatArray] = deque(maxlen=1)


def _take(count: int) -> FloatArray:
    """Return memory for at least `count` numbers that begins with a cache line."""
    if _KEPT and len(_KEPT[0]) >= count:
        return _KEPT.popleft()
    _KEPT.clear()
    # Untouched pages of an empty array take no memory, so the budget is a bound, not a cost.
    memory = np.empty(count + LINE_BYTES // 8)
    # Whole words of a column are then whole lines: comparing reads no line twice, which takes a third off its time.
    return memory[-memory.ctypes.data % LINE_BYTES // 8 :]


class ColumnSlab:
    """Columns by key; the least recently used makes room.

    `values` is (capacity, bars padded with NaN to whole words). The last rows may be lent as scratch rows.
    """

    def __init__(self, bars: int, budget_bytes: int) -> None:
        padded = word_count(bars) * WORD_BITS
        self.bars = bars
        # Without bars a column counts as one word: the free list below is as long as the capacity.
        self.capacity = max(budget_bytes // (max(padded, WORD_BITS) * 8), SMALLEST_CAPACITY)
        memory = _take(self.capacity * padded)
        self.values: FloatArray = memory[: self.capacity * padded].reshape(self.capacity, padded)
        weakref.finalize(self, _KEPT.append, memory)
        self._slots: OrderedDict[Key, int] = OrderedDict()
        self._free = list(range(self.capacity - 1, -1, -1))
        self._padded: set[int] = set()

    @property
    def used_bytes(self) -> int:
        """The memory that columns or scratch rows have been written to."""
        return len(self._padded) * self.values.shape[1] * 8

    def find(self, key: Key) -> int | None:
        """Return the slot of a column, marking it as just used; None when it is not here."""
        slot = self._slots.get(key)
        if slot is not None:
            self._slots.move_to_end(key)
        return slot

    def reserve(self, keys: list[Key], keep: set[int]) -> list[int]:
        """Return a slot for each new column, to be written; never evicts a slot in `keep`."""
        slots = []
        for key in keys:
            slot = self._free.pop() if self._free else self._evict(keep)
            self._pad(slot)
            self._slots[key] = slot
            keep.add(slot)
            slots.append(slot)
        return slots

    def scratch(self, rows: int) -> int:
        """Return the first of the last `rows` slots, emptied: they belong to the caller until `release`."""
        first = self.capacity - rows
        for key in [key for key, slot in self._slots.items() if slot >= first]:
            del self._slots[key]
        self._free = [slot for slot in self._free if slot < first]
        for slot in range(first, self.capacity):
            self._pad(slot)
        return first

    def release(self, first: int) -> None:
        """Take the scratch rows from `first` on back."""
        self._free = [*range(self.capacity - 1, first - 1, -1), *self._free]

    def clear_padding(self, slots: npt.NDArray[np.int64]) -> None:
        """Write NaN to the padding of columns that were written as a whole."""
        self.values[slots, self.bars :] = np.nan

    def _pad(self, slot: int) -> None:
        if slot not in self._padded:
            self.values[slot, self.bars :] = np.nan
            self._padded.add(slot)

    def _evict(self, keep: set[int]) -> int:
        for key, slot in self._slots.items():
            if slot not in keep:
                del self._slots[key]
                return slot
        raise MemoryError(f"one batch needs more than {self.capacity} columns of {self.bars} bars: send fewer genomes")
