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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import ceil

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.market import Market, open_market
from alpharay.backtest.metrics import METRIC_NAMES, metrics_row
from alpharay.backtest.population import backtest_population
from alpharay.backtest.single import Backtest
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.checkpoint import check_configuration
from alpharay.discovery.evaluation import Evaluated, Executor, SerialExecutor
from alpharay.discovery.evolution_settings import EvolutionSettings
from alpharay.discovery.objectives import WORST, Objective, objective_named, scores
from alpharay.discovery.open_markets import OpenMarkets
from alpharay.discovery.report import Champion, DiscoveryReport, Generation, OnGeneration, StopReason
from alpharay.discovery.rule_checkpoint import RuleCheckpoint, key_array, rule_key, rule_pairs, rule_texts
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
from alpharay.market.fingerprint import fingerprint
from alpharay.strategies.strategy import Strategy

__all__ = ["NAME", "EvolutionSettings", "RuleEvaluator", "Scored", "evolve_rules"]

NAME = "EVOLVED"
"""How the evolution shows in progress tables; each rule found has a name of its own."""

DEFAULTS = EvolutionSettings()
BATCHES_A_WORKER = 4


@dataclass(frozen=True, slots=True)
class Scored:
    """A rule pair, its score and its metrics in sample."""

    pair: RulePair
    score: float
    metrics: FloatArray


