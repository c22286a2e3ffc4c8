"""Search on several symbols at once: one parameter set trades them all, with shared capital and limited positions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.market import MEMORY_BUDGET
from alpharay.backtest.metrics import Metrics
from alpharay.backtest.pool_tables import PoolTables, pool_tables
from alpharay.backtest.pooled import ONE_POSITION, Pool, PoolLimits, backtest_pooled, frictions_of, open_pool
from alpharay.backtest.pooled_single import trade_signals
from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import price_tables
from alpharay.discovery.checkpoint import Checkpoint
from alpharay.discovery.evaluation import Batch, Evaluated, Executor, SerialExecutor
from alpharay.discovery.judgement import judged_champions
from alpharay.discovery.objectives import WORST, objective_named, scores
from alpharay.discovery.report import Champion, Generation, OnGeneration, StopReason
from alpharay.discovery.rounds import Arena, Course, run_searches
from alpharay.discovery.running import RunningSearch
from alpharay.discovery.settings import SearchSettings
from alpharay.discovery.split import Split, out_of_sample
from alpharay.discovery.timeframes import check_train_rows, resampled_split
from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.strategies.evaluation import Signals, signals
from alpharay.strategies.strategy import Strategy

PoolFrictions = Frictions | tuple[Frictions, ...] | None
"""The same for all markets, one for each, or none."""


@dataclass(frozen=True, slots=True)
class PooledReport:
    """The result of one pooled search."""

    strategy: Strategy
    settings: SearchSettings
    parts: tuple[Split, ...]
    """One a market, all cut at the same time."""
    costs: Costs
    stops: Stops
    limits: PoolLimits
    champions: tuple[Champion, ...]
    """Best score first; their metrics are the account's."""
    log: tuple[Generation, ...]
    evaluations: int
    stop_reason: StopReason
    backtest_s: float
    elapsed_s: float
    hold_in_sample: Metrics
    """Holding an equal share of each market at the same costs."""
    hold_out_of_sample: Metrics | None
    """None when the window has no test part."""
    frictions: PoolFrictions = None

    @property
    def best(self) -> float:
        """The best score; -inf when there is no champion."""
        return self.champions[0].score if self.champions else WORST


