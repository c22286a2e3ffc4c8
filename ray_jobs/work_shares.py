"""Which worker gets which item: neighbours together, and items of one affinity where the last one of it ran."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

HOMES = 10_000
"""So many affinities have a home; the one that was used least recently loses it."""


class WorkShares:
    """Splits the items of each call into a share for every worker, and remembers the homes of affinities.

    An item's `affinity` (a hashable attribute, which it may lack) says what a worker needs for it: columns, say.
    """

    def __init__(self, workers: int, *, homes: int = HOMES) -> None:
        self._workers = workers
        self._most_homes = homes
        self._homes: OrderedDict[Hashable, int] = OrderedDict()

    def split(self, items: Sequence[Any]) -> list[deque[int]]:
        """Return the places of the items that each worker begins with, in order.

        Without affinities each takes a run of neighbours, the same part in every call. An affinity that is new goes to
        the worker with the fewest items so far.
        """
        wanted = [getattr(item, "affinity", None) for item in items]
        if all(one is None for one in wanted):
            parts = np.array_split(np.arange(len(items)), self._workers)
            return [deque(part.tolist()) for part in parts]
        shares: list[deque[int]] = [deque() for _ in range(self._workers)]
        # Known homes first, so that what is new is put where there is room.
        for place in sorted(range(len(items)), key=lambda place: wanted[place] not in self._homes):
            shares[self._home(wanted[place], shares)].append(place)
        return shares

    def _home(self, affinity: Hashable, shares: Sequence[deque[int]]) -> int:
        least = min(range(self._workers), key=lambda worker: len(shares[worker]))
        if affinity is None:
            return least
        home = self._homes.setdefault(affinity, least)
        self._homes.move_to_end(affinity)
        if len(self._homes) > self._most_homes:
            self._homes.popitem(last=False)
        return home
