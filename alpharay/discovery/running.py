"""A search that is running: its islands between two rounds, the log, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from alpharay.discovery.champions import Champions, best_distinct
from alpharay.discovery.checkpoint import SearchCheckpoint, check_configuration
from alpharay.discovery.evolution import IslandAdvance, IslandTask
from alpharay.discovery.island import Island, Trace, begin
from alpharay.discovery.migration import migrate
from alpharay.discovery.objectives import WORST
from alpharay.discovery.report import Generation, StopReason
from alpharay.discovery.search_space import SearchSpace, search_space
from alpharay.discovery.settings import SearchSettings
from alpharay.strategies.strategy import Strategy


@dataclass(slots=True)
class RunningSearch:
    """One of the searches that run side by side; changed by `absorb` alone, when all its islands are back."""

    strategy: Strategy
    space: SearchSpace
    settings: SearchSettings
    timeframe: str
    market: int
    """Place of its candles among those of the `Evolution`."""
    islands: list[Island]
    champions: Champions
    log: list[Generation] = field(default_factory=list)
    stop_reason: StopReason | None = None
    backtest_s: float = 0.0
    elapsed_s: float = 0.0
    generation_s: float = 0.0
    """What a generation of one island took in the last round, to size the tasks of the next."""

    @property
    def evaluations(self) -> int:
        """Backtests so far."""
        return sum(island.evaluations for island in self.islands)


def start(strategy: Strategy, settings: SearchSettings, timeframe: str, market: int) -> RunningSearch:
    """Return a search that has done nothing yet."""
    space = search_space(strategy)
    islands = [begin(space, settings, number) for number in range(len(settings.island_populations))]
    return RunningSearch(strategy, space, settings, timeframe, market, islands, islands[0].champions)


def tasks_of(search: RunningSearch, seconds: float) -> list[IslandTask]:
    """Return a task for each island, of about so many seconds and at least one generation.

    None goes past the next migration. The cut decides nothing but who waits for whom.
    """
    generations = max(int(seconds / search.generation_s), 1) if search.generation_s > 0.0 else 1
    generation, settings = len(search.log), search.settings
    generations = min(generations, settings.generations - generation)
    if len(search.islands) > 1:
        generations = min(generations, settings.migration_interval - generation % settings.migration_interval)
    return [
        IslandTask(search.strategy, search.space, settings, island, generations, search.market)
        for island in search.islands
    ]


def absorb(search: RunningSearch, done: Sequence[IslandAdvance], elapsed_s: float, *, late: bool) -> list[Generation]:
    """Take over the advanced islands and return the new generations; `late` ends the search.

    Migrants go round when it is time.
    """
    settings = search.settings
    search.islands = [item.island for item in done]
    search.backtest_s += sum(item.backtest_s for item in done)
    search.elapsed_s = elapsed_s
    for island in search.islands:
        found = island.champions
        search.champions = best_distinct(
            search.champions, found.genomes, found.fitness, found.metrics, settings.top_n
        )  # fmt: skip
    traces = list(zip(*(item.traces for item in done), strict=True))
    search.generation_s = sum(item.seconds for item in done) / (len(done) * len(traces))
    first = len(search.log)
    for rows in traces:
        search.log.append(_generation(search, rows, elapsed_s))
    meeting = len(search.islands) == 1 or len(search.log) % settings.migration_interval == 0
    if len(search.log) >= settings.generations:
        search.stop_reason = "generations"
    elif meeting and _stagnant(search.log) >= settings.patience:
        search.stop_reason = "stagnation"
    elif late:
        search.stop_reason = "time_budget"
    search.log[-1] = replace(search.log[-1], stop_reason=search.stop_reason)
    if meeting and len(search.islands) > 1 and search.stop_reason in (None, "time_budget"):
        # After the budget too: the search may be resumed.
        search.islands = migrate(search.islands, settings)
    return search.log[first:]


def _generation(search: RunningSearch, rows: Sequence[Trace], elapsed_s: float) -> Generation:
    scores = np.sort(np.concatenate([trace.scores for trace in rows]))
    return Generation(
        strategy_name=search.strategy.name,
        generation=len(search.log) + 1,
        generations=search.settings.generations,
        evaluations=sum(trace.evaluations for trace in rows),
        best=max(search.log[-1].best if search.log else WORST, *(trace.best for trace in rows)),
        median=float(scores[len(scores) // 2]),
        diversity=float(np.mean([trace.diversity for trace in rows])),
        elapsed_s=elapsed_s,
        stop_reason=None,
        timeframe=search.timeframe,
    )


def _stagnant(log: Sequence[Generation]) -> int:
    """Return how many generations ago the best score was reached."""
    return sum(item.best == log[-1].best for item in log) - (log[-1].best > WORST)


def checkpoint_of(search: RunningSearch, configuration: dict[str, str]) -> SearchCheckpoint:
    """Return the search as a value."""
    return SearchCheckpoint(
        strategy_name=search.strategy.name,
        timeframe=search.timeframe,
        configuration=configuration,
        islands=tuple(search.islands),
        champions=search.champions,
        log=tuple(search.log),
        stop_reason=search.stop_reason,
        backtest_s=search.backtest_s,
        elapsed_s=search.elapsed_s,
    )


def resumed(search: RunningSearch, checkpoint: SearchCheckpoint, configuration: dict[str, str]) -> None:
    """Put a search where its checkpoint was; raises CheckpointError when that was another search.

    One that the time budget had ended goes on.
    """
    check_configuration(f"{checkpoint.strategy_name} {checkpoint.timeframe}", checkpoint.configuration, configuration)
    cut_short = checkpoint.stop_reason in ("time_budget", "interrupted")
    search.islands = list(checkpoint.islands)
    search.champions = checkpoint.champions
    search.log = list(checkpoint.log)
    search.stop_reason = None if cut_short else checkpoint.stop_reason
    search.backtest_s, search.elapsed_s = checkpoint.backtest_s, checkpoint.elapsed_s
