"""Fitting a volatility model by maximum likelihood, with `arch`; apart, so that who only forecasts need not load it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from arch.univariate import GARCH, ConstantMean, Normal, StudentsT, ZeroMean

from alpharay.market.candles import FloatArray
from alpharay.models.returns import finite_series
from alpharay.models.volatility import (
    Distribution,
    FittedVolatility,
    ewma_volatility,
    filtered_variances,
    presample_variance,
)

LEAST_RETURNS = 250
"""Fewer make a GARCH fit worse than the exponential average: its parameters are biased and often on a bound
(Hwang & Valls Pereira 2006, "Small sample properties of GARCH estimates and persistence")."""

FLAT = 1e-12
"""Returns whose deviation is at most this share of the largest of them are constant but for rounding."""

ABSURD = 3.0
"""A fit that expects a deviation so many times the largest so far has found a likelihood without a maximum: fat tails
around returns that hardly ever move."""


def fit_volatility(
    returns: npt.ArrayLike,
    *,
    model: Literal["garch", "gjr"] = "garch",
    distribution: Distribution = "normal",
    mean: Literal["constant", "zero"] = "constant",
    max_iterations: int = 1_000,
) -> FittedVolatility:
    """Return GARCH(1,1) or GJR(1,1,1) fitted to `returns` (fractions, oldest first) by maximum likelihood.

    Variances before the first return are the returns' mean squared deviation (Fiorentini, Calzolari & Panattoni 1996).
    Where a fit is not possible, the exponential average (RiskMetrics, 0.94) stands in and `fallback` says why: fewer
    than 250 returns, constant returns, no convergence within `max_iterations`, no finite result or a senseless one.
    Raises ValueError for no returns, NaN or infinity.
    """
    series = finite_series(returns, "returns")
    if len(series) < LEAST_RETURNS:
        return ewma_volatility(series, fallback=f"a fit needs {LEAST_RETURNS} returns, there were {len(series)}")
    scale = float(series.std())
    if scale <= FLAT * float(np.abs(series).max()):
        return ewma_volatility(series, fallback="all returns are equal")
    innovations = Normal() if distribution == "normal" else StudentsT()
    process = GARCH(p=1, o=1 if model == "gjr" else 0, q=1)
    # The likelihood is searched at a variance of one: returns of minutes would be lost in the optimiser's tolerances.
    kind = ConstantMean if mean == "constant" else ZeroMean
    fitter = kind(series / scale, volatility=process, distribution=innovations, rescale=False)
    presample = presample_variance(series / scale, zero_mean=mean == "zero")
    try:
        result = fitter.fit(disp="off", show_warning=False, backcast=presample, options={"maxiter": max_iterations})
    except (ValueError, FloatingPointError, ZeroDivisionError, np.linalg.LinAlgError) as error:
        return ewma_volatility(series, fallback=f"the fit failed: {error}")
    values = {str(name): float(value) for name, value in result.params.items()}
    likelihood = float(result.loglikelihood) - len(series) * float(np.log(scale))
    if result.convergence_flag != 0:
        reason = f"the fit did not converge (flag {result.convergence_flag}) within {max_iterations} iterations"
        return ewma_volatility(series, fallback=reason)
    if not np.isfinite([*values.values(), likelihood]).all():
        return ewma_volatility(series, fallback=f"the fit was not finite: {values}")
    fitted = _fitted(series, values, scale, model, distribution, likelihood)
    largest = float(np.abs(series - fitted.mean).max())
    if fitted.next_variance > (ABSURD * largest) ** 2:
        reason = f"the fit expects a deviation of {fitted.next_variance**0.5:.3g}, the largest so far was {largest:.3g}"
        return ewma_volatility(series, fallback=reason)
    return fitted


def _fitted(
    series: FloatArray,
    values: dict[str, float],
    scale: float,
    model: Literal["garch", "gjr"],
    distribution: Distribution,
    likelihood: float,
) -> FittedVolatility:
    """Return the state after the last of the returns, in their own units."""
    # The optimiser may end a rounding error outside of its bounds.
    alpha = max(values["alpha[1]"], 0.0)
    unfiltered = FittedVolatility(
        model=model,
        distribution=distribution,
        mean=values.get("mu", 0.0) * scale,
        omega=max(values["omega"], 0.0) * scale**2,
        alpha=alpha,
        gamma=max(values.get("gamma[1]", 0.0), -alpha),
        beta=max(values["beta[1]"], 0.0),
        degrees_of_freedom=values.get("nu"),
        next_variance=0.0,
        observations=len(series),
        log_likelihood=likelihood,
    )
    return replace(unfiltered, next_variance=float(filtered_variances(unfiltered, series)[-1]))
