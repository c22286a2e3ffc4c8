"""From scores to probabilities that mean what they say: Platt scaling.

Platt 1999, "Probabilistic outputs for support vector machines": P(y = 1 | s) = 1 / (1 + exp(-(slope * s + intercept))),
fitted by Newton's method as Lin, Lin & Weng 2007 ("A note on Platt's probabilistic outputs") stabilise it. Isotonic
regression follows any shape, but needs about a thousand independent samples to gain from that (Niculescu-Mizil &
Caruana 2005, "Predicting good probabilities with supervised learning"), and outcomes of overlapping trades are far from
independent.

The slope is never below 0. A model of noise is a little worse than none out of fold (a fold in which more prices rose
leaves fewer to learn from), so a free slope would turn that around and find an edge in what cross-validation made
itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alpharay.market.candles import FloatArray

STEPS = 100
_SMALLEST_MOVE = 1e-12
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """P(y = 1 | score) = 1 / (1 + exp(-(slope * score + intercept))), `slope` at least 0."""

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope >= 0.0):
            raise ValueError(
                f"slope must be at least 0 and intercept finite, was {self.slope} and {self.intercept}: train again"
            )

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """Return the probability of each score; NaN stays NaN."""
        odds = self.slope * scores + self.intercept
        # exp of a negative number alone: it cannot overflow.
        small = np.exp(-np.abs(odds))
        return np.where(odds >= 0.0, 1.0, small) / (1.0 + small)


def fit_platt(scores: FloatArray, outcomes: FloatArray) -> PlattScaling:
    """Return the scaling of least log loss on outcomes 0 and 1, softened as Platt does: never 0 or 1 for certain.

    Raises ValueError when there are none of either, or a score is not finite.
    """
    if len(scores) != len(outcomes):
        raise ValueError(f"scores and outcomes must be of equal length, were {len(scores)} and {len(outcomes)}")
    if not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite, {int((~np.isfinite(scores)).sum())} were not")
    good = float((outcomes == 1.0).sum())
    bad = float((outcomes == 0.0).sum())
    if good + bad != len(outcomes) or good == 0.0 or bad == 0.0:
        raise ValueError(f"outcomes must be 0 and 1, some of each, were {good:.0f} ones among {len(outcomes)}")
    # Platt's targets: the outcomes as seen with one more of each.
    targets = np.where(outcomes == 1.0, (good + 1.0) / (good + 2.0), 1.0 / (bad + 2.0))
    constant = math.log(float(targets.mean()) / (1.0 - float(targets.mean())))
    spread = float(scores.std())
    if spread == 0.0:
        return PlattScaling(0.0, constant)
    # In units of their spread, so that one tolerance suits all scores.
    centre = float(scores.mean())
    slope, intercept = _newton((scores - centre) / spread, targets, constant)
    if slope <= 0.0:
        return PlattScaling(0.0, constant)
    return PlattScaling(slope / spread, intercept - slope * centre / spread)


def _newton(scores: FloatArray, targets: FloatArray, intercept: float) -> tuple[float, float]:
    slope = 0.0
    loss = _loss(scores, targets, slope, intercept)
    for _ in range(STEPS):
        probability = PlattScaling(abs(slope), intercept).probabilities(math.copysign(1.0, slope) * scores)
        error = probability - targets
        weight = probability * (1.0 - probability)
        gradient = np.array([error @ scores, error.sum()])
        cross = weight @ scores
        # The ridge of Lin, Lin & Weng: invertible where all probabilities are 0 or 1.
        hessian = np.array([[weight @ (scores * scores), cross], [cross, weight.sum()]]) + 1e-12 * np.eye(2)
        move = -np.linalg.solve(hessian, gradient)
        size = 1.0
        for _ in range(_HALVINGS):
            tried = slope + size * move[0], intercept + size * move[1]
            tried_loss = _loss(scores, targets, *tried)
            if tried_loss <= loss:
                break
            size /= 2.0
        else:
            break
        moved = max(abs(tried[0] - slope), abs(tried[1] - intercept))
        (slope, intercept), loss = tried, tried_loss
        if moved < _SMALLEST_MOVE:
            break
    return float(slope), float(intercept)


def _loss(scores: FloatArray, targets: FloatArray, slope: float, intercept: float) -> float:
    odds = slope * scores + intercept
    return float((np.logaddexp(0.0, odds) - targets * odds).sum())