class RuleEvaluator:
    """Backtests strategies without parameters on `candles`; otherwise as `alpharay.discovery.evaluation.Evaluator`."""

    __slots__ = ("_market", "candles", "costs", "frictions", "markets", "stops")

    def __init__(
        self,
        candles: Candles,
        costs: Costs,
        stops: Stops,
        frictions: Frictions | None = None,
        markets: OpenMarkets | None = None,
    ) -> None:
        self.candles, self.costs, self.stops, self.frictions = candles, costs, stops, frictions
        self.markets = markets
        self._market: Market | None = None

    def __call__(self, strategies: Sequence[Strategy]) -> Evaluated:
        """Return one row of metrics a strategy."""
        started = time.perf_counter()
        if self._market is None:
            self._market = (open_market if self.markets is None else self.markets.open)(self.candles)
        nothing, account = np.empty((1, 0)), (self.costs, self.stops, self.frictions)
        rows = [backtest_population(one, nothing, self._market, *account).metrics for one in strategies]
        metrics = np.concatenate([np.empty((0, len(METRIC_NAMES))), *rows])
        return Evaluated(metrics, time.perf_counter() - started)

    def __reduce__(self) -> tuple[type[RuleEvaluator], tuple[Candles, Costs, Stops, Frictions | None]]:
        """Travel without the market."""
        return RuleEvaluator, (self.candles, self.costs, self.stops, self.frictions)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An evolution between two generations."""

    timeframe: str
    population: list[Scored] = field(default_factory=list)
    best: list[Scored] = field(default_factory=list)
    tried: frozenset[int] = frozenset()
    """Keys of all pairs that were evaluated."""
    log: tuple[Generation, ...] = ()
    stagnant: int = 0
    backtest_s: float = 0.0
    before_s: float = 0.0
    """Time that the evolution had taken when it was resumed."""
    stop_reason: StopReason | None = None


def evolve_rules(
    candles: Candles,
    settings: EvolutionSettings = DEFAULTS,
    *,
    executor: Executor | None = None,
    on_generation: OnGeneration | None = None,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    frictions: Frictions | None = None,
    time_budget_s: float | None = None,
    resume: RuleCheckpoint | None = None,
    on_checkpoint: Callable[[RuleCheckpoint], None] | None = None,
    markets: OpenMarkets | None = None,
) -> list[DiscoveryReport]:
    """Evolve rules on the first part of `candles`; return one report for each of the best, best score first.

    The same seed gives the same rules with any executor. Ctrl-C and the time budget keep what was found. Each report
    holds one strategy with its evolved constants as the only champion. With `frictions` every backtest has an account
    of money. `on_checkpoint` gets the evolution after each generation, and `resume` goes on from it with the same
    result as undisturbed; `markets` keeps columns, as in `discover_all`. Raises ValueError as that does.
    """
    started = time.perf_counter()
    search = settings.search
    parts = split(candles, search.train_fraction)
    executor = executor or SerialExecutor()
    evaluator = RuleEvaluator(parts.train, costs, stops, frictions, markets)
    configuration = _configuration(settings, evaluator) if resume is not None or on_checkpoint is not None else {}
    known: dict[str, FloatArray] = {}
    run = _Running(timeframe=candles.timeframe)
    if resume is not None:
        run = _resumed(run, resume, configuration, settings, known)
    try:
        while run.stop_reason is None:
            pairs = _next_pairs(settings, run.population, len(run.log))
            backtest_s = _evaluate(pairs, known, evaluator, executor)
            # At once, so that an interruption finds a generation done or not begun.
            run = _advanced(run, settings, pairs, known, backtest_s, time.perf_counter() - started, time_budget_s)
            if on_checkpoint is not None:
                on_checkpoint(_checkpoint(run, configuration))
            if on_generation is not None:
                on_generation(run.log[-1])
    except KeyboardInterrupt:
        run = replace(run, stop_reason="interrupted")
    held = (
        buy_and_hold(parts.train, costs, frictions),
        buy_and_hold(parts.test, costs, frictions) if len(parts.test) else None,
    )
    elapsed_s = run.before_s + time.perf_counter() - started
    return [_report(one, settings, parts, evaluator, run, elapsed_s, held) for one in run.best]


def _advanced(
    run: _Running,
    settings: EvolutionSettings,
    pairs: Sequence[RulePair],
    known: Mapping[str, FloatArray],
    backtest_s: float,
    passed_s: float,
    time_budget_s: float | None,
) -> _Running:
    """Return the evolution after one more generation, whose `pairs` have been evaluated."""
    search = settings.search
    population = _scored(pairs, known, objective_named(search.objective), search.min_trades)
    best = _best([*run.best, *population], search.top_n)
    before, found = (scored[0].score if scored else WORST for scored in (run.best, best))
    stagnant = 0 if found > before else run.stagnant + 1
    stop_reason = _stop_reason(search, len(run.log) + 1, stagnant, passed_s, time_budget_s)
    tried = run.tried.union(map(rule_key, pairs))
    values = sorted(one.score for one in population)
    generation = Generation(
        strategy_name=NAME,
        generation=len(run.log) + 1,
        generations=search.generations,
        evaluations=len(tried),
        best=found,
        median=values[len(values) // 2],
        diversity=len({str(pair) for pair in pairs}) / len(pairs),
        elapsed_s=run.before_s + passed_s,
        stop_reason=stop_reason,
        timeframe=run.timeframe,
    )
    return replace(
        run,
        population=population,
        best=best,
        tried=tried,
        log=(*run.log, generation),
        stagnant=stagnant,
        backtest_s=run.backtest_s + backtest_s,
        stop_reason=stop_reason,
    )


def _configuration(settings: EvolutionSettings, evaluator: RuleEvaluator) -> dict[str, str]:
    """Return everything that decides what an evolution finds, by name."""
    found = {name: repr(value) for name, value in asdict(settings).items()}
    # One name for each of the search's settings: what differs is then told by it.
    del found["search"]
    found |= {f"search.{name}": repr(value) for name, value in asdict(settings.search).items()}
    found["candles"] = fingerprint(evaluator.candles)
    found |= {name: repr(getattr(evaluator, name)) for name in ("costs", "stops", "frictions")}
    return found


def _checkpoint(run: _Running, configuration: dict[str, str]) -> RuleCheckpoint:
    def metrics(scored: Sequence[Scored]) -> FloatArray:
        return np.array([one.metrics for one in scored]).reshape(len(scored), len(METRIC_NAMES))

    return RuleCheckpoint(
        configuration=configuration,
        population=rule_texts(one.pair for one in run.population),
        population_metrics=metrics(run.population),
        best=rule_texts(one.pair for one in run.best),
        best_metrics=metrics(run.best),
        tried=key_array(run.tried),
        stagnant=run.stagnant,
        log=run.log,
        stop_reason=run.stop_reason,
        backtest_s=run.backtest_s,
        elapsed_s=run.log[-1].elapsed_s,
    )


def _resumed(
    run: _Running,
    checkpoint: RuleCheckpoint,
    configuration: dict[str, str],
    settings: EvolutionSettings,
    known: dict[str, FloatArray],
) -> _Running:
    """Return the evolution where its checkpoint was, and add the metrics that it has to `known`.

    Raises CheckpointError when it was another evolution. One that the time budget had ended goes on.
    """
    check_configuration(NAME, checkpoint.configuration, configuration)
    objective, least = objective_named(settings.search.objective), settings.search.min_trades
    pairs, best = rule_pairs(checkpoint.population), rule_pairs(checkpoint.best)
    known |= {str(pair): row for pair, row in zip(pairs, checkpoint.population_metrics, strict=True)}
    known |= {str(pair): row for pair, row in zip(best, checkpoint.best_metrics, strict=True)}
    return replace(
        run,
        tried=frozenset(checkpoint.tried.tolist()),
        population=_scored(pairs, known, objective, least),
        best=_scored(best, known, objective, least),
        log=checkpoint.log,
        stagnant=checkpoint.stagnant,
        backtest_s=checkpoint.backtest_s,
        before_s=checkpoint.elapsed_s,
        stop_reason=None if checkpoint.stop_reason in ("time_budget", "interrupted") else checkpoint.stop_reason,
    )


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
    pairs: Sequence[RulePair], known: Mapping[str, FloatArray], objective: Objective, min_trades: int
) -> list[Scored]:
    metrics = np.array([known[str(pair)] for pair in pairs]).reshape(len(pairs), len(METRIC_NAMES))
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


def _report(
    found: Scored,
    settings: EvolutionSettings,
    parts: Split,
    evaluator: RuleEvaluator,
    run: _Running,
    elapsed_s: float,
    held: tuple[Backtest, Backtest | None],
) -> DiscoveryReport:
    assert run.stop_reason is not None, "an evolution is reported after it has ended"
    strategy = evolved_strategy(found.pair)
    parameters = strategy.defaults
    costs, stops, frictions = evaluator.costs, evaluator.stops, evaluator.frictions
    after = out_of_sample(strategy, parameters, parts, costs, stops, frictions).metrics if len(parts.test) else None
    return DiscoveryReport(
        strategy=strategy,
        settings=replace(settings.search, top_n=1),
        parts=parts,
        costs=costs,
        stops=stops,
        champions=(Champion(parameters, found.score, metrics_row(found.metrics), after),),
        log=run.log,
        evaluations=len(run.tried),
        stop_reason=run.stop_reason,
        backtest_s=run.backtest_s,
        elapsed_s=elapsed_s,
        hold_in_sample=held[0].metrics,
        hold_out_of_sample=held[1].metrics if held[1] is not None else None,
        frictions=frictions,
    )
