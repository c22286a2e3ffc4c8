"""Strongly typed genetic programming: grow entry and exit rules out of the indicators, instead of tuning a given rule.

Koza 1992, "Genetic Programming"; types after Montana 1995. Bloat is held down by the double tournament of Luke & Panait
2002 ("Fighting Bloat with Nonparametric Parsimony Pressure") and a limit of nodes a rule. What comes out are ordinary
strategies with their constants as parameters: stored, validated and served like the catalogue's.

A rule grown freely fits noise far more easily than one of a few parameters: nothing found here is worth anything before
validation has repeated the whole evolution on markets without an edge.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.market import Market, open_market
from alpharay.backtest.metrics import METRIC_NAMES, metrics_row
from alpharay.backtest.population import backtest_population
from alpharay.backtest.single import Backtest
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.evaluation import Evaluated, Executor, SerialExecutor
from alpharay.discovery.objectives import WORST, Objective, objective_named, scores
from alpharay.discovery.report import Champion, DiscoveryReport, Generation, OnGeneration, StopReason
from alpharay.discovery.rule_tree import (
    RulePair,
    cross,
    evolved_strategy,
    fixed_strategy,
    is_pointless,
    mutate,
    random_pair,
    seeded,
)
from alpharay.discovery.settings import SearchSettings
from alpharay.discovery.split import Split, buy_and_hold, out_of_sample, split
from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.strategy import Strategy

NAME = "EVOLVED"
"""How the evolution shows in progress tables; each rule found has a name of its own."""

BATCHES_A_WORKER = 4


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


@dataclass(frozen=True, slots=True)
class Scored:
    """A rule pair, its score and its metrics in sample."""

    pair: RulePair
    score: float
    metrics: FloatArray


class RuleEvaluator:
    """Backtests strategies without parameters on `candles`; opens the market where it runs, and keeps its columns."""

    __slots__ = ("_market", "candles", "costs", "stops")

    def __init__(self, candles: Candles, costs: Costs, stops: Stops) -> None:
        self.candles, self.costs, self.stops = candles, costs, stops
        self._market: Market | None = None

    def __call__(self, strategies: Sequence[Strategy]) -> Evaluated:
        """Return one row of metrics a strategy."""
        started = time.perf_counter()
        if self._market is None:
            self._market = open_market(self.candles)
        nothing = np.empty((1, 0))
        rows = [backtest_population(one, nothing, self._market, self.costs, self.stops).metrics for one in strategies]
        metrics = np.concatenate([np.empty((0, len(METRIC_NAMES))), *rows])
        return Evaluated(metrics, time.perf_counter() - started)

    def __reduce__(self) -> tuple[type[RuleEvaluator], tuple[Candles, Costs, Stops]]:
        """Travel without the market."""
        return RuleEvaluator, (self.candles, self.costs, self.stops)


def evolve_rules(
    candles: Candles,
    settings: EvolutionSettings = EvolutionSettings(),
    *,
    executor: Executor | None = None,
    on_generation: OnGeneration | None = None,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    time_budget_s: float | None = None,
) -> list[DiscoveryReport]:
    """Evolve rules on the first part of `candles`; return one report for each of the best, best score first.

    The same seed gives the same rules with any executor. Ctrl-C and the time budget keep what was found. Each report
    holds one strategy with its evolved constants as the only champion. Raises ValueError as `discover` does.
    """
    started = time.perf_counter()
    search = settings.search
    parts = split(candles, search.train_fraction)
    executor = executor or SerialExecutor()
    evaluator = RuleEvaluator(parts.train, costs, stops)
    objective = objective_named(search.objective)
    known: dict[str, FloatArray] = {}
    population: list[Scored] = []
    best: list[Scored] = []
    log: list[Generation] = []
    stagnant, backtest_s, stop_reason = 0, 0.0, None
    try:
        while stop_reason is None:
            pairs = _next_pairs(settings, population, len(log))
            before = best[0].score if best else WORST
            backtest_s += _evaluate(pairs, known, evaluator, executor)
            population = _scored(pairs, known, objective, search.min_trades)
            best = _best([*best, *population], search.top_n)
            found = best[0].score if best else WORST
            stagnant = 0 if found > before else stagnant + 1
            elapsed_s = time.perf_counter() - started
            stop_reason = _stop_reason(search, len(log) + 1, stagnant, elapsed_s, time_budget_s)
            log.append(_generation(search, len(log) + 1, known, population, found, elapsed_s, stop_reason))
            if on_generation is not None:
                on_generation(log[-1])
    except KeyboardInterrupt:
        stop_reason = "interrupted"
    held = buy_and_hold(parts.train, costs), (buy_and_hold(parts.test, costs) if len(parts.test) else None)
    return [
        _report(one, settings, parts, costs, stops, tuple(log), len(known), stop_reason, backtest_s, started, held)
        for one in best
    ]


def _next_pairs(settings: EvolutionSettings, population: Sequence[Scored], generation: int) -> list[RulePair]:
    """Return the pairs of a generation; the random numbers depend on (seed, generation) alone."""
    size = settings.search.population
    with seeded(settings.search.seed, generation):
        if not population:
            return [random_pair(settings.height) for _ in range(size)]
        children = [one.pair for one in _best(population, settings.elites)]
        while len(children) < size:
            parent = _parent(settings, population)
            if random.random() < settings.crossover_probability:
                child = cross(parent, _parent(settings, population), settings.most_nodes)
                if random.random() < settings.search.mutation_probability:
                    child = mutate(child, settings.height, settings.most_nodes)
            else:
                child = mutate(parent, settings.height, settings.most_nodes)
            children.append(child)
        return children


def _parent(settings: EvolutionSettings, population: Sequence[Scored]) -> RulePair:
    """Return the winner of a double tournament: the smaller of two winners by score, more often than not."""
    winners = [
        max(random.choices(population, k=settings.search.tournament_size), key=lambda one: one.score) for _ in range(2)
    ]
    small, large = sorted(winners, key=lambda one: len(one.pair))
    return (small if random.random() < settings.parsimony / 2.0 else large).pair


def _evaluate(
    pairs: Sequence[RulePair], known: dict[str, FloatArray], evaluator: RuleEvaluator, executor: Executor
) -> float:
    """Add the metrics of pairs that are not known yet, and return the seconds that their backtests took."""
    fresh = {str(pair): pair for pair in pairs if str(pair) not in known}
    strategies = {text: fixed_strategy(pair) for text, pair in fresh.items()}
    asked = {text: strategy for text, strategy in strategies.items() if not is_pointless(strategy)}
    rows = max(ceil(len(asked) / (executor.workers * BATCHES_A_WORKER)), 1) if executor.workers > 1 else len(asked)
    listed = list(asked.values())
    batches = [tuple(listed[start : start + rows]) for start in range(0, len(listed), max(rows, 1))]
    evaluated = list(executor(evaluator, batches))
    metrics = np.concatenate([np.empty((0, len(METRIC_NAMES))), *(item.metrics for item in evaluated)])
    known.update(zip(asked, metrics, strict=True))
    # What says nothing never trades.
    known.update({text: np.zeros(len(METRIC_NAMES)) for text in fresh if text not in asked})
    return sum(item.seconds for item in evaluated)


def _scored(
    pairs: Sequence[RulePair], known: dict[str, FloatArray], objective: Objective, min_trades: int
) -> list[Scored]:
    metrics = np.array([known[str(pair)] for pair in pairs])
    values = scores(objective, metrics, min_trades)
    return [Scored(pair, float(score), row) for pair, score, row in zip(pairs, values, metrics, strict=True)]


def _best(population: Sequence[Scored], rows: int) -> list[Scored]:
    """Return the best pairs that scored; of those that did the same, only the smallest, then the first by text."""
    chosen: list[Scored] = []
    done: set[bytes] = set()
    for one in sorted(population, key=lambda one: (-one.score, len(one.pair), str(one.pair))):
        if len(chosen) == rows or one.score == WORST:
            break
        if one.metrics.tobytes() not in done:
            done.add(one.metrics.tobytes())
            chosen.append(one)
    return chosen


def _stop_reason(
    search: SearchSettings, generation: int, stagnant: int, elapsed_s: float, time_budget_s: float | None
) -> StopReason | None:
    if generation >= search.generations:
        return "generations"
    if stagnant >= search.patience:
        return "stagnation"
    if time_budget_s is not None and elapsed_s >= time_budget_s:
        return "time_budget"
    return None


def _generation(
    search: SearchSettings,
    generation: int,
    known: dict[str, FloatArray],
    population: Sequence[Scored],
    best: float,
    elapsed_s: float,
    stop_reason: StopReason | None,
) -> Generation:
    values = sorted(one.score for one in population)
    return Generation(
        strategy_name=NAME,
        generation=generation,
        generations=search.generations,
        evaluations=len(known),
        best=best,
        median=values[len(values) // 2],
        diversity=len({str(one.pair) for one in population}) / len(population),
        elapsed_s=elapsed_s,
        stop_reason=stop_reason,
    )


def _report(
    found: Scored,
    settings: EvolutionSettings,
    parts: Split,
    costs: Costs,
    stops: Stops,
    log: tuple[Generation, ...],
    evaluations: int,
    stop_reason: StopReason,
    backtest_s: float,
    started: float,
    held: tuple[Backtest, Backtest | None],
) -> DiscoveryReport:
    strategy = evolved_strategy(found.pair)
    parameters = strategy.defaults
    after = out_of_sample(strategy, parameters, parts, costs, stops).metrics if len(parts.test) else None
    return DiscoveryReport(
        strategy=strategy,
        settings=replace(settings.search, top_n=1),
        parts=parts,
        costs=costs,
        stops=stops,
        champions=(Champion(parameters, found.score, metrics_row(found.metrics), after),),
        log=log,
        evaluations=evaluations,
        stop_reason=stop_reason,
        backtest_s=backtest_s,
        elapsed_s=time.perf_counter() - started,
        hold_in_sample=held[0].metrics,
        hold_out_of_sample=held[1].metrics if held[1] is not None else None,
    )
