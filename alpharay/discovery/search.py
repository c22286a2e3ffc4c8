"""The search for strategies' parameters: islands evolve, migrants go round, champions are judged on unseen candles.

A search's state is a value and an island's generation a pure function of it (`alpharay.discovery.island`). So
champions are the same bits on any number of workers, after a worker was killed, and resumed from a checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from alpharay.backtest.costs import Costs
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.checkpoint import Checkpoint, configuration
from alpharay.discovery.evaluation import Evaluator, Executor, SerialExecutor
from alpharay.discovery.evolution import Evolution
from alpharay.discovery.judgement import Judge
from alpharay.discovery.report import Champion, DiscoveryReport, Generation, OnGeneration
from alpharay.discovery.running import RunningSearch, absorb, checkpoint_of, resumed, start, tasks_of
from alpharay.discovery.settings import SearchSettings
from alpharay.discovery.timeframes import timeframe_splits
from alpharay.market.candles import Candles
from alpharay.strategies.strategy import Strategy

__all__ = ["Champion", "DiscoveryReport", "Generation", "OnGeneration", "SearchSettings", "discover", "discover_all"]

ROUND_SECONDS = 2.0
"""Workers are given work for about so long at a time: then progress is told and a checkpoint taken."""

LEAST_TASK_SECONDS = 0.05
"""A task carries at least so much work, or its overhead (about a millisecond through Ray) shows."""


def discover(
    strategy: Strategy,
    candles: Candles,
    settings: SearchSettings,
    *,
    executor: Executor | None = None,
    on_generation: OnGeneration | None = None,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    time_budget_s: float | None = None,
    resume: Checkpoint | None = None,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> DiscoveryReport:
    """Search one strategy's parameters on the first part of `candles`: see `discover_all`.

    Of several time frames the report with the best score in sample is returned.
    """
    reports = discover_all(
        [strategy],
        candles,
        settings,
        executor=executor,
        on_generation=on_generation,
        costs=costs,
        stops=stops,
        time_budget_s=time_budget_s,
        resume=resume,
        on_checkpoint=on_checkpoint,
    )
    return max(reports, key=lambda report: report.best)


def discover_all(
    strategies: Sequence[Strategy],
    candles: Candles,
    settings: SearchSettings,
    *,
    executor: Executor | None = None,
    on_generation: OnGeneration | None = None,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    time_budget_s: float | None = None,
    resume: Checkpoint | None = None,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> list[DiscoveryReport]:
    """Search each strategy's parameters on the first part of `candles`, judge the champions on the rest.

    Each pair of a strategy and a time frame is a search of its own, and they run side by side: a round advances
    every island of each. In this process a round is one generation, through an executor as many as take a second
    or two. The reports come in the order of the strategies, for each in the order of the time frames, and do not
    depend on the executor. KeyboardInterrupt and the time budget (which is looked at after each round) end the
    searches early; the reports then hold what was found so far.

    `on_checkpoint` gets all searches after each round. `resume` goes on from such a checkpoint, and ends as the
    undisturbed search would have; searches that it does not hold begin anew. Raises ValueError when it is of another
    configuration, when there are too few candles, or when a price is not finite and positive.
    """
    markets = timeframe_splits(candles, settings)
    evolution = Evolution([Evaluator(parts.train, costs, stops, share=len(markets)) for parts in markets])
    searches = [
        start(strategy, settings, parts.candles.timeframe, market)
        for strategy in strategies
        for market, parts in enumerate(markets)
    ]
    configurations = []
    if resume is not None or on_checkpoint is not None:
        configurations = [
            configuration(search.strategy, settings, [markets[search.market].train], costs, stops)
            for search in searches
        ]
    run_searches(
        searches, evolution, executor or SerialExecutor(), on_generation=on_generation, time_budget_s=time_budget_s,
        resume=resume, on_checkpoint=on_checkpoint, configurations=configurations,
    )  # fmt: skip
    judges = [Judge(parts, costs, stops) for parts in markets]
    return [judges[search.market].report(search) for search in searches]


def run_searches(
    searches: Sequence[RunningSearch],
    evolution: Evolution,
    executor: Executor,
    *,
    on_generation: OnGeneration | None,
    time_budget_s: float | None,
    resume: Checkpoint | None,
    on_checkpoint: Callable[[Checkpoint], None] | None,
    configurations: Sequence[dict[str, str]],
) -> None:
    """Run the searches side by side until all have ended, or Ctrl-C."""
    started = time.perf_counter()
    if resume is not None:
        for search, expected in zip(searches, configurations, strict=True):
            saved = resume.of(search.strategy.name, search.timeframe)
            if saved is not None:
                resumed(search, saved, expected)
    before_s = max((search.elapsed_s for search in searches), default=0.0)
    try:
        while active := [search for search in searches if search.stop_reason is None]:
            news = _run_round(executor, evolution, active, started - before_s, time_budget_s)
            if on_checkpoint is not None:
                on_checkpoint(Checkpoint(tuple(map(checkpoint_of, searches, configurations))))
            if on_generation is not None:
                for generation in news:
                    on_generation(generation)
    except KeyboardInterrupt:
        for search in searches:
            if search.stop_reason is None:
                search.stop_reason = "interrupted"
                search.elapsed_s = before_s + time.perf_counter() - started


def _run_round(
    executor: Executor,
    evolution: Evolution,
    searches: Sequence[RunningSearch],
    started: float,
    time_budget_s: float | None,
) -> list[Generation]:
    """Advance every island of the searches; nothing has changed when this is interrupted."""
    islands = sum(len(search.islands) for search in searches)
    seconds = max(ROUND_SECONDS * executor.workers / islands, LEAST_TASK_SECONDS)
    if isinstance(executor, SerialExecutor):
        # One generation: Ctrl-C and the budget have nothing to wait for, and a call here costs nothing.
        seconds = 0.0
    tasks = [tasks_of(search, seconds) for search in searches]
    advanced = iter(list(executor(evolution, [task for of_search in tasks for task in of_search])))
    done = [[next(advanced) for _ in of_search] for of_search in tasks]
    elapsed_s = time.perf_counter() - started
    late = time_budget_s is not None and elapsed_s >= time_budget_s
    return [
        generation
        for search, of_search in zip(searches, done, strict=True)
        for generation in absorb(search, of_search, elapsed_s, late=late)
    ]
