"""The deflated Sharpe ratio: how likely a Sharpe ratio is real after so many trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kurtosis, norm, skew

from alpharay.market.candles import FloatArray
from alpharay.validation.daily_marks import daily_sharpe


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """Sharpe ratios are those of one day, not annualised."""

    probability: float
    """That the true Sharpe ratio is above zero, given how many were tried; the deflated Sharpe ratio."""
    sharpe: float
    expected_best: float
    """The Sharpe ratio that the best of so many trials without any edge is expected to show."""
    trials: int
    days: int
    skewness: float
    kurtosis: float
    """Not in excess: 3 for a normal distribution."""


def expected_best_sharpe(trial_variance: float, trials: int) -> float:
    """Return the expected highest Sharpe ratio of independent trials whose true one is zero.

    sqrt(V) ((1 - g) Z^-1(1 - 1 / N) + g Z^-1(1 - 1 / (N e))), g Euler's constant (Bailey & López de Prado 2014, "The
    deflated Sharpe ratio", equation 1). One trial gives zero.
    """
    if trials < 1 or trial_variance < 0.0:
        raise ValueError(f"trials must be at least 1 and trial_variance 0 or more, was {trials} and {trial_variance}")
    if trials == 1:
        return 0.0
    first, second = norm.ppf(1.0 - 1.0 / trials), norm.ppf(1.0 - 1.0 / (trials * np.e))
    return float(np.sqrt(trial_variance) * ((1.0 - np.euler_gamma) * first + np.euler_gamma * second))


def probabilistic_sharpe(sharpe: float, above: float, days: int, skewness: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio is above `above` (Bailey & López de Prado 2012).

    Z((SR - SR*) sqrt(T - 1) / sqrt(1 - s SR + (k - 1) / 4 SR^2)), with k not in excess. Fewer than two days say
    nothing: 0.5.
    """
    if days < 2:
        return 0.5
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    # The expansion can leave its range at a huge Sharpe ratio with a huge skew; no variance means no doubt.
    if variance <= 0.0:
        return float(sharpe > above)
    return float(norm.cdf((sharpe - above) * np.sqrt(days - 1) / np.sqrt(variance)))


def deflated_sharpe(returns: FloatArray, trials: int, trial_variance: float) -> DeflatedSharpe:
    """Deflate the Sharpe ratio of one series of daily returns.

    `trials` is the number of really different ones: the clusters of return correlation over every parameter set that
    the search tried. `trial_variance` is the variance of daily Sharpe ratios over such trials on candles without an
    edge (the null search), not on the real ones: there fees spread the ratios apart, and that is no luck.
    """
    days = len(returns)
    varies = days > 2 and float(np.std(returns)) > 1e-12
    asymmetry, tails = (float(skew(returns)), float(kurtosis(returns, fisher=False))) if varies else (0.0, 3.0)
    sharpe = float(daily_sharpe(returns))
    best = expected_best_sharpe(trial_variance, trials)
    return DeflatedSharpe(
        probabilistic_sharpe(sharpe, best, days, asymmetry, tails), sharpe, best, trials, days, asymmetry, tails
    )
