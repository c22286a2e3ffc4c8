"""What parameter sets earned day by day: the table that most evidence is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.market import Market, open_market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.evaluation import Batch, Executor
from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.strategy import Strategy

BATCHES_A_WORKER = 4
MOST_ROWS_A_BATCH = 256
"""A row brings back a float a day: a batch stays within a few megabytes."""


@dataclass(frozen=True, slots=True)
class DailyMarks:
    """Parameter sets and what each did, one row a set."""

    genomes: FloatArray
    metrics: FloatArray
    """(sets, len(METRIC_NAMES))."""
    returns: FloatArray
    """(sets, days): the return of each UTC day."""


class DailyMarker:
    """Backtests a batch and returns its metrics and daily equity; picklable, opens its market where it runs."""

    __slots__ = ("_market", "candles", "costs", "frictions", "stops")

    def __init__(
        self,
        candles: Candles,
        costs: Costs = Costs(),
        stops: Stops = NO_STOPS,
        frictions: Frictions | None = None,
    ) -> None:
        self.candles = candles
        self.costs = costs
        self.stops = stops
        self.frictions = frictions
        self._market: Market | None = None

    def __call__(self, batch: Batch) -> tuple[FloatArray, FloatArray]:
        """Return (sets, metrics) and (sets, days) equity."""
        if self._market is None:
            self._market = open_market(self.candles)
        result = backtest_population(
            batch.strategy, batch.genomes, self._market, self.costs, self.stops, self.frictions
        )
        return result.metrics, result.daily_equity

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the market."""
        return DailyMarker, (self.candles, self.costs, self.stops, self.frictions)


def daily_marks(strategy: Strategy, genomes: FloatArray, marker: DailyMarker, executor: Executor) -> DailyMarks:
    """Backtest `genomes`, at least one, wherever the executor runs them."""
    rows = min(max(-(-len(genomes) // (executor.workers * BATCHES_A_WORKER)), 1), MOST_ROWS_A_BATCH)
    batches = [Batch(strategy, genomes[start : start + rows]) for start in range(0, len(genomes), rows)]
    results = list(executor(marker, batches))
    metrics = np.concatenate([metrics for metrics, _ in results])
    return DailyMarks(genomes, metrics, daily_returns(np.concatenate([equity for _, equity in results])))


def daily_returns(daily_equity: FloatArray) -> FloatArray:
    """Return each day's return, days last; the first from an equity of one, zero after ruin."""
    before = np.concatenate([np.ones((*daily_equity.shape[:-1], 1)), daily_equity[..., :-1]], axis=-1)
    return np.where(before > 0.0, daily_equity / np.where(before > 0.0, before, 1.0) - 1.0, 0.0)


def daily_sharpe(returns: FloatArray) -> FloatArray:
    """Return mean / standard deviation (n - 1) of daily returns, days last, not annualised.

    It is 0 where they are constant.
    """
    if returns.shape[-1] < 2:
        return np.zeros(returns.shape[:-1])
    deviation = returns.std(axis=-1, ddof=1)
    # A constant series has a deviation of rounding errors, not of zero.
    varies = deviation > 1e-12
    return np.where(varies, returns.mean(axis=-1) / np.where(varies, deviation, 1.0), 0.0)
