"""Weights at which every asset carries its share of the risk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray
from alpharay.risk.covariance import checked_covariance

SWEEPS = 10_000
TOLERANCE = 1e-10
"""How far an asset's share of the variance may be from its budget."""


def risk_parity_weights(covariance: npt.ArrayLike, budgets: npt.ArrayLike | None = None) -> FloatArray:
    """Return the long-only weights, summing to 1, whose risk contributions are the budgets: equal ones by default.

    w[i] (C w)[i] = budget[i] * w' C w (Maillard, Roncalli & Teiletche 2010, "The properties of equally weighted risk
    contribution portfolios"), solved asset by asset as the root of a quadratic (Griveau-Billion, Richard & Roncalli
    2013, "A fast algorithm for computing high-dimensional risk parity portfolios") on correlations. A singular matrix
    is fine while no long-only portfolio is without risk; then, and for an asset without variance, NaN, a matrix that is
    no covariance or budgets that are not positive, ValueError is raised. No assets have no weights.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    assets = len(matrix)
    if matrix.size == 0:
        return np.empty(0)
    matrix = checked_covariance(matrix, assets)
    shares = np.full(assets, 1.0 / assets) if budgets is None else np.asarray(budgets, dtype=np.float64)
    if shares.shape != (assets,) or not np.isfinite(shares).all() or not (shares > 0.0).all():
        raise ValueError(f"budgets must be {assets} positive numbers, were {shares.tolist()}")
    shares = shares / shares.sum()
    variances = np.diag(matrix)
    if not (variances > 0.0).all():
        raise ValueError(
            f"every asset must move, the variance of asset {int(np.argmin(variances))} was 0: leave it out"
        )
    deviations = np.sqrt(variances)
    correlation = matrix / np.outer(deviations, deviations)
    weights = np.sqrt(shares)
    for _ in range(SWEEPS):
        for asset in range(assets):
            others = float(correlation[asset] @ weights) - weights[asset]
            weights[asset] = 0.5 * (np.sqrt(others**2 + 4.0 * shares[asset]) - others)
        contributions = weights * (correlation @ weights)
        if np.abs(contributions - shares).max() <= TOLERANCE:
            weights /= deviations
            normalised: FloatArray = weights / weights.sum()
            return normalised
    raise ValueError(
        f"weights of equal risk were not found in {SWEEPS} sweeps: some assets hedge each other away completely, "
        "merge or leave out one of them"
    )
