"""How good a set of signals was: how often they were right, and what they earned each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from alpharay.analytics.decisions import Decisions
from alpharay.analytics.hit_rate import LEVEL, Rate, wilson_rate
from alpharay.market.candles import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Figures of a set of decisions; None where too few were observed to say.

    Returns are fractions of the equity put in, net of costs.
    """

    signals: int
    decisions: int
    independent: float
    """How many decisions that do not overlap would say as much (`alpharay.analytics.uniqueness`)."""
    success_rate: float | None
    """The share of the signals, each counted as it was given, that earned more than they cost."""
    hit_rate: Rate
    """The same of the decisions, each weighted by its uniqueness, with an interval from the independent ones."""
    mean_return: Rate
    """Profit or loss per decision, weighted alike; the interval needs two independent ones."""
    deviation: float | None
    best: float | None
    worst: float | None
    profit_factor: float | None
    """What the winning ones earned over what the losing ones lost; None without a loss."""


def performance(decisions: Decisions, level: float = LEVEL) -> Performance:
    """Return the figures of some decisions; nothing is divided by zero where there are none."""
    returns, weights = decisions.net_return, decisions.weights()
    hits = returns > 0.0
    independent = float(weights.sum())
    signals = int(decisions.signals.sum())
    lost = -float((weights * returns)[returns < 0.0].sum())
    mean, deviation = weighted_mean(returns, weights, level)
    return Performance(
        signals=signals,
        decisions=len(decisions),
        independent=independent,
        success_rate=float(decisions.signals[hits].sum()) / signals if signals else None,
        hit_rate=wilson_rate(float(weights[hits].sum()), independent, level),
        mean_return=mean,
        deviation=deviation,
        best=float(returns.max()) if len(returns) else None,
        worst=float(returns.min()) if len(returns) else None,
        profit_factor=float((weights * returns)[hits].sum()) / lost if lost > 0.0 else None,
    )


def weighted_mean(values: FloatArray, weights: FloatArray, level: float = LEVEL) -> tuple[Rate, float | None]:
    """Return the weighted mean with its normal interval, and the deviation, which is None below two observations.

    n = sum(w) observations; the variance is sum(w (x - mean)²) / (n - 1), as for weights that count how often a value
    was observed, and the standard error of the mean its root over n.
    """
    observations = float(weights.sum())
    if observations <= 0.0:
        return Rate(None, None, None), None
    mean = float((weights * values).sum()) / observations
    if observations < 2.0:
        return Rate(mean, None, None), None
    deviation = math.sqrt(float((weights * (values - mean) ** 2).sum()) / (observations - 1.0))
    half = NormalDist().inv_cdf(0.5 + level / 2.0) * deviation / math.sqrt(observations)
    return Rate(mean, mean - half, mean + half), deviation


def hits_of(decisions: Decisions) -> FloatArray:
    """Return 1 for each decision that earned more than it cost, else 0."""
    return np.where(decisions.net_return > 0.0, 1.0, 0.0)
