"""Does the confidence mean what it says? Bins of confidence against the hit rate that came of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpharay.analytics.decisions import Decisions
from alpharay.analytics.hit_rate import LEVEL, Rate, wilson_rate
from alpharay.analytics.performance import hits_of

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceBin:
    """The decisions whose confidence is in `[low, high)`; the last bin holds its upper end too."""

    low: float
    high: float
    decisions: int
    independent: float
    mean_confidence: float | None
    hit_rate: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A calibration curve and how far confidence and truth are apart; None without decisions."""

    bins: tuple[ConfidenceBin, ...]
    independent: float
    hit_rate: float | None
    mean_confidence: float | None
    brier_score: float | None
    """Mean squared distance of confidence and outcome (1 hit, 0 miss), from 0, perfect, to 1."""
    brier_of_base_rate: float | None
    """What saying the hit rate itself every time would score."""
    brier_skill: float | None
    """1 - score / score of the base rate: above 0 the confidence tells more than the hit rate alone does."""
    calibration_error: float | None
    """Mean distance of confidence and hit rate over the bins."""


def calibration(decisions: Decisions, bins: int = BINS, level: float = LEVEL) -> Calibration:
    """Return the calibration of the decisions' confidences as probabilities of a hit.

    Brier 1950, "Verification of Forecasts Expressed in Terms of Probability"; the skill is that of Murphy 1973, "A New
    Vector Partition of the Probability Score", with the sample's own rate as the reference; the error is the expected
    calibration error of Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning". Every decision weighs what it is worth beside those that overlap with it.

    A confidence that is no number in [0, 1] is left out. Raises ValueError for less than one bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, was {bins}")
    chosen = decisions.take((decisions.confidence >= 0.0) & (decisions.confidence <= 1.0))
    weights, hits, confidence = chosen.weights(), hits_of(chosen), chosen.confidence
    # Quotients, so that six tenths are the edge that a client means by 0.6.
    edges = np.arange(bins + 1) / bins
    # Where the confidence equals an edge it belongs to the bin that starts there.
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    weight = np.bincount(place, weights, bins)
    hit = np.bincount(place, weights * hits, bins)
    said = np.bincount(place, weights * confidence, bins)
    count = np.bincount(place, minlength=bins)
    curve = tuple(
        ConfidenceBin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            decisions=int(count[number]),
            independent=float(weight[number]),
            mean_confidence=float(said[number] / weight[number]) if count[number] else None,
            hit_rate=wilson_rate(float(hit[number]), float(weight[number]), level),
        )
        for number in range(bins)
    )
    total = float(weights.sum())
    if total == 0.0:
        return Calibration(
            bins=curve, independent=0.0, hit_rate=None, mean_confidence=None, brier_score=None,
            brier_of_base_rate=None, brier_skill=None, calibration_error=None,
        )  # fmt: skip
    rate = float((weights * hits).sum()) / total
    brier = float((weights * (confidence - hits) ** 2).sum()) / total
    base = float((weights * (rate - hits) ** 2).sum()) / total
    return Calibration(
        bins=curve,
        independent=total,
        hit_rate=rate,
        mean_confidence=float((weights * confidence).sum()) / total,
        brier_score=brier,
        brier_of_base_rate=base,
        brier_skill=1.0 - brier / base if base > 0.0 else None,
        calibration_error=float(np.abs(hit - said).sum()) / total,
    )
