"""Backtest batches of genomes on one data set: the function that an executor runs wherever it likes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.market import MEMORY_BUDGET, Market, open_market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.open_markets import OpenMarkets
from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.strategy import Strategy

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Batch:
    """Genomes of one strategy, (rows, parameters)."""

    strategy: Strategy
    genomes: FloatArray


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A batch's metrics, (rows, len(METRIC_NAMES)), and the seconds that the backtests took."""

    metrics: FloatArray
    seconds: float


class Executor(Protocol):
    """An ordered map with a number of workers: serial here, Ray actors in `ray_jobs.backtest_worker`.

    It may keep `function` (which carries the candles) where its items run, as long as it gets the same
    object.
    """

    @property
    def workers(self) -> int:
        """How many items run at the same time."""
        ...

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterable[Result]:
        """Return the results in the order of the items."""
        ...


class SerialExecutor:
    """Runs everything here, one item after the other."""

    workers = 1

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterable[Result]:
        """Return the results in the order of the items."""
        return map(function, items)


class Evaluator:
    """Backtests batches on `candles`, at given costs, stops and frictions.

    It opens the market when it is first needed, wherever that is, and keeps its columns for later batches;
    pickling leaves them behind. `share`: how many evaluators share a process and its memory for columns. With
    `markets`, which stay in this process too, columns of earlier searches on these candles are used. Not for several
    threads.
    """

    __slots__ = ("_market", "candles", "costs", "frictions", "markets", "share", "stops")

    def __init__(
        self,
        candles: Candles,
        costs: Costs = Costs(),
        stops: Stops = NO_STOPS,
        frictions: Frictions | None = None,
        *,
        share: int = 1,
        markets: OpenMarkets | None = None,
    ) -> None:
        self.candles = candles
        self.costs = costs
        self.stops = stops
        self.frictions = frictions
        self.share = share
        self.markets = markets
        self._market: Market | None = None

    def __call__(self, batch: Batch) -> Evaluated:
        """Return the metrics of every genome; the same genome gives the same bits in any batch."""
        started = time.perf_counter()
        if self._market is None:
            opened = open_market if self.markets is None else self.markets.open
            self._market = opened(self.candles, MEMORY_BUDGET // self.share)
        result = backtest_population(
            batch.strategy, batch.genomes, self._market, self.costs, self.stops, self.frictions
        )
        return Evaluated(result.metrics, time.perf_counter() - started)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the market."""
        return partial(Evaluator, share=self.share), (self.candles, self.costs, self.stops, self.frictions)
