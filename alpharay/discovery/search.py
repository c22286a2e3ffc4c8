"""The genetic search for a strategy's parameters: ask for a generation, tell its metrics, until it ends.

`ask` and `tell` are pure: a search's state is a value, and the random numbers of a generation depend on
(seed, generation) alone. So champions are the same bits whoever runs the backtests, in whatever batches. The
operators are DEAP's toolbox over whole populations: register another `mate` or `mutate` to search
differently.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal

import numpy as np
from deap.base import Toolbox

from alpharay.backtest.costs import Costs
from alpharay.backtest.metrics import METRIC_NAMES, Metrics, metrics_row
from alpharay.backtest.single import Backtest
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.discovery.champions import Champions, best_distinct, no_champions
from alpharay.discovery.evaluation import Batch, Evaluated, Evaluator, Executor, SerialExecutor
from alpharay.discovery.genome_cache import GenomeCache
from alpharay.discovery.objectives import Objective, objective_named, scores
from alpharay.discovery.operators import crossover, elite, mutate, tournament
from alpharay.discovery.search_space import SearchSpace, random_population, repair, search_space
from alpharay.discovery.split import Split, buy_and_hold, out_of_sample, split
from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.strategy import Strategy

StopReason = Literal["generations", "stagnation", "time_budget", "interrupted"]

BATCH_SECONDS = 0.02
"""A call carries at least so much work, or its overhead (about a millisecond through Ray) shows."""

BATCHES_A_WORKER = 6
"""A round's work is cut into about so many batches a worker, so that they end together."""

