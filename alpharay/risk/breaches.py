"""Whether a value at risk was right: too many breaches, or breaches that come together.

Both are likelihood-ratio tests, compared with a chi-squared distribution: Kupiec 1995, "Techniques for verifying the
accuracy of risk measurement models"; Christoffersen 1998, "Evaluating interval forecasts".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import xlogy

from alpharay.market.candles import FloatArray
from alpharay.models.returns import finite_series, share

Breaches = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A test's statistic and the probability of one so large when the model is right."""

    statistic: float
    p_value: float
    degrees_of_freedom: int


@dataclass(frozen=True, slots=True)
class BreachTests:
    """How often and how closely together losses passed a value at risk.

    Parameters
    ----------
    observations, breaches : int
    expected : float
        Breaches that the level allows.
    coverage : LikelihoodRatio
        Kupiec: as many breaches as the level says?
    independence : LikelihoodRatio
        Christoffersen: is a breach as likely after a breach as after none?
    conditional_coverage : LikelihoodRatio
        Both at once, 2 degrees of freedom.
    """

    observations: int
    breaches: int
    expected: float
    coverage: LikelihoodRatio
    independence: LikelihoodRatio
    conditional_coverage: LikelihoodRatio


def breaches_of(returns: npt.ArrayLike, value_at_risk: npt.ArrayLike) -> Breaches:
    """Return which returns lost more than the value at risk (positive) that was said before each of them."""
    series, limits = finite_series(returns, "returns", least=0), finite_series(value_at_risk, "values at risk", least=0)
    if len(series) != len(limits):
        raise ValueError(f"returns and values at risk must have the same length, had {len(series)} and {len(limits)}")
    passed: Breaches = -series > limits
    return passed


def coverage_test(breaches: int, observations: int, *, level: float) -> LikelihoodRatio:
    """Return Kupiec's test of `breaches` in `observations` against a probability of 1 - level each.

    2 (ln L(breaches / observations) - ln L(1 - level)) of a binomial, 1 degree of freedom. No observations say
    nothing: a statistic of 0.
    """
    share(level, "level")
    if not 0 <= breaches <= observations:
        raise ValueError(f"breaches must be in [0, {observations}], was {breaches}")
    if observations == 0:
        return _ratio(0.0, 1)
    rate, kept = breaches / observations, observations - breaches
    fitted = xlogy(breaches, rate) + xlogy(kept, 1.0 - rate)
    claimed = xlogy(breaches, 1.0 - level) + xlogy(kept, level)
    return _ratio(2.0 * (fitted - claimed), 1)


def independence_test(breaches: npt.ArrayLike) -> LikelihoodRatio:
    """Return Christoffersen's test of breaches in their order against a first-order Markov chain.

    With n[i][j] steps from i to j (1 is a breach): 2 (ln L(n01 / n0, n11 / n1) - ln L((n01 + n11) / n)), 1 degree of
    freedom. Without a breach to follow, or with nothing but breaches, it says nothing: 0.
    """
    marks = np.asarray(breaches, dtype=bool)
    if marks.ndim != 1:
        raise ValueError(f"breaches must have one dimension, had {marks.ndim}")
    counts = np.zeros((2, 2))
    np.add.at(counts, (marks[:-1].astype(int), marks[1:].astype(int)), 1.0)
    return independence_of_steps(counts)


def independence_of_steps(steps: FloatArray) -> LikelihoodRatio:
    """Return `independence_test` of the counted steps: (from, to), 1 is a breach."""
    total = float(steps.sum())
    if total == 0.0:
        return _ratio(0.0, 1)
    apart = 0.0
    for row in steps:
        rate = float(row[1] / row.sum()) if row.sum() > 0.0 else 0.0
        apart += float(xlogy(row[0], 1.0 - rate) + xlogy(row[1], rate))
    rate = float(steps[:, 1].sum()) / total
    together = float(xlogy(steps[:, 0].sum(), 1.0 - rate) + xlogy(steps[:, 1].sum(), rate))
    return _ratio(2.0 * (apart - together), 1)


def breach_tests(breaches: npt.ArrayLike, *, level: float) -> BreachTests:
    """Return all tests of breaches in their order; the conditional coverage is the sum of the other two."""
    marks = np.asarray(breaches, dtype=bool)
    independence = independence_test(marks)
    coverage = coverage_test(int(marks.sum()), len(marks), level=level)
    return BreachTests(
        observations=len(marks),
        breaches=int(marks.sum()),
        expected=len(marks) * (1.0 - level),
        coverage=coverage,
        independence=independence,
        conditional_coverage=_ratio(coverage.statistic + independence.statistic, 2),
    )


def _ratio(statistic: float, freedom: int) -> LikelihoodRatio:
    # Two likelihoods that are equal may differ by rounding.
    statistic = max(float(statistic), 0.0)
    return LikelihoodRatio(statistic, float(stats.chi2.sf(statistic, freedom)), freedom)
