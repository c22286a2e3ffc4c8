"""Volatility that changes: GARCH(1,1), GJR and the exponential average, filtered and forecast without fitting again.

One recursion serves all three: h[t+1] = omega + (alpha + gamma * [e[t] < 0]) * e[t]^2 + beta * h[t], e = return - mean.
GARCH (Bollerslev 1986) has gamma = 0; GJR (Glosten, Jagannathan & Runkle 1993) lets falls count more; the exponential
average of RiskMetrics (1996, section 5.2) is omega = 0, alpha = 1 - lambda, beta = lambda around a mean of zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from alpharay.market.candles import FloatArray
from alpharay.models.returns import finite_series, share

Model = Literal["garch", "gjr", "ewma"]
Distribution = Literal["normal", "t"]

EWMA_DECAY = 0.94
"""Weight of the last variance in the exponential average: RiskMetrics' choice for daily returns."""

PATHS = 10_000
"""Simulated paths behind an interval: the ends of a 95 % interval are known to about 1 % of its width."""

LONGEST_HORIZON = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedVolatility:
    """A volatility model after the last return it has seen: all that a forecast needs, in units of the returns.

    Parameters
    ----------
    model : {"garch", "gjr", "ewma"}
        "ewma" with a `fallback` is what stands in for a fit that was not possible.
    distribution : {"normal", "t"}
        Of the innovations, scaled to a variance of one.
    mean, omega, alpha, gamma, beta : float
        See the module; `gamma` is 0 except for GJR.
    degrees_of_freedom : float or None
        Of the t distribution.
    next_variance : float
        Variance of the return that comes next.
    observations : int
        Returns seen so far, those after the fit included.
    log_likelihood : float or None
        Of the fit.
    fallback : str or None
        Why the exponential average stands in; None when the model is the one that was asked for.
    """

    model: Model
    distribution: Distribution = "normal"
    mean: float = 0.0
    omega: float
    alpha: float
    gamma: float = 0.0
    beta: float
    degrees_of_freedom: float | None = None
    next_variance: float
    observations: int
    log_likelihood: float | None = None
    fallback: str | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "omega", "alpha", "gamma", "beta", "next_variance"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} of a volatility model must be finite, was {getattr(self, name)}")
        for name in ("omega", "alpha", "beta", "next_variance"):
            if getattr(self, name) < 0.0:
                raise ValueError(f"{name} of a volatility model must be at least 0, was {getattr(self, name)}")
        if self.alpha + self.gamma < 0.0:
            raise ValueError(f"alpha + gamma must be at least 0, was {self.alpha} + {self.gamma}")
        if self.distribution == "t" and not (self.degrees_of_freedom is not None and self.degrees_of_freedom > 2.0):
            raise ValueError(f"degrees_of_freedom of a t distribution must be above 2, was {self.degrees_of_freedom}")

    @property
    def persistence(self) -> float:
        """Share of a variance's distance from its long run that is left one return later; 1 for the average."""
        return self.alpha + self.gamma / 2.0 + self.beta

    @property
    def half_life(self) -> float | None:
        """Returns until half of a shock to the variance is gone; None when it never goes."""
        if self.persistence <= 0.0:
            return 0.0
        return math.log(0.5) / math.log(self.persistence) if self.persistence < 1.0 else None

    @property
    def long_run_variance(self) -> float | None:
        """Variance to which forecasts go; None when there is none, as in the exponential average."""
        return self.omega / (1.0 - self.persistence) if self.persistence < 1.0 else None


@dataclass(frozen=True, slots=True)
class VolatilityForecast:
    """The next returns, one element a step; low and high enclose `level` of what may come, given the parameters.

    Parameters
    ----------
    level : float
        Share of outcomes inside each interval.
    variance : FloatArray
        Expected variance of each return: the recursion's own, not simulated.
    volatility_low, volatility_high : FloatArray
        Interval of each return's conditional standard deviation; a point at the first step, which is known.
    return_low, return_high : FloatArray
        Interval of each return.
    total_low, total_high : FloatArray
        Interval of the sum of the returns up to each step: of the whole move, where returns are logarithmic.
    """

    level: float
    variance: FloatArray
    volatility_low: FloatArray
    volatility_high: FloatArray
    return_low: FloatArray
    return_high: FloatArray
    total_low: FloatArray
    total_high: FloatArray

    @property
    def volatility(self) -> FloatArray:
        """Root of each return's expected variance."""
        return np.sqrt(self.variance)

    @property
    def total_volatility(self) -> FloatArray:
        """Standard deviation of the sum of the returns up to each step: they are not correlated."""
        return np.sqrt(np.cumsum(self.variance))


def ewma_volatility(
    returns: npt.ArrayLike, *, decay: float = EWMA_DECAY, fallback: str | None = None
) -> FittedVolatility:
    """Return the exponential average of squared returns, begun at their plain average (RiskMetrics 1996, 5.2).

    One return is enough; returns that are all zero have a variance of zero. Raises ValueError for none, or NaN.
    """
    series = finite_series(returns, "returns")
    share(decay, "decay")
    start = FittedVolatility(
        model="ewma",
        omega=0.0,
        alpha=1.0 - decay,
        beta=decay,
        next_variance=float(np.mean(series**2)),
        observations=0,
        fallback=fallback,
    )
    return updated(start, series)


