"""What a part of the signal says: how far it leans, how sure it is, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

ComponentName = Literal["strategies", "model", "market_context", "size", "risk"]

ABSTAINS: Final = "abstains"
"""It has nothing to say, and no weight."""
DEGRADED: Final = "degraded"
"""It speaks without all that it should rest on."""
VETO: Final = "veto"
"""It forbids to trade, whatever the others say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One component's word on a market.

    Parameters
    ----------
    name : str
    score : float
        From -1 (sell) over 0 (wait) to 1 (buy).
    confidence : float
        In [0, 1]: how much its score is worth.
    why : str
        One sentence.
    flags : tuple of str
        `ABSTAINS`, `DEGRADED` or `VETO` where they hold, and what is missing.
    """

    name: ComponentName
    score: float
    confidence: float
    why: str
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not -1.0 <= self.score <= 1.0:
            raise ValueError(f"score of {self.name} must be in [-1, 1], was {self.score}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence of {self.name} must be in [0, 1], was {self.confidence}")

    @property
    def abstains(self) -> bool:
        """Whether it has nothing to say."""
        return ABSTAINS in self.flags

    @property
    def vetoes(self) -> bool:
        """Whether it forbids to trade."""
        return VETO in self.flags


def abstention(name: ComponentName, why: str, *flags: str) -> Opinion:
    """Return the word of a component that has none."""
    return Opinion(name=name, score=0.0, confidence=0.0, why=why, flags=(ABSTAINS, *flags))


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One component behind an answer."""

    name: ComponentName
    score: float
    """From -1 (sell) over 0 (wait) to 1 (buy); 0 for those that do not vote, size and risk."""
    weight: float
    """Its share of the decision, in [0, 1]; 0 for one that abstains or does not vote."""
    confidence: float
    """How much its score is worth, in [0, 1]."""
    data_age_seconds: float | None
    """Of the data that it rests on; null when it has none."""
    why: str
    flags: tuple[str, ...]
    """`abstains`, `degraded` or `veto` where they hold, and what is missing."""


def clipped(value: float) -> float:
    """Return a number held to [-1, 1]; 0 for NaN."""
    return 0.0 if math.isnan(value) else min(max(value, -1.0), 1.0)
