"""What a search tells: each generation while it goes, and its champions when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.metrics import Metrics
from alpharay.backtest.stops import Stops
from alpharay.discovery.objectives import WORST
from alpharay.discovery.settings import SearchSettings
from alpharay.discovery.split import Split
from alpharay.strategies.strategy import Strategy

StopReason = Literal["generations", "stagnation", "time_budget", "interrupted"]


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation did, for progress tables and logs."""

    strategy_name: str
    generation: int
    """From one."""
    generations: int
    """How many there may be."""
    evaluations: int
    """Backtests so far; a genome that was seen before is not one."""
    best: float
    """The best score so far; -inf when nothing has traded yet."""
    median: float
    """Of the population's scores; -inf when half of it never traded."""
    diversity: float
    """Distinct genomes / population."""
    elapsed_s: float
    """Since the search began."""
    stop_reason: StopReason | None
    """Set on the last one."""
    timeframe: str = ""


@dataclass(frozen=True, slots=True)
class Champion:
    """A parameter set that the search found, and what it did on both parts of the window."""

    parameters: dict[str, float]
    score: float
    in_sample: Metrics
    out_of_sample: Metrics | None
    """None when the window has no test part."""


@dataclass(frozen=True, slots=True)
class DiscoveryReport:
    """The result of one search."""

    strategy: Strategy
    settings: SearchSettings
    parts: Split
    costs: Costs
    stops: Stops
    champions: tuple[Champion, ...]
    """Best score first; fewer than asked for when fewer distinct ones traded."""
    log: tuple[Generation, ...]
    evaluations: int
    """Backtests from which the champions were picked."""
    stop_reason: StopReason
    backtest_s: float
    """Time inside the backtests, summed over workers."""
    elapsed_s: float
    hold_in_sample: Metrics
    """Buying and holding the same candles at the same costs."""
    hold_out_of_sample: Metrics | None
    frictions: Frictions | None = None

    @property
    def best(self) -> float:
        """The best score; -inf when there is no champion."""
        return self.champions[0].score if self.champions else WORST


OnGeneration = Callable[[Generation], None]
