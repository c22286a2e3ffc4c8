"""The parameter sets that a search may try: a grid a parameter, and the order constraints between them.

A population is a float64 matrix, one row a genome, one column a parameter in declaration order. Whole numbers
are whole-valued columns. A real parameter lies on a grid of 1,000 to 10,000 steps: finer ones mean nothing on
candles, print badly, hide duplicates, and would let the last bit of a power function decide what the search
finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from math import ceil, floor, log10

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Integer, ParameterRange, Strategy

BoolArray = npt.NDArray[np.bool_]

STEPS_OF_A_REAL = 1000
"""A real parameter's grid has at least this many steps, and fewer than ten times as many."""

GRID_TOLERANCE = 1e-6
"""Share of a step by which a value may miss its grid point through rounding."""


@dataclass(frozen=True, slots=True)
class Gene:
    """One parameter's grid: `anchor + k * step`, from `low` to `high` (both on the grid)."""

    name: str
    integer: bool
    anchor: float
    step: float
    decimals: int
    low: float
    high: float

    def at(self, position: float) -> float:
        """Return the grid value that many steps above the anchor."""
        return round(self.anchor + position * self.step, self.decimals) + 0.0

    def snap(self, values: FloatArray) -> FloatArray:
        """Return the nearest grid values in `[low, high]`."""
        return np.clip(self._on_grid(np.rint((values - self.anchor) / self.step)), self.low, self.high)

    def above(self, values: FloatArray) -> FloatArray:
        """Return the smallest grid values that are greater than `values`."""
        return self._on_grid(np.floor((values - self.anchor) / self.step + GRID_TOLERANCE) + 1.0)

    def below(self, value: float) -> float:
        """Return the largest grid value that is less than `value`."""
        return self.at(ceil((value - self.anchor) / self.step - GRID_TOLERANCE) - 1.0)

    def _on_grid(self, positions: FloatArray) -> FloatArray:
        # Adding zero turns -0.0 into 0.0, so that equal genomes have equal bytes.
        values: FloatArray = np.round(self.anchor + positions * self.step, self.decimals) + 0.0
        return values


@dataclass(frozen=True)
class SearchSpace:
    """The genes of one strategy; their bounds leave room for what must lie below or above them."""

    genes: tuple[Gene, ...]
    constraints: tuple[tuple[int, int], ...]
    """(smaller, larger) columns; what bounds a column comes before what it bounds itself."""

    @cached_property
    def low(self) -> FloatArray:
        """The smallest value of each column."""
        return np.array([gene.low for gene in self.genes])

    @cached_property
    def high(self) -> FloatArray:
        """The largest value of each column."""
        return np.array([gene.high for gene in self.genes])

    @cached_property
    def anchor(self) -> FloatArray:
        """Where the grid of each column begins."""
        return np.array([gene.anchor for gene in self.genes])

    @cached_property
    def step(self) -> FloatArray:
        """How far the grid points of each column are apart."""
        return np.array([gene.step for gene in self.genes])

    @cached_property
    def scale(self) -> FloatArray:
        """Ten to the decimals of each column's grid."""
        return np.array([10.0**gene.decimals for gene in self.genes])

    @cached_property
    def integer(self) -> BoolArray:
        """Which columns hold whole numbers."""
        return np.array([gene.integer for gene in self.genes], dtype=np.bool_)


def search_space(strategy: Strategy) -> SearchSpace:
    """Return the space of a strategy; raises ValueError when no parameter set satisfies its constraints."""
    names = strategy.parameter_names
    genes = [_gene(parameter) for parameter in strategy.parameters]
    pairs = [(names.index(item.smaller), names.index(item.larger)) for item in strategy.constraints]
    sorter = TopologicalSorter({column: {a for a, b in pairs if b == column} for column in range(len(names))})
    try:
        rank = {column: place for place, column in enumerate(sorter.static_order())}
    except CycleError as error:
        raise ValueError(f"strategy {strategy.name}: its order constraints go round in a circle") from error
    pairs.sort(key=lambda pair: (rank[pair[0]], rank[pair[1]]))
    for smaller, larger in pairs:
        lowest = float(genes[larger].above(np.array([genes[smaller].low]))[0])
        genes[larger] = _bounded(genes[larger], low=max(genes[larger].low, lowest))
    for smaller, larger in reversed(pairs):
        highest = genes[smaller].below(genes[larger].high)
        genes[smaller] = _bounded(genes[smaller], high=min(genes[smaller].high, highest))
    for gene in genes:
        if gene.low > gene.high:
            constraints = ", ".join(map(str, strategy.constraints))
            raise ValueError(f"strategy {strategy.name}: no value of {gene.name} satisfies {constraints}")
    return SearchSpace(tuple(genes), tuple(pairs))


def _gene(parameter: ParameterRange) -> Gene:
    low, high = float(parameter.low), float(parameter.high)
    if isinstance(parameter, Integer):
        return Gene(parameter.name, integer=True, anchor=low, step=1.0, decimals=0, low=low, high=high)
    exponent = floor(log10((high - low) / STEPS_OF_A_REAL)) if high > low else 0
    decimals = max(-exponent, _decimals(low), 0)
    gene = Gene(parameter.name, False, low, float(f"1e{exponent}"), decimals, low, high)
    return _bounded(gene, high=gene.at(floor((high - low) / gene.step + GRID_TOLERANCE)))


def _bounded(gene: Gene, low: float | None = None, high: float | None = None) -> Gene:
    return Gene(
        gene.name, gene.integer, gene.anchor, gene.step, gene.decimals,
        gene.low if low is None else low, gene.high if high is None else high,
    )  # fmt: skip


def _decimals(value: float) -> int:
    exponent = Decimal(repr(value)).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def repair(space: SearchSpace, genomes: FloatArray) -> FloatArray:
    """Return the nearest genomes on the grid, in range and in order; what is valid already stays as it is.

    A pair in the wrong order is swapped, which keeps both values; what that cannot settle (other ranges,
    longer chains) is pushed up by the fewest steps. The values must be numbers.
    """
    values = _snap(space, genomes)
    for smaller, larger in space.constraints:
        a, b = values[:, smaller].copy(), values[:, larger].copy()
        values[:, smaller], values[:, larger] = np.minimum(a, b), np.maximum(a, b)
    values = _snap(space, values)
    for smaller, larger in space.constraints:
        lowest = space.genes[larger].above(values[:, smaller])
        values[:, larger] = np.maximum(values[:, larger], lowest)
    return values


def _snap(space: SearchSpace, genomes: FloatArray) -> FloatArray:
    """Return the nearest grid values, of all columns at once: what `Gene.snap` gives of one."""
    positions = np.rint((genomes - space.anchor) / space.step)
    values = np.rint((space.anchor + positions * space.step) * space.scale) / space.scale + 0.0
    return np.clip(values, space.low, space.high)


def random_population(space: SearchSpace, rows: int, generator: np.random.Generator) -> FloatArray:
    """Return `rows` valid genomes, each parameter drawn uniformly from its range, then repaired."""
    # Half a step of room on both sides gives the borders of the grid the same chance as its inside.
    half = space.step / 2.0
    drawn = generator.random((rows, len(space.genes)))
    return repair(space, space.low - half + drawn * (space.high - space.low + 2.0 * half))
