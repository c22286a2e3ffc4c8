"""Which strategies of one market speak together: good ones that do not say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alpharay.market.candles import FloatArray
from alpharay.selection.track import Track

LEAST_COMMON_DAYS = 30
"""With fewer days in common two strategies are taken for the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleSettings:
    """How an ensemble is chosen.

    Parameters
    ----------
    most : int
        Members at most.
    least_confidence : float
        Strategies below are not considered.
    least_gain : float
        A member must raise the quality by this share of what it was.
    """

    most: int = 5
    least_confidence: float = 0.2
    least_gain: float = 0.02

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most must be at least 1, was {self.most}")
        if not 0.0 <= self.least_confidence <= 1.0:
            raise ValueError(f"least_confidence must be in [0, 1], was {self.least_confidence}")
        if self.least_gain < 0.0:
            raise ValueError(f"least_gain must be at least 0, was {self.least_gain}")


@dataclass(frozen=True, slots=True)
class Member:
    """One strategy of an ensemble; the weights of all sum to one."""

    strategy_id: str
    weight: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The chosen strategies in the order in which they were chosen."""

    members: tuple[Member, ...]
    quality: float
    """Confidence of the whole: see `quality`; 0 for an empty ensemble."""
    mean_correlation: float
    """Of the members' daily returns, pair by pair; 0 for fewer than two."""


def correlations(tracks: Sequence[Track]) -> FloatArray:
    """Return the (n, n) correlations of the tracks' daily returns over the days that two have in common.

    With fewer than `LEAST_COMMON_DAYS` of them, or where one never moved, it is 1: what is not known to differ is taken
    for the same.
    """
    matrix = np.ones((len(tracks), len(tracks)))
    for i, first in enumerate(tracks):
        for j in range(i):
            second = tracks[j]
            begin = max(first.first_day, second.first_day)
            a, b = first.since(begin), second.since(begin)
            days = min(len(a), len(b))
            a, b = a[:days], b[:days]
            if days >= LEAST_COMMON_DAYS and a.std() > 0.0 and b.std() > 0.0:
                matrix[i, j] = matrix[j, i] = float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0))
    return matrix


def quality(confidences: FloatArray, matrix: FloatArray) -> float:
    """Return sum(c) / sqrt(sum of all correlations): the members' confidences, less what they have in common.

    For Sharpe ratios c it is that of the sum of strategies of equal volatility (from Var(sum) = sum of covariances;
    Grinold & Kahn, "Active Portfolio Management", ch. 5). Negative correlations count as zero: they are measured over
    few days, and an ensemble must not be chosen for a hedge that was luck.
    """
    if len(confidences) == 0:
        return 0.0
    return float(confidences.sum() / np.sqrt(np.maximum(matrix, 0.0).sum()))


def choose_ensemble(
    tracks: Sequence[Track], confidences: Mapping[str, float], settings: EnsembleSettings = EnsembleSettings()
) -> Ensemble:
    """Choose members one by one: first the most confident, then each time the one that raises the quality most.

    It ends at `settings.most`, or when no further one raises the quality by `settings.least_gain`. The same
    strategies in another order give the same ensemble. Members weigh by confidence over volatility, so that none
    speaks loudest for moving most; one that never moved does not speak. No candidates give an empty ensemble.
    """
    ordered = sorted(
        (
            track
            for track in tracks
            if confidences[track.strategy_id] >= settings.least_confidence and _volatility(track) > 0.0
        ),
        key=lambda track: (-confidences[track.strategy_id], track.strategy_id),
    )
    values = np.array([confidences[track.strategy_id] for track in ordered])
    matrix = correlations(ordered)
    chosen: list[int] = []
    best = 0.0
    while len(chosen) < settings.most:
        rest = [place for place in range(len(ordered)) if place not in chosen]
        found = [
            quality(values[[*chosen, place]], matrix[np.ix_([*chosen, place], [*chosen, place])]) for place in rest
        ]
        if not found or max(found) <= best * (1.0 + settings.least_gain if chosen else 1.0):
            break
        best = max(found)
        chosen.append(rest[found.index(best)])
    if not chosen:
        return Ensemble((), 0.0, 0.0)
    raw = np.array([values[place] / _volatility(ordered[place]) for place in chosen])
    members = tuple(
        Member(ordered[place].strategy_id, float(weight), float(values[place]))
        for place, weight in zip(chosen, raw / raw.sum(), strict=True)
    )
    pairs = matrix[np.ix_(chosen, chosen)][np.triu_indices(len(chosen), k=1)]
    return Ensemble(members, best, float(pairs.mean()) if len(pairs) else 0.0)


def _volatility(track: Track) -> float:
    return float(track.returns.std()) if len(track.returns) else 0.0
