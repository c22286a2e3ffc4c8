"""The signals of a stretch of time and what became of them, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from alpharay.analytics.confidence_calibration import calibration
from alpharay.analytics.decisions import Decisions, MarketName, no_decisions
from alpharay.analytics.performance import performance


class AppliedTerms(NamedTuple):
    """How outcomes were worked out (`alpharay.analytics.outcome.OutcomeTerms`)."""

    horizon: int
    fee: float
    slippage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRecord:
    """What is known of the signals of the newest `days`."""

    days: float
    decisions: Decisions = field(default_factory=no_decisions)
    endings: Mapping[tuple[MarketName, str, str], int] = field(default_factory=dict)
    """How many signals by market, action, and ending (`alpharay.analytics.outcome.Ending`'s names)."""
    terms: Mapping[AppliedTerms, int] = field(default_factory=dict)
    """How many decisions were worked out on which terms; more than one where the job's options have changed."""
    strategy_names: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    """False where there were more decisions than are kept: then the newest are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which markets are meant; None for any."""

    symbol: str | None = None
    exchange: str | None = None
    timeframe: str | None = None

    def takes(self, market: MarketName) -> bool:
        """Tell whether a market is meant."""
        return (
            self.symbol in (None, market.symbol)
            and self.exchange in (None, market.exchange)
            and self.timeframe in (None, market.timeframe)
        )


def summary(record: SignalRecord, chosen: Chosen = Chosen()) -> dict[str, Any]:
    """Return how many signals there were, how they ended, and how good they were, all and by action."""
    decisions = chosen_decisions(record, chosen)
    counts = {market: number for market, number in record.endings.items() if chosen.takes(market[0])}
    return {
        **_frame(record),
        "signals": _summed(counts, lambda key: key[1]),
        "endings": _summed(counts, lambda key: key[2]),
        "performance": performance(decisions),
        "by_action": {action: performance(part) for action, part in decisions.by_action().items()},
    }


def by_symbol(record: SignalRecord, chosen: Chosen = Chosen()) -> dict[str, Any]:
    """Return the figures of each market, those with most to say first."""
    rows = [
        {**market._asdict(), "performance": performance(part)}
        for market, part in chosen_decisions(record, chosen).by_market().items()
    ]
    return {**_frame(record), "markets": _most_first(rows)}


def by_strategy(record: SignalRecord, chosen: Chosen = Chosen(), most: int = 100) -> dict[str, Any]:
    """Return the figures of the signals that each strategy asked for, those with most to say first.

    A signal has several strategies behind it and counts for each that asked for what it said.
    """
    rows = [
        {
            "strategy_id": strategy_id,
            "name": record.strategy_names.get(strategy_id),
            "markets": [part.markets[number]._asdict() for number in np.unique(part.market).tolist()],
            "performance": performance(part),
        }
        for strategy_id, part in chosen_decisions(record, chosen).by_strategy().items()
    ]
    return {**_frame(record), "strategies": _most_first(rows)[:most], "strategies_known": len(rows)}


def confidence_curve(record: SignalRecord, chosen: Chosen = Chosen(), bins: int = 10) -> dict[str, Any]:
    """Return the calibration curve of the confidences."""
    return {**_frame(record), "calibration": calibration(chosen_decisions(record, chosen), bins)}


def chosen_decisions(record: SignalRecord, chosen: Chosen) -> Decisions:
    """Return the decisions of the markets that are meant."""
    decisions = record.decisions
    meant = np.array([chosen.takes(market) for market in decisions.markets], np.bool_)
    return decisions if meant.all() else decisions.take(meant[decisions.market])


def _frame(record: SignalRecord) -> dict[str, Any]:
    return {
        "days": record.days,
        "complete": record.complete,
        "terms": [{**terms._asdict(), "decisions": number} for terms, number in sorted(record.terms.items())],
    }


def _summed(
    counts: Mapping[tuple[MarketName, str, str], int], name_of: Callable[[tuple[MarketName, str, str]], str]
) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, number in sorted(counts.items()):
        found[name_of(key)] = found.get(name_of(key), 0) + number
    return found


def _most_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -row["performance"].independent)
