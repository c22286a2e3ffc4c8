"""The best genomes of a search so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpharay.discovery.objectives import WORST
from alpharay.discovery.pareto import crowding_distances, domination_ranks
from alpharay.market.candles import FloatArray


@dataclass(frozen=True, slots=True)
class Champions:
    """The best genomes, best first: distinct in their parameters and in what they did."""

    genomes: FloatArray
    fitness: FloatArray
    """(rows, objectives)."""
    metrics: FloatArray

    def __len__(self) -> int:
        return len(self.genomes)

    @property
    def scores(self) -> FloatArray:
        """The first objective of each."""
        first: FloatArray = self.fitness[:, 0]
        return first

    @property
    def best(self) -> float:
        """The best score; -inf when there is no champion."""
        return float(self.fitness[0, 0]) if len(self) else WORST


def no_champions(parameters: int, objectives: int, metrics: int) -> Champions:
    """Return the champions of a search that has found nothing yet."""
    return Champions(np.empty((0, parameters)), np.empty((0, objectives)), np.empty((0, metrics)))


def best_distinct(
    champions: Champions, genomes: FloatArray, fitness: FloatArray, metrics: FloatArray, rows: int
) -> Champions:
    """Return the `rows` best of the champions and new genomes.

    Of genomes with equal metrics, which made the same trades, only the one with the smallest parameters
    stays. A genome that scored worst (it never traded) is no champion. With several objectives the champions
    are those that no other dominates; of more than `rows` the most crowded go.
    """
    several = fitness.shape[1] > 1
    if len(champions) == rows and not several:
        # Most of a generation is no better than the last champion.
        better = fitness[:, 0] >= champions.fitness[-1, 0]
        genomes, fitness, metrics = genomes[better], fitness[better], metrics[better]
        if len(genomes) == 0:
            return champions
    genomes = np.concatenate([champions.genomes, genomes])
    fitness = np.concatenate([champions.fitness, fitness])
    metrics = np.concatenate([champions.metrics, metrics])
    # Best score first; among equals by parameters, so that the order of evaluation decides nothing.
    order = np.lexsort((*genomes.T[::-1], *-fitness.T[::-1]))
    order = order[fitness[order, 0] > WORST]
    if several:
        order = order[domination_ranks(fitness[order]) == 0]
    chosen: list[int] = []
    seen: set[bytes] = set()
    for place in order.tolist():
        if len(chosen) == rows and not several:
            break
        key = metrics[place].tobytes()
        if key not in seen:
            seen.add(key)
            chosen.append(place)
    if len(chosen) > rows:
        spread = np.argsort(-crowding_distances(fitness[chosen]), kind="stable")[:rows]
        chosen = [chosen[place] for place in sorted(spread.tolist())]
    return Champions(genomes[chosen], fitness[chosen], metrics[chosen])
