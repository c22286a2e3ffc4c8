"""How rules are evolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.discovery.objectives import objective_named
from alpharay.discovery.settings import SearchSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionSettings:
    """How to evolve rules.

    Parameters
    ----------
    search : SearchSettings
        Population, generations, top_n, seed, objective, train_fraction, min_trades, tournament_size and patience; the
        settings for genomes of numbers have no meaning here.
    height : int
        Height of random trees.
    most_nodes : int
        Nodes of one rule at most; about a third of them are comparisons.
    parsimony : float
        From 1 to 2: the smaller of two tournament winners is a parent with a chance of half of it.
    crossover_probability : float
        Chance that a child is crossed; otherwise it is a mutant. A crossed child is also mutated now and then.
    elites : int
        The best rules that go on unchanged.
    """

    search: SearchSettings = field(default_factory=partial(SearchSettings, population=200))
    height: int = 3
    most_nodes: int = 12
    parsimony: float = 1.4
    crossover_probability: float = 0.6
    elites: int = 4

    def __post_init__(self) -> None:
        for name, least in {"height": 1, "most_nodes": 3, "elites": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, was {getattr(self, name)}")
        if not 1.0 <= self.parsimony <= 2.0:
            raise ValueError(f"parsimony must be in [1, 2], was {self.parsimony}")
        if not 0.0 <= self.crossover_probability <= 1.0:
            raise ValueError(f"crossover_probability must be in [0, 1], was {self.crossover_probability}")
        if self.elites >= self.search.population:
            raise ValueError(f"elites must be fewer than the population of {self.search.population}, was {self.elites}")
        if np.ndim(objective_named(self.search.objective)(np.zeros((1, len(METRIC_NAMES))))) != 1:
            raise ValueError(f"objective must give one score for an evolution, was {self.search.objective!r}")
