"""The search for strategies' parameters: islands evolve, migrants go round, champions are judged on unseen candles.

A search's state is a value and an island's generation a pure function of it (`alpharay.discovery.island`). So
champions are the same bits on any number of workers, after a worker was killed, and resumed from a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.checkpoint import Checkpoint
from alpharay.discovery.evaluation import Evaluator, Executor, SerialExecutor
from alpharay.discovery.judgement import Judge
from alpharay.discovery.open_markets import OpenMarkets
from alpharay.discovery.report import Champion, DiscoveryReport, Generation, OnGeneration
from alpharay.discovery.rounds import Arena, Course, run_searches
from alpharay.discovery.settings import SearchSettings
from alpharay.discovery.timeframes import timeframe_splits
from alpharay.market.candles import Candles
from alpharay.strategies.strategy import Strategy

__all__ = ["Champion", "DiscoveryReport", "Generation", "OnGeneration", "SearchSettings", "discover", "discover_all"]


def discover(
    strategy: Strategy,
    candles: Candles,
    settings: SearchSettings,
    *,
    executor: Executor | None = None,
    on_generation: OnGeneration | None = None,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    frictions: Frictions | None = None,
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
        frictions=frictions,
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
    frictions: Frictions | None = None,
    time_budget_s: float | None = None,
    resume: Checkpoint | None = None,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
    markets: OpenMarkets | None = None,
) -> list[DiscoveryReport]:
    """Search each strategy's parameters on the first part of `candles`, judge the champions on the rest.

    Each pair of a strategy and a time frame is a search of its own, and they run side by side: a round advances
    every island of each. In this process a round is one generation, through an executor as many as take a second
    or two. The reports come in the order of the strategies, for each in the order of the time frames, and do not
    depend on the executor. KeyboardInterrupt and the time budget (which is looked at after each round) end the
    searches early; the reports then hold what was found so far.

    With `frictions` every backtest, in sample and out of sample, has an account of money, which takes longer. `markets`
    keeps columns for the next search in this process; they change nothing that is found.

    `on_checkpoint` gets all searches after each round. `resume` goes on from such a checkpoint, and ends as the
    undisturbed search would have; searches that it does not hold begin anew. Raises ValueError when it is of another
    configuration, when there are too few candles, or when a price is not finite and positive.
    """
    splits = timeframe_splits(candles, settings)
    arenas = [
        Arena(
            parts.candles.timeframe,
            (parts.train,),
            Evaluator(parts.train, costs, stops, frictions, share=len(splits), markets=markets),
        )
        for parts in splits
    ]
    course = Course(
        executor=executor or SerialExecutor(),
        on_generation=on_generation,
        time_budget_s=time_budget_s,
        resume=resume,
        on_checkpoint=on_checkpoint,
    )
    also = {} if frictions is None else {"frictions": repr(frictions)}
    searches = run_searches(strategies, settings, arenas, course, costs, stops, also)
    judges = [Judge(parts, costs, stops, frictions) for parts in splits]
    return [judges[search.market].report(search) for search in searches]
