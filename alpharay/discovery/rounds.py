"""Searches side by side: rounds of work for an executor, until all have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alpharay.backtest.costs import Costs
from alpharay.backtest.stops import Stops
from alpharay.discovery.checkpoint import Checkpoint, configuration
from alpharay.discovery.evaluation import Batch, Evaluated, Executor, SerialExecutor
from alpharay.discovery.evolution import Evolution
from alpharay.discovery.report import Generation, OnGeneration
from alpharay.discovery.running import RunningSearch, absorb, checkpoint_of, resumed, start, tasks_of
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import Candles
from alpharay.strategies.strategy import Strategy, with_minimum_holding

ROUND_SECONDS = 2.0
"""Workers are given work for about so long at a time: then progress is told and a checkpoint taken."""

LEAST_TASK_SECONDS = 0.05
"""A task carries at least so much work, or its overhead (about a millisecond through Ray) shows."""


@dataclass(frozen=True, slots=True)
class Arena:
    """What a search is on: candles to train on, of one market or of a pool, and how genomes are backtested there."""

    timeframe: str
    train: tuple[Candles, ...]
    evaluate: Callable[[Batch], Evaluated]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How searches are run and watched: nothing here changes what they find."""

    executor: Executor
    on_generation: OnGeneration | None = None
    time_budget_s: float | None = None
    resume: Checkpoint | None = None
    on_checkpoint: Callable[[Checkpoint], None] | None = None


def run_searches(
    strategies: Sequence[Strategy],
    settings: SearchSettings,
    arenas: Sequence[Arena],
    course: Course,
    costs: Costs,
    stops: Stops,
    also: Mapping[str, str],
) -> list[RunningSearch]:
    """Search each strategy on each arena until all have ended, or Ctrl-C.

    `also`: what else decides what is found, by name, for the checkpoints.
    """
    started = time.perf_counter()
    evolution = Evolution([arena.evaluate for arena in arenas])
    searches = [
        start(_with_holding(strategy, settings), settings, arena.timeframe, place)
        for strategy in strategies
        for place, arena in enumerate(arenas)
    ]
    configurations = []
    if course.resume is not None or course.on_checkpoint is not None:
        configurations = [
            configuration(search.strategy, settings, arenas[search.market].train, costs, stops) | dict(also)
            for search in searches
        ]
    if course.resume is not None:
        for search, expected in zip(searches, configurations, strict=True):
            saved = course.resume.of(search.strategy.name, search.timeframe)
            if saved is not None:
                resumed(search, saved, expected)
    before_s = max((search.elapsed_s for search in searches), default=0.0)
    try:
        while active := [search for search in searches if search.stop_reason is None]:
            news = _run_round(course, evolution, active, started, before_s)
            if course.on_checkpoint is not None:
                course.on_checkpoint(Checkpoint(tuple(map(checkpoint_of, searches, configurations))))
            if course.on_generation is not None:
                for generation in news:
                    course.on_generation(generation)
    except KeyboardInterrupt:
        for search in searches:
            if search.stop_reason is None:
                search.stop_reason = "interrupted"
                search.elapsed_s = before_s + time.perf_counter() - started
    return searches


def _with_holding(strategy: Strategy, settings: SearchSettings) -> Strategy:
    if settings.minimum_holding is None:
        return strategy
    low, high = settings.minimum_holding
    return with_minimum_holding(strategy, low, high, low)


def _run_round(
    course: Course, evolution: Evolution, searches: Sequence[RunningSearch], started: float, before_s: float
) -> list[Generation]:
    """Advance every island of the searches; nothing has changed when this is interrupted."""
    islands = sum(len(search.islands) for search in searches)
    seconds = max(ROUND_SECONDS * course.executor.workers / islands, LEAST_TASK_SECONDS)
    if isinstance(course.executor, SerialExecutor):
        # One generation: Ctrl-C and the budget have nothing to wait for, and a call here costs nothing.
        seconds = 0.0
    tasks = [tasks_of(search, seconds) for search in searches]
    advanced = iter(list(course.executor(evolution, [task for of_search in tasks for task in of_search])))
    done = [[next(advanced) for _ in of_search] for of_search in tasks]
    passed_s = time.perf_counter() - started
    late = course.time_budget_s is not None and passed_s >= course.time_budget_s
    return [
        generation
        for search, of_search in zip(searches, done, strict=True)
        for generation in absorb(search, of_search, before_s + passed_s, late=late)
    ]
