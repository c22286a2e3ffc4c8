"""The genetic operators, each a plain function over whole populations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.discovery.search_space import SearchSpace
from alpharay.market.candles import FloatArray

IndexArray = npt.NDArray[np.intp]

CROSSOVER_INDEX = 15.0
"""Index of the simulated binary crossover (Deb & Agrawal 1995): the larger, the closer children are."""

SUCCESS_SHARE = 0.2
"""Share of survivors that are new at which the mutation step stays as it is (Rechenberg's 1/5 rule, 1973)."""

STEP_FACTOR = 1.3
LEAST_STEP, MOST_STEP = 0.005, 0.3


DIFFERENCE_SHARES = (0.3, 0.9)
DIFFERENCE_RATE = 0.9
"""Bounds of the share of a difference, and the chance of each value to move by it."""


def tournament(population: int, rows: int, size: int, generator: np.random.Generator) -> IndexArray:
    """Return the winners of `rows` tournaments of `size` drawn with replacement, in a population sorted best first."""
    winners: IndexArray = generator.integers(population, size=(rows, size)).min(axis=1)
    return winners


def crossover(
    space: SearchSpace, parents: FloatArray, probability: float, generator: np.random.Generator
) -> FloatArray:
    """Return two children for each pair of neighbouring rows, in the same order.

    `parents` has an even number of rows. With `probability` a pair is crossed: each whole-number column is
    swapped with chance 1/2 (uniform crossover), each real column mixed with chance 1/2 (simulated binary
    crossover). The children may break order constraints.
    """
    first, second = parents[0::2], parents[1::2]
    chosen = generator.random((len(first), 1)) < probability
    chosen = chosen & (generator.random(first.shape) < 0.5)
    spread = _spread(generator.random(first.shape))
    middle, distance = (first + second) / 2.0, (second - first) / 2.0
    # A spread of -1 swaps the two, which is the uniform crossover.
    spread = np.where(space.integer, -1.0, spread)
    children = np.empty_like(parents)
    children[0::2] = np.where(chosen, middle - spread * distance, first)
    children[1::2] = np.where(chosen, middle + spread * distance, second)
    return children


def _spread(uniform: FloatArray) -> FloatArray:
    """Return how far two children are apart relative to their parents."""
    exponent = 1.0 / (CROSSOVER_INDEX + 1.0)
    spread: FloatArray = np.where(uniform <= 0.5, (2.0 * uniform) ** exponent, (0.5 / (1.0 - uniform)) ** exponent)
    return spread


def mutate(
    space: SearchSpace, genomes: FloatArray, probability: float, step: float, generator: np.random.Generator
) -> FloatArray:
    """Return the genomes with each value changed with `probability`.

    They may break bounds and order constraints. `step` is the standard deviation of a Gaussian change, as a share
    of the parameter's range. A real value takes a Gaussian step. A whole number takes, with equal chance, a new
    value from its whole range or a Gaussian step of at least one: the first leaves a hill, the second climbs it.
    """
    shape = genomes.shape
    changed = generator.random(shape) < probability
    steps = generator.standard_normal(shape) * (space.high - space.low) * step
    whole_steps = np.where(steps < 0.0, np.floor(steps), np.ceil(steps))
    fresh = space.low + np.floor(generator.random(shape) * (space.high - space.low + 1.0))
    whole = np.where(generator.random(shape) < 0.5, fresh, genomes + whole_steps)
    return np.where(changed, np.where(space.integer, whole, genomes + steps), genomes)


def differ(population: FloatArray, parents: IndexArray, generator: np.random.Generator) -> FloatArray:
    """Return a child for each parent: moved by a share of the difference between two others (Storn & Price 1997).

    The differences have the population's own scale and correlations, so the steps fit its valley without being told,
    and shrink as it converges. The share is drawn for each child; a value keeps its parent's with a chance of one in
    ten. The children may leave bounds and grid.
    """
    shape = (len(parents), population.shape[1])
    first, second = generator.integers(len(population), size=(2, len(parents)))
    share = generator.uniform(*DIFFERENCE_SHARES, (len(parents), 1))
    moved = population[parents] + share * (population[first] - population[second])
    return np.where(generator.random(shape) < DIFFERENCE_RATE, moved, population[parents])


def adapted_step(step: float, success: float) -> float:
    """Return the mutation step after a generation of which the share `success` of survivors is new.

    More than a fifth: there is more to be had further off, and it grows; fewer: what is better is near, it shrinks.
    """
    factor = STEP_FACTOR if success > SUCCESS_SHARE else 1.0 / STEP_FACTOR
    return min(max(step * factor, LEAST_STEP), MOST_STEP)