CACHED_GENERATIONS = 50
"""A search remembers the metrics of so many populations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How to search.

    Parameters
    ----------
    population, generations : int
        Genomes a generation, and how many generations there are, the random first one included.
    top_n : int
        How many champions to keep.
    seed : int
        The same seed gives the same champions.
    objective : str
        A name in `alpharay.discovery.objectives.OBJECTIVES`.
    train_fraction : float
        Share of the window that the search sees.
    min_trades : int
        Genomes with fewer trades in sample are worst: a figure over a trade or two says nothing.
    tournament_size, elites : int
        Genomes in one tournament; the best ones that survive unchanged.
    crossover_probability : float
        Chance that a pair of parents is crossed.
    mutation_probability : float
        Chance that a value of a child changes.
    patience : int
        The search ends after so many generations without a better one.
    """

    population: int = 50
    generations: int = 30
    top_n: int = 5
    seed: int = 0
    objective: str = "sharpe"
    train_fraction: float = 0.7
    min_trades: int = 10
    tournament_size: int = 3
    elites: int = 2
    crossover_probability: float = 0.9
    mutation_probability: float = 0.2
    patience: int = 10

    def __post_init__(self) -> None:
        least_of = {"population": 2, "generations": 1, "top_n": 1, "min_trades": 1, "tournament_size": 1, "patience": 1}
        for name, least in {**least_of, "seed": 0, "elites": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, was {getattr(self, name)}")
        if self.elites >= self.population:
            raise ValueError(f"elites must be fewer than the population of {self.population}, was {self.elites}")
        for name in ("crossover_probability", "mutation_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], was {getattr(self, name)}")
        objective_named(self.objective)


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
    """Of the generation's scores; -inf when half of it never traded."""
    diversity: float
    """Distinct genomes / population."""
    elapsed_s: float
    """Since the search began."""
    stop_reason: StopReason | None
    """Set on the last one."""


@dataclass(frozen=True, slots=True)
class SearchState:
    """A search between two generations."""

    generation: int
    population: FloatArray
    scores: FloatArray
    champions: Champions
    stagnant: int
    """Generations since the best score grew."""

    @property
    def best(self) -> float:
        """The best score so far."""
        return float(self.champions.scores[0]) if len(self.champions) else -np.inf


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


OnGeneration = Callable[[Generation], None]


def genetic_operators(executor: Executor, evaluator: Callable[[Batch], Evaluated]) -> Toolbox:
    """Return DEAP's toolbox with the operators of a search over whole populations."""
    toolbox = Toolbox()
    toolbox.register("populate", random_population)
    toolbox.register("select", tournament)
    toolbox.register("keep", elite)
    toolbox.register("mate", crossover)
    toolbox.register("mutate", mutate)
    toolbox.register("repair", repair)
    toolbox.register("evaluate", evaluator)
    toolbox.register("map", executor)
    return toolbox


def begin(space: SearchSpace) -> SearchState:
    """Return the state of a search that has not asked yet."""
    empty = np.empty((0, len(space.genes)))
    return SearchState(0, empty, np.empty(0), no_champions(len(space.genes), len(METRIC_NAMES)), 0)


def ask(toolbox: Any, space: SearchSpace, settings: SearchSettings, state: SearchState) -> FloatArray:
    """Return the genomes of the next generation, (population, parameters), all of them valid."""
    generator = np.random.default_rng([settings.seed, state.generation])
    if state.generation == 0:
        first: FloatArray = toolbox.populate(space, settings.population, generator)
        return first
    kept = state.population[toolbox.keep(state.scores, settings.elites)]
    children = settings.population - len(kept)
    parents = toolbox.select(state.scores, children + children % 2, settings.tournament_size, generator)
    crossed = toolbox.mate(space, state.population[parents], settings.crossover_probability, generator)
    mutated = toolbox.mutate(space, crossed[:children], settings.mutation_probability, generator)
    return np.concatenate([kept, toolbox.repair(space, mutated)])


def tell(
    settings: SearchSettings,
    objective: Objective,
    state: SearchState,
    genomes: FloatArray,
    metrics: FloatArray,
) -> SearchState:
    """Return the state after a generation whose genomes have these metrics."""
    values = scores(objective, metrics, settings.min_trades)
    champions = best_distinct(state.champions, genomes, values, metrics, settings.top_n)
    told = SearchState(state.generation + 1, genomes, values, champions, 0)
    return told if told.best > state.best else replace(told, stagnant=state.stagnant + 1)


@dataclass(slots=True)
class _Search:
    """One of the searches that run side by side."""

    strategy: Strategy
    settings: SearchSettings
    objective: Objective
    space: SearchSpace
    state: SearchState
    cache: GenomeCache
    evaluations: int = 0
    backtest_s: float = 0.0
    genome_s: float = 0.0
    """What a backtest took in the last round, to size the batches of the next."""
    log: list[Generation] = field(default_factory=list)
    stop_reason: StopReason | None = None
    elapsed_s: float = 0.0


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
) -> DiscoveryReport:
    """Search one strategy's parameters on the first part of `candles`: see `discover_all`."""
    (report,) = discover_all(
        [strategy],
        candles,
        settings,
        executor=executor,
        on_generation=on_generation,
        costs=costs,
        stops=stops,
        time_budget_s=time_budget_s,
    )
    return report


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
) -> list[DiscoveryReport]:
    """Search each strategy's parameters on the first part of `candles`, judge the champions on the rest.

    The searches run side by side: a round evaluates one generation of each, so that all workers have work.
    The reports come in the order of the strategies and do not depend on the executor. KeyboardInterrupt and
    the time budget (which is looked at after each round) end the searches early; the reports then hold what
    was found so far. Raises ValueError when there are too few candles or a price is not finite and positive.
    """
    started = time.perf_counter()
    parts = split(candles, settings.train_fraction)
    executor = executor or SerialExecutor()
    toolbox = genetic_operators(executor, Evaluator(parts.train, costs, stops))
    searches = [_start(strategy, settings) for strategy in strategies]
    try:
        while active := [search for search in searches if search.stop_reason is None]:
            _run_round(toolbox, active, executor.workers)
            elapsed_s = time.perf_counter() - started
            late = time_budget_s is not None and elapsed_s >= time_budget_s
            for search in active:
                _log_generation(search, elapsed_s, late=late)
                if on_generation is not None:
                    on_generation(search.log[-1])
    except KeyboardInterrupt:
        for search in searches:
            if search.stop_reason is None:
                search.stop_reason = "interrupted"
                search.elapsed_s = time.perf_counter() - started
    held = buy_and_hold(parts.train, costs), buy_and_hold(parts.test, costs)
    test_tables = price_tables(parts.test)
    return [_report(search, parts, test_tables, costs, stops, held) for search in searches]


def _start(strategy: Strategy, settings: SearchSettings) -> _Search:
    space = search_space(strategy)
    cache = GenomeCache(settings.population * CACHED_GENERATIONS)
    return _Search(strategy, settings, objective_named(settings.objective), space, begin(space), cache)


