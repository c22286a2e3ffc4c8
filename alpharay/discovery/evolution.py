"""A unit of work for an executor: advance one island by some generations, wherever that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alpharay.discovery.evaluation import Batch, Evaluated
from alpharay.discovery.island import Island, Trace, advance
from alpharay.discovery.search_space import SearchSpace
from alpharay.discovery.settings import SearchSettings
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True)
class IslandTask:
    """An island of one search, and how far to advance it."""

    strategy: Strategy
    space: SearchSpace
    settings: SearchSettings
    island: Island
    generations: int
    market: int
    """Place of the search's candles among those of the `Evolution`."""

    @property
    def affinity(self) -> str:
        """Tasks with the same affinity need the same indicator columns: best run where the last one ran."""
        return f"{self.market}/{self.strategy.name}"


@dataclass(frozen=True, slots=True)
class IslandAdvance:
    """An island afterwards, what each generation did, and the seconds that it took."""

    island: Island
    traces: list[Trace]
    backtest_s: float
    seconds: float


class Evolution:
    """The function behind every island of a discovery: it carries the candles, the tasks carry the islands."""

    __slots__ = ("evaluators",)

    def __init__(self, evaluators: Sequence[Callable[[Batch], Evaluated]]) -> None:
        self.evaluators = tuple(evaluators)

    def __call__(self, task: IslandTask) -> IslandAdvance:
        """Return the advanced island; the same task gives the same bits."""
        started = time.perf_counter()
        island, traces, backtest_s = advance(
            task.strategy, task.space, task.settings, task.island, task.generations, self.evaluators[task.market]
        )
        return IslandAdvance(island, traces, backtest_s, time.perf_counter() - started)
