"""What a report is made of: candles, strategies, what a search and a validation said; nothing that asks a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.leaderboard import leaderboard
from alpharay.discovery.report import DiscoveryReport
from alpharay.discovery.split import Split
from alpharay.reports.search_log import SearchLog, search_log
from alpharay.strategies.strategy import Strategy

EVOLVED = "EVOLVED"
"""How the names begin that `alpharay.discovery.rule_tree` gives to evolved rules."""

EVOLVED_NOTE = (
    "An evolved rule: its shape was searched too, not only its numbers. The permutation test repeats the search of its "
    "constants, not the evolution, and is too kind to it."
)

Figures = Mapping[str, float | None]
"""Metrics by name, as `alpharay.backtest.metrics.metrics_json` gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedStrategy:
    """One parameter set of a strategy, with what was said of it when it was found."""

    strategy: Strategy
    parameters: Mapping[str, float]
    score: float | None = None
    """The objective's value in sample; None when no search has found it."""
    in_sample: Figures | None = None
    out_of_sample: Figures | None = None
    strategy_id: str = ""
    status: str = ""

    @property
    def label(self) -> str:
        """The name with its parameters."""
        return " ".join((self.strategy.name, parameters_text(self.parameters)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """Everything that one report shows."""

    parts: Split
    """The run's window; all of it is drawn, nothing that is newer: who looks at unseen candles has used them."""
    strategies: tuple[ReportedStrategy, ...]
    """Best score first; empty when nothing was found."""
    shown: int = 0
    """Which of them is drawn in detail."""
    costs: Costs = Costs()
    stops: Stops = NO_STOPS
    frictions: Frictions | None = None
    objective: str = ""
    """What the scores are; empty when there was no search."""
    run_id: str = ""
    evaluations: int = 0
    """Backtests from which the champions were picked."""
    log: SearchLog | None = None
    validation: Mapping[str, Any] | None = None
    """The newest record of `alpharay.validation.validation.validation_json` about the strategy shown."""
    notes: tuple[str, ...] = ()
    """Sentences that belong to these figures."""


def notes_on(strategy_name: str) -> tuple[str, ...]:
    """Return the sentences that belong to the figures of a strategy of this name."""
    return (EVOLVED_NOTE,) if strategy_name.startswith(EVOLVED) else ()


def content_of(
    reports: Sequence[DiscoveryReport], validation: Mapping[str, Any] | None = None, *, run_id: str = ""
) -> ReportContent:
    """Return the content for searches of one market; the best in sample is drawn in detail.

    Several searches give their best champion each, one search gives all of its own. Of searches on several time frames
    only those on the best one's are shown, for they share its candles. Raises ValueError without a search.
    """
    if not reports:
        raise ValueError("a report needs at least one search, was none")
    best = leaderboard(reports, a_strategy=1)
    first = best[0].report if best else reports[0]
    timeframe = first.parts.candles.timeframe
    shown = [report for report in reports if report.parts.candles.timeframe == timeframe]
    others = sorted({report.parts.candles.timeframe for report in reports} - {timeframe})
    apart = (f"Searches on {', '.join(others)} are not part of this report.",) if others else ()
    entries = leaderboard(shown, a_strategy=1 if len(shown) > 1 else None)
    return ReportContent(
        parts=first.parts,
        strategies=tuple(
            ReportedStrategy(
                strategy=entry.report.strategy,
                parameters=entry.champion.parameters,
                score=entry.champion.score,
                in_sample=metrics_json(entry.champion.in_sample),
                out_of_sample=None
                if entry.champion.out_of_sample is None
                else metrics_json(entry.champion.out_of_sample),
            )
            for entry in entries
        ),
        costs=first.costs,
        stops=first.stops,
        frictions=first.frictions,
        objective=first.settings.objective,
        run_id=run_id,
        # What was searched elsewhere was a try too.
        evaluations=sum(report.evaluations for report in reports),
        log=search_log(first.log) if first.log else None,
        validation=validation,
        notes=(*notes_on(first.strategy.name), *apart),
    )


def parameters_text(parameters: Mapping[str, float]) -> str:
    """Return parameters as `fast=5 slow=20`."""
    return " ".join(f"{name}={value:g}" for name, value in parameters.items())
