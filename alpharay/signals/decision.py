"""Many votes of strategies into one balance, and a balance into a decision."""

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
    """In [0, 1]; see `decided`."""
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


@dataclass(frozen=True, slots=True)
class Balance:
    """What votes say together."""

    score: float
    """In [-1, 1]: sum(w d) / sum(w) of weights w and directions d."""
    evidence: float
    """In [0, 1]: the mean weight as the weights themselves weigh it, sum(w^2) / sum(w)."""
    reason: str


def balance_of(votes: Sequence[Vote], weights: Sequence[float]) -> Balance | None:
    """Return the balance of weighted votes; None without any.

    By its evidence ten copies of one strategy are no surer than one, and strategies of next to no weight do not drown
    a good one. Raises ValueError when there is not one weight in (0, 1] a vote.
    """
    if len(votes) != len(weights):
        raise ValueError(f"weights must be one a vote ({len(votes)}), was {len(weights)}")
    for weight in weights:
        if not 0.0 < weight <= 1.0:
            raise ValueError(f"a weight must be in (0, 1], was {weight}")
    if not votes:
        return None
    directions = [direction(vote) for vote in votes]
    total = math.fsum(weights)
    score = math.fsum(weight * side for weight, side in zip(weights, directions, strict=True)) / total
    evidence = math.fsum(weight * weight for weight in weights) / total
    # Rounding may leave a sum a little outside of its bounds.
    return Balance(min(max(score, -1.0), 1.0), min(evidence, 1.0), _reason(directions, weights, total))


def decided(score: float, evidence: float, reason: str) -> Decision:
    """Return the decision at a score in [-1, 1] that rests on evidence in [0, 1].

    BUY from DECISIVE upwards, SELL from -DECISIVE downwards, else HOLD: as much asks to buy as to sell, or most of it
    asks for nothing. confidence = agreement * evidence; agreement is |score| for BUY and SELL, 1 - |score| for HOLD.
    """
    action: Action = "BUY" if score >= DECISIVE else "SELL" if score <= -DECISIVE else "HOLD"
    agreement = 1.0 - abs(score) if action == "HOLD" else abs(score)
    return Decision(action, min(max(agreement * evidence, 0.0), 1.0), reason)


def _reason(directions: Sequence[int], weights: Sequence[float], total: float) -> str:
    parts = []
    for side, name in ((1, "buy"), (-1, "sell"), (0, "wait")):
        chosen = [weight for weight, one in zip(weights, directions, strict=True) if one == side]
        if chosen:
            share = math.fsum(chosen) / total
            parts.append(f"{len(chosen)} of {len(directions)} say {name} ({share:.0%} of the weight)")
    return "; ".join(parts)
