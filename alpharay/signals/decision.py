"""Many votes into one decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alpharay.signals.vote import Vote

Action = Literal["BUY", "SELL", "HOLD"]

DECISIVE = 0.25
"""The share of the weight by which one side must outweigh the other; below it the answer is HOLD."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, how sure, and why."""

    action: Action
    confidence: float
    """In [0, 1]; see `combine`."""
    reason: str


def direction(vote: Vote) -> int:
    """Return what a vote asks for: 1 to be long, -1 to be short or to leave a long now, 0 for nothing.

    A strategy that is flat asks for nothing, except on the candle whose close ends its position: then it
    asks for the trade that ends it.
    """
    if vote.position != "FLAT":
        return 1 if vote.position == "LONG" else -1
    if vote.event == "EXIT":
        return -1 if vote.leaves == "LONG" else 1
    return 0


def combine(votes: Sequence[Vote], weights: Sequence[float]) -> Decision:
    """Return the decision of the weighted votes.

    With w the weights and d the votes' directions: balance = sum(w d) / sum(w), in [-1, 1]. The action is
    BUY from DECISIVE upwards, SELL from -DECISIVE downwards, else HOLD: as much weight asks to buy as to
    sell, or most of it asks for nothing.

    confidence = agreement * evidence. Agreement is |balance| for BUY and SELL, 1 - |balance| for HOLD.
    Evidence is the mean weight as the weights themselves weigh it, sum(w^2) / sum(w): ten copies of one
    strategy are no surer than one, and strategies of next to no weight do not drown a good one.
    No strategies: HOLD, confidence 0.

    Raises ValueError when there is not one weight in (0, 1] a vote.
    """
    if len(votes) != len(weights):
        raise ValueError(f"weights must be one a vote ({len(votes)}), was {len(weights)}")
    for weight in weights:
        if not 0.0 < weight <= 1.0:
            raise ValueError(f"a weight must be in (0, 1], was {weight}")
    if not votes:
        return Decision("HOLD", 0.0, "no strategy is stored for this market")
    directions = [direction(vote) for vote in votes]
    total = math.fsum(weights)
    balance = math.fsum(weight * side for weight, side in zip(weights, directions, strict=True)) / total
    evidence = math.fsum(weight * weight for weight in weights) / total
    action: Action = "BUY" if balance >= DECISIVE else "SELL" if balance <= -DECISIVE else "HOLD"
    agreement = 1.0 - abs(balance) if action == "HOLD" else abs(balance)
    confidence = min(max(agreement * evidence, 0.0), 1.0)
    return Decision(action, confidence, _reason(directions, weights, total))


def _reason(directions: Sequence[int], weights: Sequence[float], total: float) -> str:
    parts = []
    for side, name in ((1, "buy"), (-1, "sell"), (0, "wait")):
        chosen = [weight for weight, one in zip(weights, directions, strict=True) if one == side]
        if chosen:
            share = math.fsum(chosen) / total
            parts.append(f"{len(chosen)} of {len(directions)} say {name} ({share:.0%} of the weight)")
    return "; ".join(parts)
