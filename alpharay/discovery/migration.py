"""Migration in a ring: each island's best genomes go to the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alpharay.discovery.genome_keys import genome_keys, untried, with_keys
from alpharay.discovery.island import Island, room
from alpharay.discovery.pareto import best_first
from alpharay.discovery.settings import SearchSettings


def migrate(islands: Sequence[Island], settings: SearchSettings) -> list[Island]:
    """Return the islands after each has got the best genomes of the one before it.

    All leave at the same time. They take the places of the worst; a genome that the island has tried itself does
    not come again. Champions stay with the island that found them.
    """
    return [_welcome(island, islands[place - 1], settings) for place, island in enumerate(islands)]


def _welcome(island: Island, neighbour: Island, settings: SearchSettings) -> Island:
    genomes, values = neighbour.population[: settings.migrants], neighbour.fitness[: settings.migrants]
    new = untried(genome_keys(genomes), island.tried)
    pool = np.concatenate([island.population, genomes[new]])
    pool_fitness = np.concatenate([island.fitness, values[new]])
    survivors = best_first(pool_fitness)[: room(settings, island, island.generation)]
    return replace(
        island,
        population=pool[survivors],
        fitness=pool_fitness[survivors],
        tried=with_keys(island.tried, genome_keys(genomes[new])),
    )