class PooledEvaluator:
    """Backtests batches on several markets with one account; otherwise as `alpharay.discovery.evaluation.Evaluator`."""

    __slots__ = ("_pool", "candles", "costs", "frictions", "limits", "share", "stops")

    def __init__(
        self,
        candles: Sequence[Candles],
        costs: Costs = Costs(),
        stops: Stops = NO_STOPS,
        limits: PoolLimits = ONE_POSITION,
        frictions: PoolFrictions = None,
        share: int = 1,
    ) -> None:
        self.candles = tuple(candles)
        self.costs, self.stops, self.limits, self.frictions, self.share = costs, stops, limits, frictions, share
        self._pool: Pool | None = None

    def __call__(self, batch: Batch) -> Evaluated:
        """Return the metrics of every genome; the same genome gives the same bits in any batch."""
        started = time.perf_counter()
        if self._pool is None:
            self._pool = open_pool(self.candles, MEMORY_BUDGET // self.share)
        result = backtest_pooled(
            batch.strategy, batch.genomes, self._pool, self.costs, self.stops, self.limits, self.frictions
        )
        return Evaluated(result.metrics, time.perf_counter() - started)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the pool."""
        return PooledEvaluator, (self.candles, self.costs, self.stops, self.limits, self.frictions, self.share)


def discover_pooled(
    strategies: Sequence[Strategy],
    candles: Sequence[Candles],
    settings: SearchSettings,
    *,
    limits: PoolLimits = ONE_POSITION,
    frictions: PoolFrictions = None,
    executor: Executor | None = None,
    on_generation: OnGeneration | None = None,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    time_budget_s: float | None = None,
    resume: Checkpoint | None = None,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> list[PooledReport]:
    """Search each strategy's parameters on several markets at once, with one account: see `discover_all`.

    All markets are cut at the same time, `train_fraction` of the way from the first candle of any to the last. Where
    several say to enter at one open and not all find a free position, the order of `candles` decides. Raises ValueError
    when there is no market, one is given twice, or one has too few candles before the cut.
    """
    pools = pool_splits(candles, settings)
    arenas = []
    for parts in pools:
        train = tuple(part.train for part in parts)
        evaluator = PooledEvaluator(train, costs, stops, limits, frictions, share=len(pools))
        arenas.append(Arena(parts[0].candles.timeframe, train, evaluator))
    course = Course(
        executor=executor or SerialExecutor(),
        on_generation=on_generation,
        time_budget_s=time_budget_s,
        resume=resume,
        on_checkpoint=on_checkpoint,
    )
    also = {"limits": repr(limits), "frictions": repr(frictions)}
    searches = run_searches(strategies, settings, arenas, course, costs, stops, also)
    judges = [_Judge(parts, costs, stops, limits, frictions) for parts in pools]
    return [judges[search.market].report(search) for search in searches]


def champions_of_markets(report: PooledReport) -> list[tuple[Champion, ...]]:
    """Return, for each market of a pool, what the champions do there alone, in the order of the pool's champions.

    A stored strategy belongs to one market. Its figures are those of an account that trades this market only, and its
    score is their objective; one that is no candidate there by itself (it has too few trades in sample, say) is left
    out.
    """
    objective = objective_named(report.settings.objective)
    each = frictions_of(report.frictions, len(report.parts))
    found = []
    for part, frictions in zip(report.parts, each, strict=True):
        tables = price_tables(part.train)
        champions = []
        for champion in report.champions:
            parameters = champion.parameters
            account = (report.costs, report.stops, frictions)
            alone = backtest_strategy(
                report.strategy, parameters, tables, costs=report.costs, stops=report.stops, frictions=frictions
            ).metrics
            score = float(scores(objective, np.array([astuple(alone)]), report.settings.min_trades)[0])
            if score == WORST:
                continue
            after = out_of_sample(report.strategy, parameters, part, *account).metrics if len(part.test) else None
            champions.append(Champion(parameters, score, alone, after))
        found.append(tuple(champions))
    return found


def pool_splits(candles: Sequence[Candles], settings: SearchSettings) -> list[tuple[Split, ...]]:
    """Return the markets cut at one moment, for each time frame of the settings."""
    symbols = [item.symbol for item in candles]
    if not candles or len(set(symbols)) < len(symbols) or not all(len(item) for item in candles):
        raise ValueError(f"candles must be of one or more different symbols, with a candle each, was {symbols}")
    first = min(int(item.open_time[0]) for item in candles)
    last = max(int(item.open_time[-1]) + timeframe_ms(item.timeframe) for item in candles)
    cut = first + round((last - first) * settings.train_fraction)
    parts = [Split(item, int(np.searchsorted(item.open_time + timeframe_ms(item.timeframe), cut, "right")))
             for item in candles]  # fmt: skip
    pools = []
    for timeframe in settings.timeframes or (candles[0].timeframe,):
        pool = tuple(resampled_split(part, timeframe, cut) for part in parts)
        for part in pool:
            check_train_rows(part, resampled=timeframe != candles[0].timeframe)
        pools.append(pool)
    return pools


class _Judge:
    """Turns the searches of one pool into reports."""

    def __init__(
        self, parts: tuple[Split, ...], costs: Costs, stops: Stops, limits: PoolLimits, frictions: PoolFrictions
    ) -> None:
        self.parts, self.costs, self.stops, self.limits, self.frictions = parts, costs, stops, limits, frictions
        self._test = self._tables([part.test for part in parts]) if all(len(part.test) for part in parts) else None

    @staticmethod
    def _tables(candles: Sequence[Candles]) -> PoolTables:
        return pool_tables([price_tables(item) for item in candles])

    def report(self, search: RunningSearch) -> PooledReport:
        """Return what an ended search found, in sample and out of sample."""
        assert search.stop_reason is not None, "a search is reported after it has ended"
        return PooledReport(
            strategy=search.strategy,
            settings=search.settings,
            parts=self.parts,
            costs=self.costs,
            stops=self.stops,
            limits=self.limits,
            champions=judged_champions(search, self._after),
            log=tuple(search.log),
            evaluations=search.evaluations,
            stop_reason=search.stop_reason,
            backtest_s=search.backtest_s,
            elapsed_s=search.elapsed_s,
            hold_in_sample=self._held(self._tables([part.train for part in self.parts])),
            hold_out_of_sample=None if self._test is None else self._held(self._test),
            frictions=self.frictions,
        )

    def _after(self, strategy: Strategy, parameters: Mapping[str, float]) -> Metrics | None:
        """Backtest the test parts alone; the indicators see the training candles too."""
        if self._test is None:
            return None
        said = []
        for part in self.parts:
            whole = signals(strategy, parameters, part.candles)
            flags = (whole.enter, whole.exit, whole.enter_short, whole.exit_short)
            said.append(Signals(*(None if flag is None else flag[part.at :] for flag in flags)))  # type: ignore[arg-type]
        holding = int(strategy.minimum_holdings(strategy.genome(parameters)[None, :])[0])
        frictions = frictions_of(self.frictions, len(self.parts))
        return trade_signals(said, self._test, self.costs, self.stops, holding, self.limits, frictions).metrics

    def _held(self, tables: PoolTables) -> Metrics:
        said = []
        for market in tables.markets:
            enter = np.zeros(len(market), dtype=np.bool_)
            enter[:1] = True
            said.append(Signals(enter, np.zeros(len(market), dtype=np.bool_)))
        equal = replace(self.limits, max_positions=len(said), fraction=None)
        frictions = frictions_of(self.frictions, len(said))
        return trade_signals(said, tables, self.costs, NO_STOPS, 0, equal, frictions).metrics
