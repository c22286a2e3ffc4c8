"""Metrics of genomes that were backtested before, so that a duplicate costs nothing."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from alpharay.market.candles import FloatArray


class GenomeCache:
    """The metrics of the genomes used last, at most `capacity` of them.

    A genome always has the same metrics, so what was forgotten only costs time.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._rows: OrderedDict[bytes, FloatArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def missing(self, genomes: FloatArray) -> FloatArray:
        """Return the distinct genomes that are not here, in the order of their values.

        Neighbours share indicator columns, so that cutting them into batches computes few columns twice.
        """
        unknown: dict[bytes, int] = {}
        for place, genome in enumerate(genomes):
            key = genome.tobytes()
            if key not in self._rows:
                unknown.setdefault(key, place)
        found = genomes[list(unknown.values())]
        return found[np.lexsort(found.T[::-1])]

    def answer(self, genomes: FloatArray, fresh: FloatArray, fresh_metrics: FloatArray) -> FloatArray:
        """Return the metrics of `genomes`, given those of the ones that were `missing`, and remember them."""
        known = {genome.tobytes(): row for genome, row in zip(fresh, fresh_metrics, strict=True)}
        metrics = np.empty((len(genomes), fresh_metrics.shape[1]))
        for place, genome in enumerate(genomes):
            key = genome.tobytes()
            row = known[key] if key in known else self._rows[key]
            metrics[place] = row
            self._rows[key] = row
            self._rows.move_to_end(key)
        while len(self._rows) > self.capacity:
            self._rows.popitem(last=False)
        return metrics
