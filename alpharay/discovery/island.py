"""One island: a population that evolves by itself, as a pure function from state to state.

The random numbers of a generation depend on (seed, island, generation) alone. So an island ends the same whoever
advances it, by however many generations at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from deap.base import Toolbox

from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.discovery.champions import Champions, best_distinct, no_champions
from alpharay.discovery.evaluation import Batch, Evaluated
from alpharay.discovery.genome_keys import KeyArray, genome_keys, untried, with_keys
from alpharay.discovery.objectives import fitness, objective_named
from alpharay.discovery.operators import adapted_step, crossover, differ, mutate, tournament
from alpharay.discovery.pareto import best_first
from alpharay.discovery.search_space import SearchSpace, random_population, repair
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Strategy

FIRST_STEP = 0.1
"""Standard deviation of a Gaussian mutation in the first generation, as a share of the parameter's range."""

LEAST_SURVIVORS = 4
"""Fewer have no differences to move by."""

RETRIES = 3
"""A child that was tried before is mutated again, so often at most; then it is left out."""


@dataclass(frozen=True, slots=True)
class Island:
    """An island between two generations."""

    number: int
    generation: int
    population: FloatArray
    """(rows, parameters), best first, all distinct; as many as survived."""
    fitness: FloatArray
    """(rows, objectives)."""
    champions: Champions
    tried: KeyArray
    """Keys of all genomes that were backtested here or came as migrants, sorted."""
    evaluations: int
    stagnant: int
    """Generations since the best score grew."""
    step: float
    """Standard deviation of a mutation, as a share of the parameter's range."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one generation of an island did."""

    evaluations: int
    """Backtests of the island so far."""
    best: float
    scores: FloatArray
    """First objective of its population."""
    diversity: float


def genetic_operators() -> Toolbox:
    """Return DEAP's toolbox with the operators of a search over whole populations; register others to differ."""
    toolbox = Toolbox()
    toolbox.register("populate", random_population)
    toolbox.register("select", tournament)
    toolbox.register("mate", crossover)
    toolbox.register("mutate", mutate)
    toolbox.register("differ", differ)
    toolbox.register("repair", repair)
    return toolbox


OPERATORS = genetic_operators()


def begin(space: SearchSpace, settings: SearchSettings, number: int = 0) -> Island:
    """Return an island that has not asked yet."""
    parameters = len(space.genes)
    none = np.empty((0, len(METRIC_NAMES)))
    objectives = fitness(objective_named(settings.objective), none).shape[1]
    return Island(
        number=number,
        generation=0,
        population=np.empty((0, parameters)),
        fitness=np.empty((0, objectives)),
        champions=no_champions(parameters, objectives, len(METRIC_NAMES)),
        tried=np.empty(0, dtype=np.uint64),
        evaluations=0,
        stagnant=0,
        step=FIRST_STEP,
    )


def ask(toolbox: Any, space: SearchSpace, settings: SearchSettings, island: Island) -> FloatArray:
    """Return the genomes that the next generation has to backtest: valid, distinct, never tried here.

    They are fewer than the island's population only when it hardly finds untried ones any more.
    """
    generator = np.random.default_rng([settings.seed, island.number, island.generation])
    rows = settings.island_populations[island.number]
    if len(island.population) == 0:
        children = toolbox.populate(space, rows, generator)
    else:
        parents = toolbox.select(len(island.population), rows + rows % 2, settings.tournament_size, generator)
        crossed = toolbox.mate(space, island.population[parents], settings.crossover_probability, generator)
        mutated = toolbox.mutate(space, crossed[:rows], settings.mutation_probability, island.step, generator)
        moved = int(rows * settings.difference_share)
        mutated[:moved] = toolbox.differ(island.population, parents[:moved], generator)
        children = toolbox.repair(space, mutated)
    for _ in range(RETRIES):
        again = np.flatnonzero(~untried(genome_keys(children), island.tried))
        if len(again) == 0:
            break
        # Every value may change: what a gentle mutation could not tell apart is to land elsewhere.
        shaken = toolbox.mutate(space, children[again], 0.5, max(island.step, FIRST_STEP), generator)
        children[again] = toolbox.repair(space, shaken)
    fresh: FloatArray = children[untried(genome_keys(children), island.tried)]
    # In the order of their values: neighbours share indicator columns.
    return fresh[np.lexsort(fresh.T[::-1])]


def tell(settings: SearchSettings, island: Island, genomes: FloatArray, metrics: FloatArray) -> Island:
    """Return the island after a generation whose genomes have these metrics; the best of old and new survive."""
    values = fitness(objective_named(settings.objective), metrics, settings.min_trades)
    pool, pool_fitness = np.concatenate([island.population, genomes]), np.concatenate([island.fitness, values])
    survivors = best_first(pool_fitness)[: room(settings, island, island.generation + 1)]
    champions = best_distinct(island.champions, genomes, values, metrics, settings.top_n)
    success = float(np.mean(survivors >= len(island.population))) if len(genomes) else 0.0
    return Island(
        number=island.number,
        generation=island.generation + 1,
        population=pool[survivors],
        fitness=pool_fitness[survivors],
        champions=champions,
        tried=with_keys(island.tried, genome_keys(genomes)),
        evaluations=island.evaluations + len(genomes),
        stagnant=0 if champions.best > island.champions.best else island.stagnant + 1,
        step=adapted_step(island.step, success) if island.generation else FIRST_STEP,
    )


def room(settings: SearchSettings, island: Island, generation: int) -> int:
    """Return how many genomes can live on an island after a generation, counted from one."""
    rows = settings.island_populations[island.number]
    if island.fitness.shape[1] > 1:
        return rows
    share = 1.0 - (1.0 - settings.last_survivors) * min(generation / settings.generations, 1.0)
    return max(round(rows * share), min(LEAST_SURVIVORS, rows))


def advance(
    strategy: Strategy,
    space: SearchSpace,
    settings: SearchSettings,
    island: Island,
    generations: int,
    evaluate: Callable[[Batch], Evaluated],
) -> tuple[Island, list[Trace], float]:
    """Evolve an island by `generations`; return it, what each did, and the seconds of its backtests.

    An island that is alone stops when it has stagnated for as long as the settings have patience.
    """
    alone = len(settings.island_populations) == 1
    traces: list[Trace] = []
    seconds = 0.0
    for _ in range(generations):
        genomes = ask(OPERATORS, space, settings, island)
        metrics = np.empty((0, len(METRIC_NAMES)))
        if len(genomes):
            evaluated = evaluate(Batch(strategy, genomes))
            metrics, seconds = evaluated.metrics, seconds + evaluated.seconds
        island = tell(settings, island, genomes, metrics)
        best = island.champions.best
        traces.append(Trace(island.evaluations, best, island.fitness[:, 0], diversity(space, island.population)))
        if alone and island.stagnant >= settings.patience:
            break
    return island, traces, seconds


def diversity(space: SearchSpace, population: FloatArray) -> float:
    """Return how far a population is spread: 1 as a uniform draw is, 0 when all are equal; mean over parameters.

    A parameter with a single value is left out; when all are, the diversity is 0.
    """
    free = space.high > space.low
    if not free.any() or len(population) == 0:
        return 0.0
    uniform = (space.high - space.low)[free] / np.sqrt(12.0)
    return float(np.minimum(population.std(axis=0)[free] / uniform, 1.0).mean())
