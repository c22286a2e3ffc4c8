"""The best genomes of a search so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpharay.discovery.objectives import WORST
from alpharay.market.candles import FloatArray


@dataclass(frozen=True, slots=True)
class Champions:
    """The best genomes, best first: distinct in their parameters and in what they did."""

    genomes: FloatArray
    scores: FloatArray
    metrics: FloatArray

    def __len__(self) -> int:
        return len(self.scores)


def no_champions(parameters: int, metrics: int) -> Champions:
    """Return the champions of a search that has found nothing yet."""
    return Champions(np.empty((0, parameters)), np.empty(0), np.empty((0, metrics)))


def best_distinct(
    champions: Champions, genomes: FloatArray, scores: FloatArray, metrics: FloatArray, rows: int
) -> Champions:
    """Return the `rows` best of the champions and new genomes.

    Of genomes with equal metrics, which made the same trades, only the one with the smallest parameters
    stays. A genome that scored worst (it never traded) is no champion.
    """
    genomes = np.concatenate([champions.genomes, genomes])
    scores = np.concatenate([champions.scores, scores])
    metrics = np.concatenate([champions.metrics, metrics])
    # Best score first; among equals by parameters, so that the order of evaluation decides nothing.
    order = np.lexsort((*genomes.T[::-1], -scores))
    order = order[scores[order] > WORST]
    chosen: list[int] = []
    seen: set[bytes] = set()
    for place in order.tolist():
        if len(chosen) == rows:
            break
        key = metrics[place].tobytes()
        if key not in seen:
            seen.add(key)
            chosen.append(place)
    return Champions(genomes[chosen], scores[chosen], metrics[chosen])
