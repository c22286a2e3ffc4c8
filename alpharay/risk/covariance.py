"""How assets move together, and what a matrix must be to say so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray

NEGATIVE = 1e-10
"""An eigenvalue this share of the largest below zero is rounding; a lower one says that no returns move so."""


def shrunk_covariance(returns: npt.ArrayLike) -> FloatArray:
    """Return the covariance of `returns` (periods, assets) with its correlations shrunk towards none: (assets, assets).

    Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", applied to returns
    divided by their own deviations: the variances are the sample's. An asset that does not move has zeros. Raises
    ValueError for fewer than two periods, no assets, or NaN.
    """
    table = np.asarray(returns, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] == 0:
        raise ValueError(f"returns must have the shape (periods from 2, assets from 1), had {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("returns must be finite: fill gaps first")
    deviations = table.std(axis=0)
    deviations[deviations <= 1e-12 * np.abs(table).max(axis=0)] = 0.0
    moving = deviations > 0.0
    covariance = np.zeros((table.shape[1], table.shape[1]))
    if moving.any():
        standard = (table[:, moving] - table[:, moving].mean(axis=0)) / deviations[moving]
        scale = np.outer(deviations[moving], deviations[moving])
        covariance[np.ix_(moving, moving)] = _shrunk_correlation(standard) * scale
    return covariance


def checked_covariance(covariance: npt.ArrayLike, assets: int) -> FloatArray:
    """Return the matrix as floats, singular or not; raises ValueError when it is no covariance of so many assets."""
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (assets, assets):
        raise ValueError(f"covariance must have the shape ({assets}, {assets}), had {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("covariance must be finite: it has NaN or infinity")
    if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-12 * float(np.abs(matrix).max(initial=0.0))):
        raise ValueError("covariance must be symmetric")
    if assets:
        values = np.linalg.eigvalsh(matrix)
        if values[0] < -NEGATIVE * max(float(values[-1]), 0.0) or values[-1] < 0.0:
            raise ValueError(f"covariance must have no negative eigenvalue, had {values[0]:.3g}")
    return matrix


def _shrunk_correlation(standard: FloatArray) -> FloatArray:
    """Return the correlation of standardised returns, shrunk towards the identity."""
    periods, assets = standard.shape
    correlation = standard.T @ standard / periods
    distance = float(((correlation - np.eye(assets)) ** 2).sum())
    # The mean squared distance of each period's own product from their mean: how uncertain the correlations are.
    uncertainty = float(((standard**2).T @ standard**2 / periods - correlation**2).sum()) / periods
    share = min(uncertainty / distance, 1.0) if distance > 0.0 else 1.0
    shrunk: FloatArray = (1.0 - share) * correlation + share * np.eye(assets)
    return shrunk
