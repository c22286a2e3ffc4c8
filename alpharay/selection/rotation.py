"""Which strategies of a market are deployed: challengers replace incumbents, but not for every flicker of a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alpharay.market.timeframe import DAY_MS

MoveKind = Literal["DEPLOY", "WITHDRAW"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationSettings:
    """When strategies change places.

    Parameters
    ----------
    places : int
        Strategies of one market that are deployed at the same time.
    least_confidence : float
        A strategy below is not deployed.
    threshold : float
        A challenger must be so much more confident than the incumbent that it replaces.
    stay_ms : int
        An incumbent is not replaced before so long after its deployment.
    """

    places: int = 3
    least_confidence: float = 0.2
    threshold: float = 0.1
    stay_ms: int = DAY_MS

    def __post_init__(self) -> None:
        if self.places < 1:
            raise ValueError(f"places must be at least 1, was {self.places}")
        for name in ("least_confidence", "threshold"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], was {getattr(self, name)}")
        if self.stay_ms < 0:
            raise ValueError(f"stay_ms must be at least 0, was {self.stay_ms}")


@dataclass(frozen=True, slots=True)
class Incumbent:
    """A deployed strategy: since when (UTC ms), how confident it is now, whether it has a position."""

    strategy_id: str
    deployed_at: int
    confidence: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Challenger:
    """A validated strategy that could be deployed."""

    strategy_id: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Move:
    """One change, and why."""

    kind: MoveKind
    strategy_id: str
    reason: str


def rotate(
    incumbents: Sequence[Incumbent],
    challengers: Sequence[Challenger],
    now_ms: int,
    settings: RotationSettings = RotationSettings(),
) -> list[Move]:
    """Return the moves of one market, withdrawals before the deployments that take their places.

    Free places go to the most confident challengers. After that the least confident incumbent that may go (deployed
    long enough, without a position: a rotation closes no trade) is replaced by the most confident challenger while
    that is more confident by `settings.threshold`. Equal confidences are told apart by id. A withdrawn strategy
    stays validated and may come back.
    """
    waiting = sorted(
        (one for one in challengers if one.confidence >= settings.least_confidence),
        key=lambda one: (-one.confidence, one.strategy_id),
    )
    moves: list[Move] = []
    for _ in range(settings.places - len(incumbents)):
        if not waiting:
            return moves
        best = waiting.pop(0)
        moves.append(Move("DEPLOY", best.strategy_id, f"a place was free; confidence {best.confidence:.3f}"))
    replaceable = sorted(
        (one for one in incumbents if not one.holds and now_ms - one.deployed_at >= settings.stay_ms),
        key=lambda one: (one.confidence, one.strategy_id),
    )
    for incumbent in replaceable:
        if not waiting or waiting[0].confidence < incumbent.confidence + settings.threshold:
            break
        best = waiting.pop(0)
        comparison = f"confidence {best.confidence:.3f} against {incumbent.confidence:.3f}"
        moves.append(Move("WITHDRAW", incumbent.strategy_id, f"replaced by {best.strategy_id}: {comparison}"))
        moves.append(Move("DEPLOY", best.strategy_id, f"replaces {incumbent.strategy_id}: {comparison}"))
    return moves