def _run_round(toolbox: Any, searches: Sequence[_Search], workers: int) -> None:
    """Run one generation of every search; a search changes only when all its metrics are there."""
    asked = [ask(toolbox, search.space, search.settings, search.state) for search in searches]
    fresh = [search.cache.missing(genomes) for search, genomes in zip(searches, asked, strict=True)]
    batches: list[Batch] = []
    owners: list[int] = []
    sizes = _batch_sizes(searches, [len(genomes) for genomes in fresh], workers)
    for owner, (search, genomes, rows) in enumerate(zip(searches, fresh, sizes, strict=True)):
        for start in range(0, len(genomes), rows):
            batches.append(Batch(search.strategy, genomes[start : start + rows]))
            owners.append(owner)
    results: list[list[Evaluated]] = [[] for _ in searches]
    for owner, evaluated in zip(owners, toolbox.map(toolbox.evaluate, batches), strict=True):
        results[owner].append(evaluated)
    for search, genomes, new, found in zip(searches, asked, fresh, results, strict=True):
        new_metrics = np.concatenate([np.empty((0, len(METRIC_NAMES))), *(item.metrics for item in found)])
        metrics = search.cache.answer(genomes, new, new_metrics)
        search.state = tell(search.settings, search.objective, search.state, genomes, metrics)
        seconds = sum(item.seconds for item in found)
        search.evaluations += len(new)
        search.backtest_s += seconds
        search.genome_s = seconds / len(new) if len(new) else search.genome_s


def _batch_sizes(searches: Sequence[_Search], rows: Sequence[int], workers: int) -> list[int]:
    """Return how many genomes of each search go into one batch.

    One worker takes all of a search at once. More share the round in pieces of about equal time, none under
    `BATCH_SECONDS`; in the first round, when no time is known, in pieces of equal size.
    """
    if workers == 1:
        return [max(count, 1) for count in rows]
    costs = [search.genome_s for search in searches]
    known = all(cost > 0.0 for cost in costs)
    total = sum(cost * count for cost, count in zip(costs, rows, strict=True)) if known else float(sum(rows))
    piece = max(total / (workers * BATCHES_A_WORKER), BATCH_SECONDS if known else 1.0)
    return [max(ceil(piece / cost) if known else ceil(piece), 1) for cost in costs]


def _log_generation(search: _Search, elapsed_s: float, *, late: bool) -> None:
    settings, state = search.settings, search.state
    if state.generation >= settings.generations:
        search.stop_reason = "generations"
    elif state.stagnant >= settings.patience:
        search.stop_reason = "stagnation"
    elif late:
        search.stop_reason = "time_budget"
    search.elapsed_s = elapsed_s
    search.log.append(
        Generation(
            strategy_name=search.strategy.name,
            generation=state.generation,
            generations=settings.generations,
            evaluations=search.evaluations,
            best=state.best,
            median=float(np.sort(state.scores)[len(state.scores) // 2]),
            diversity=len(np.unique(state.population, axis=0)) / len(state.population),
            elapsed_s=elapsed_s,
            stop_reason=search.stop_reason,
        )
    )


def _report(
    search: _Search,
    parts: Split,
    test_tables: PriceTables,
    costs: Costs,
    stops: Stops,
    held: tuple[Backtest, Backtest],
) -> DiscoveryReport:
    assert search.stop_reason is not None, "a search is reported after it has ended"
    found = search.state.champions
    tested = len(parts.test) > 0
    champions = []
    for genome, score, metrics in zip(found.genomes, found.scores.tolist(), found.metrics, strict=True):
        parameters = search.strategy.from_genome(genome)
        search.strategy.check(parameters)
        after = (
            out_of_sample(search.strategy, parameters, parts, costs, stops, tables=test_tables).metrics
            if tested
            else None
        )
        champions.append(Champion(parameters, score, metrics_row(metrics), after))
    return DiscoveryReport(
        strategy=search.strategy,
        settings=search.settings,
        parts=parts,
        costs=costs,
        stops=stops,
        champions=tuple(champions),
        log=tuple(search.log),
        evaluations=search.evaluations,
        stop_reason=search.stop_reason,
        backtest_s=search.backtest_s,
        elapsed_s=search.elapsed_s,
        hold_in_sample=held[0].metrics,
        hold_out_of_sample=held[1].metrics if tested else None,
    )
