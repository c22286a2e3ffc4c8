"""How much of the equity a signal suggests, by the platform's own sizing; nothing of it is placed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from alpharay.portfolio.sizing import Sizing, TradeRecord, blended
from alpharay.signals.decision import Decision
from alpharay.signals.opinion import DEGRADED, Opinion, abstention

MOST_FRACTION = 1.0
"""A suggestion borrows nothing."""


@dataclass(frozen=True, slots=True)
class SuggestedSize:
    """A suggestion: the fraction of equity, its word, and how it came about (None where nothing was sized)."""

    fraction: float
    opinion: Opinion
    sizing: Sizing | None = None


def suggested_size(decision: Decision, volatility: float | None, record: TradeRecord | None) -> SuggestedSize:
    """Return the blend of `alpharay.portfolio.sizing` at the decision's confidence and a year's `volatility`.

    `record` is of the strategy of most weight that asks for the trade; without one its part of the blend is 0. HOLD
    and a market without volatility have no size.
    """
    if decision.action == "HOLD":
        return SuggestedSize(0.0, abstention("size", "HOLD asks for no trade"))
    if volatility is None:
        return SuggestedSize(
            0.0, abstention("size", "the volatility of the market is not known, or it does not move", "no_volatility")
        )
    sizing = blended(
        record or TradeRecord(wins=0, losses=0, average_win=0.0, average_loss=0.0),
        confidence=decision.confidence,
        volatility=volatility,
        maximum=MOST_FRACTION,
    )
    parts = ", ".join(f"{part.method.replace('_', ' ')} {part.fraction:.2%}" for _, part in sizing.parts)
    why = f"{sizing.fraction:.2%} of equity, blended from {parts} at a yearly volatility of {volatility:.0%}"
    flags = (DEGRADED, "no_trade_record") if record is None else ()
    opinion = Opinion(name="size", score=0.0, confidence=decision.confidence, why=why, flags=flags)
    return SuggestedSize(sizing.fraction, opinion, sizing)


def trade_record(metrics: Mapping[str, float | None]) -> TradeRecord | None:
    """Return the record that a strategy's unseen metrics tell of; None when they tell none.

    Wins are trades * win rate; the payoff, mean win over mean loss, is profit factor * losses / wins. Only their
    relation is told, so the mean loss is 1: the blend needs no more.
    """
    found = [metrics.get(name) for name in ("trades", "win_rate", "profit_factor")]
    numbers = [value for value in found if value is not None and math.isfinite(value) and value >= 0.0]
    if len(numbers) < len(found):
        return None
    trades, win_rate, profit_factor = numbers
    wins = round(trades * min(win_rate, 1.0))
    losses = round(trades) - wins
    if wins == 0 or losses <= 0:
        return None
    return TradeRecord(wins=wins, losses=losses, average_win=profit_factor * losses / wins, average_loss=1.0)