def filtered_variances(fitted: FittedVolatility, returns: npt.ArrayLike) -> FloatArray:
    """Return the variance of each return given those before it, and last that of the one to come: n + 1 values.

    The recursion begins at the variance that follows the mean squared deviation of `returns`, as the fit does.
    Raises ValueError for no returns, or NaN.
    """
    series = finite_series(returns, "returns")
    presample = presample_variance(series, zero_mean=fitted.mean == 0.0)
    return _recursion(fitted, series, fitted.omega + fitted.persistence * presample)


def presample_variance(returns: FloatArray, *, zero_mean: bool) -> float:
    """Return what stands for squared shock and variance before the first return: the mean squared deviation.

    Fiorentini, Calzolari & Panattoni 1996, "Analytic derivatives and the computation of GARCH estimates".
    """
    return float(np.mean(returns**2)) if zero_mean else float(np.var(returns))


def updated(fitted: FittedVolatility, returns: npt.ArrayLike) -> FittedVolatility:
    """Return the state after `returns`, oldest first, with the same parameters; no returns change nothing."""
    series = finite_series(returns, "returns", least=0)
    variances = _recursion(fitted, series, fitted.next_variance)
    return replace(fitted, next_variance=float(variances[-1]), observations=fitted.observations + len(series))


def expected_variances(fitted: FittedVolatility, horizon: int) -> FloatArray:
    """Return the expected variance of each of the next `horizon` returns.

    E[h[t+k]] = omega + persistence * E[h[t+k-1]] (Engle & Bollerslev 1986, for symmetric innovations). Raises
    ValueError for a horizon below 1 or above 1,000.
    """
    if not 1 <= horizon <= LONGEST_HORIZON:
        raise ValueError(f"horizon must be in [1, {LONGEST_HORIZON}], was {horizon}")
    variances = np.empty(horizon)
    variance = fitted.next_variance
    for step in range(horizon):
        variances[step] = variance
        variance = fitted.omega + fitted.persistence * variance
    return variances


def forecast(
    fitted: FittedVolatility, horizon: int, *, level: float = 0.95, paths: int = PATHS, seed: int = 0
) -> VolatilityForecast:
    """Return the next `horizon` returns' volatility with prediction intervals at `level`.

    Intervals are quantiles of `paths` simulated paths, the same for the same seed; the first step's are exact. They
    hold for the fitted parameters, whose own uncertainty they leave out. Raises ValueError for a level outside
    (0, 1), fewer than 100 paths or a bad horizon.
    """
    share(level, "level")
    if paths < 100:
        raise ValueError(f"paths must be at least 100, was {paths}")
    variance = expected_variances(fitted, horizon)
    innovations = _innovations(fitted, (horizon, paths), np.random.default_rng(seed))
    returns, volatilities = simulated_returns(fitted, innovations)
    edges = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    volatility_low, volatility_high = np.quantile(volatilities, edges, axis=1)
    return_low, return_high = np.quantile(returns, edges, axis=1)
    total_low, total_high = np.quantile(np.cumsum(returns, axis=0), edges, axis=1)
    reach = innovation_quantile(fitted, edges[1]) * math.sqrt(fitted.next_variance)
    return_low[0], return_high[0] = fitted.mean - reach, fitted.mean + reach
    total_low[0], total_high[0] = return_low[0], return_high[0]
    return VolatilityForecast(
        level, variance, volatility_low, volatility_high, return_low, return_high, total_low, total_high
    )


def simulated_returns(fitted: FittedVolatility, innovations: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the returns that follow when these innovations come, and their standard deviations: (steps, paths)."""
    returns, volatilities = np.empty_like(innovations), np.empty_like(innovations)
    variance = np.full(innovations.shape[1:], fitted.next_variance)
    for step, innovation in enumerate(innovations):
        volatilities[step] = np.sqrt(variance)
        shock = volatilities[step] * innovation
        returns[step] = fitted.mean + shock
        reaction = fitted.alpha + fitted.gamma * (shock < 0.0)
        variance = fitted.omega + reaction * shock * shock + fitted.beta * variance
    return returns, volatilities


def innovation_quantile(fitted: FittedVolatility, probability: float) -> float:
    """Return a quantile of the innovations, which have a mean of zero and a variance of one."""
    if fitted.distribution == "normal" or fitted.degrees_of_freedom is None:
        return float(stats.norm.ppf(probability))
    freedom = fitted.degrees_of_freedom
    return float(stats.t.ppf(probability, freedom)) * math.sqrt((freedom - 2.0) / freedom)


def _innovations(fitted: FittedVolatility, shape: tuple[int, int], generator: np.random.Generator) -> FloatArray:
    if fitted.distribution == "normal" or fitted.degrees_of_freedom is None:
        return generator.standard_normal(shape)
    freedom = fitted.degrees_of_freedom
    return generator.standard_t(freedom, shape) * math.sqrt((freedom - 2.0) / freedom)


def _recursion(fitted: FittedVolatility, returns: FloatArray, first: float) -> FloatArray:
    """Return the variances of the returns and of the one after them, the first of them given."""
    variances = np.empty(len(returns) + 1)
    variances[0] = variance = first
    for place, shock in enumerate((returns - fitted.mean).tolist(), start=1):
        reaction = fitted.alpha + fitted.gamma if shock < 0.0 else fitted.alpha
        variance = fitted.omega + reaction * shock * shock + fitted.beta * variance
        variances[place] = variance
    return variances
