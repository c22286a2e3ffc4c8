"""How to search: every setting that decides what a search finds, and nothing about where it runs."""

from __future__ import annotations

from dataclasses import dataclass

from alpharay.discovery.objectives import objective_named
from alpharay.market.timeframe import timeframe_ms

ISLAND_POPULATION = 50
"""A population is split into islands of about so many genomes: fewer evolve too little by themselves."""

MOST_ISLANDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How to search.

    Parameters
    ----------
    population, generations : int
        Genomes a generation (of all islands together), and how many generations there are, the random first
        one included. Together they bound the backtests.
    top_n : int
        How many champions to keep.
    seed : int
        The same seed gives the same champions.
    objective : str
        A name in `alpharay.discovery.objectives`.
    train_fraction : float
        Share of the window that the search sees.
    min_trades : int
        Genomes with fewer trades in sample are worst: a figure over a trade or two says nothing.
    tournament_size : int
        Genomes in one tournament.
    crossover_probability : float
        Chance that a pair of parents is crossed.
    mutation_probability : float
        Chance that a value of a child changes.
    difference_share : float
        Share of the children that are moved by the difference of two others (differential evolution) rather than
        crossed and mutated.
    last_survivors : float
        Share of a population that survives the last generation; it shrinks to it in even steps. Spread while there
        is time to search widely, pressure when there is not (Tanabe & Fukunaga 2014). A search of several objectives
        keeps all: its front needs the room.
    patience : int
        The search ends after so many generations without a better genome; several islands look at it when they
        exchange migrants.
    islands : int or None
        Sub-populations that evolve by themselves; None is one for each 50 genomes, at most 16. It decides what is
        found, so it never depends on the workers. At most so many workers have work of one search at a time.
    migration_interval, migrants : int
        After so many generations each island sends its best genomes, so many, to the next one of the ring.
    timeframes : tuple of str
        Time frames to search, each by itself (`5m`, `1h` …; whole multiples of the candles'); none is the candles' own.
    minimum_holding : tuple of int, or None
        Fewest and most bars of the minimum holding, searched as one more parameter; None leaves the strategies as
        they are.
    """

    population: int = 50
    generations: int = 30
    top_n: int = 5
    seed: int = 0
    objective: str = "sharpe"
    train_fraction: float = 0.7
    min_trades: int = 10
    tournament_size: int = 3
    crossover_probability: float = 0.9
    mutation_probability: float = 0.2
    difference_share: float = 0.8
    last_survivors: float = 0.2
    patience: int = 10
    islands: int | None = None
    migration_interval: int = 5
    migrants: int = 2
    timeframes: tuple[str, ...] = ()
    minimum_holding: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        least_of = {
            "population": 2, "generations": 1, "top_n": 1, "seed": 0, "min_trades": 1, "tournament_size": 1,
            "patience": 1, "migration_interval": 1, "migrants": 0,
        }  # fmt: skip
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, was {getattr(self, name)}")
        for name in ("crossover_probability", "mutation_probability", "difference_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], was {getattr(self, name)}")
        if not 0.0 < self.last_survivors <= 1.0:
            raise ValueError(f"last_survivors must be above 0 and at most 1, was {self.last_survivors}")
        if self.islands is not None and not 1 <= self.islands <= self.population // 2:
            raise ValueError(
                f"islands must be from 1 to {self.population // 2}, half the population, was {self.islands}"
            )
        if len(set(self.timeframes)) != len(self.timeframes):
            raise ValueError(f"timeframes must be different, was {', '.join(self.timeframes)}")
        if self.minimum_holding is not None and not 0 <= self.minimum_holding[0] <= self.minimum_holding[1]:
            raise ValueError(f"minimum_holding must be two numbers of bars in order, was {self.minimum_holding}")
        for timeframe in self.timeframes:
            timeframe_ms(timeframe)
        objective_named(self.objective)

    @property
    def island_populations(self) -> tuple[int, ...]:
        """Genomes on each island: the population in as equal parts as can be."""
        islands = self.islands or min(max(self.population // ISLAND_POPULATION, 1), MOST_ISLANDS)
        share, rest = divmod(self.population, islands)
        return tuple(share + (number < rest) for number in range(islands))
