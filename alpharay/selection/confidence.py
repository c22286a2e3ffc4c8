"""How much a strategy is believed now: what it did unseen, how its kind fares, how old the evidence is.

TradeStream's weighting (0.6, 0.25, 0.15) on other inputs: its performance was the figure that the search had maximised,
and its frequency counted how often a kind had been asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpharay.market.candles import FloatArray
from alpharay.selection.track import annual_sharpe
from alpharay.signals.evidence import shrunk_sharpe

DAYS_A_YEAR = 365.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceWeights:
    """What each part counts; they sum to one.

    Parameters
    ----------
    performance, frequency, recency : float
        Shares of the three parts.
    recency_days : float
        Evidence so old counts nothing for recency.
    least_tested : int
        Kinds of which fewer strategies were validated count with the rate of all kinds.
    """

    performance: float = 0.6
    frequency: float = 0.25
    recency: float = 0.15
    recency_days: float = 30.0
    least_tested: int = 5

    def __post_init__(self) -> None:
        for name in ("performance", "frequency", "recency"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], was {getattr(self, name)}")
        total = self.performance + self.frequency + self.recency
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"performance, frequency and recency must sum to 1, was {total}")
        if not self.recency_days > 0.0:
            raise ValueError(f"recency_days must be above 0, was {self.recency_days}")
        if self.least_tested < 1:
            raise ValueError(f"least_tested must be at least 1, was {self.least_tested}")


@dataclass(frozen=True, slots=True)
class KindRecord:
    """How many strategies of one kind (by catalogue name) validation has decided on, and how many it passed."""

    tested: int
    passed: int

    def __post_init__(self) -> None:
        if not 0 <= self.passed <= self.tested:
            raise ValueError(f"passed must be in [0, {self.tested}], was {self.passed}")


@dataclass(frozen=True, slots=True)
class Confidence:
    """A confidence in [0, 1] and its parts, each in [0, 1]."""

    value: float
    performance: float
    frequency: float
    recency: float


def performance_of(unseen: FloatArray, trades: int) -> float:
    """Return the annual Sharpe ratio of unseen daily returns, shrunk by how little they say, in [0, 1].

    See `alpharay.signals.evidence.shrunk_sharpe`. Losing, flat or empty returns give 0.
    """
    years = len(unseen) / DAYS_A_YEAR
    if years == 0.0:
        return 0.0
    return float(np.clip(shrunk_sharpe(annual_sharpe(unseen), years, trades), 0.0, 1.0))


def frequency_of(kind: KindRecord, everything: KindRecord, least_tested: int = 5) -> float:
    """Return the share of a kind's strategies that validation passed, in [0, 1].

    It is the posterior mean (passed + m p) / (tested + m) of a binomial rate under a beta prior worth
    m = `least_tested` observations at the rate p of all kinds, whose own prior is uniform (Gelman et al., "Bayesian
    Data Analysis", 2.4): a kind that was hardly tested counts like all the others.
    """
    overall = (everything.passed + 1.0) / (everything.tested + 2.0)
    return (kind.passed + least_tested * overall) / (kind.tested + least_tested)


def recency_of(age_days: float, recency_days: float = 30.0) -> float:
    """Return 1 for evidence of today, falling to 0 at `recency_days`; a negative age counts as today."""
    return float(np.clip(1.0 - age_days / recency_days, 0.0, 1.0))


def confidence(
    unseen: FloatArray,
    trades: int,
    kind: KindRecord,
    everything: KindRecord,
    age_days: float,
    weights: ConfidenceWeights = ConfidenceWeights(),
) -> Confidence:
    """Return the weighted confidence of one strategy from its unseen daily returns (net, fractions)."""
    performance = performance_of(unseen, trades)
    frequency = frequency_of(kind, everything, weights.least_tested)
    recency = recency_of(age_days, weights.recency_days)
    value = weights.performance * performance + weights.frequency * frequency + weights.recency * recency
    return Confidence(value, performance, frequency, recency)
