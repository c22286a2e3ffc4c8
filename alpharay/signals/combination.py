"""The components' opinions into one decision.

Who votes, with scores s and confidences c, both its own:

* `strategies` and `model` decide, `market_context` supports or contradicts them;
* e = c for those that decide. For the context e = c * m, with the mean m = sum(B c) / sum(B) over those that decide and
  speak: it is never surer than they are, and says nothing where none of them speaks;
* w = B * e with the base weights B below; one that abstains has none;
* score = sum(w s) / sum(w), evidence = sum(w e) / sum(w), and `alpharay.signals.decision.decided` of both.

With strategies alone this is their own decision. The context's base weight is so small that it makes no trade where
those that decide are at 0, and never turns a trade of theirs into the opposite one: at most into a wait.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from alpharay.signals.decision import Decision, decided
from alpharay.signals.opinion import ComponentName, Opinion

BASE_WEIGHTS: Mapping[ComponentName, float] = MappingProxyType(
    {"strategies": 0.55, "model": 0.35, "market_context": 0.10}
)
DECIDING = frozenset({"strategies", "model"})


@dataclass(frozen=True, slots=True)
class Combination:
    """The decision of the components that vote, and each one's share of it, which sum to 1 or are all 0."""

    score: float
    decision: Decision
    shares: Mapping[ComponentName, float]


def combined(opinions: Sequence[Opinion]) -> Combination:
    """Return what the opinions that vote say together; see the module for the formula.

    Raises ValueError for a component that has no vote, or that speaks twice.
    """
    names = [one.name for one in opinions]
    for name in names:
        if name not in BASE_WEIGHTS:
            raise ValueError(f"a component that votes must be one of {', '.join(BASE_WEIGHTS)}, was {name}")
    if len(set(names)) < len(names):
        raise ValueError(f"a component must speak once, were {', '.join(names)}")
    speaking = [one for one in opinions if not one.abstains]
    shares: dict[ComponentName, float] = dict.fromkeys(names, 0.0)
    deciding = [one for one in speaking if one.name in DECIDING]
    if not deciding:
        reason = "; ".join(one.why for one in opinions if one.name in DECIDING) or "no component that decides was asked"
        return Combination(0.0, Decision("HOLD", 0.0, reason), MappingProxyType(shares))
    base = math.fsum(BASE_WEIGHTS[one.name] for one in deciding)
    mean = math.fsum(BASE_WEIGHTS[one.name] * one.confidence for one in deciding) / base
    trust = [one.confidence if one.name in DECIDING else one.confidence * mean for one in speaking]
    weights = [BASE_WEIGHTS[one.name] * trusted for one, trusted in zip(speaking, trust, strict=True)]
    total = math.fsum(weights)
    if not total > 0.0:
        reason = "no component has any confidence: " + _told(deciding, shares)
        return Combination(0.0, Decision("HOLD", 0.0, reason), MappingProxyType(shares))
    parts = [weight / total for weight in weights]
    score = math.fsum(part * one.score for part, one in zip(parts, speaking, strict=True))
    evidence = math.fsum(part * trusted for part, trusted in zip(parts, trust, strict=True))
    shares |= {one.name: part for one, part in zip(speaking, parts, strict=True)}
    score = min(max(score, -1.0), 1.0)
    return Combination(score, decided(score, evidence, _told(speaking, shares)), MappingProxyType(shares))


def _told(opinions: Sequence[Opinion], shares: Mapping[ComponentName, float]) -> str:
    return "; ".join(
        f"{one.name.replace('_', ' ')} {one.score:+.2f} with {shares[one.name]:.0%} of the weight ({one.why})"
        for one in opinions
    )
