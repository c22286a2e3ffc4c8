"""What every model asks of the returns that it is given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray


def finite_series(values: npt.ArrayLike, name: str, *, least: int = 1) -> FloatArray:
    """Return `values` as one row of floats; raises ValueError for NaN, infinity, other shapes and too few of them."""
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"{name} must have one dimension, had {series.ndim}")
    if len(series) < least:
        raise ValueError(f"{name} must be at least {least}, were {len(series)}")
    bad = np.flatnonzero(~np.isfinite(series))
    if len(bad):
        raise ValueError(
            f"{name} must be finite, was {series[bad[0]]} at place {bad[0]} ({len(bad)} such): fill gaps first"
        )
    return series


def share(value: float, name: str) -> float:
    """Return `value`; raises ValueError when it is not inside (0, 1)."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must be in (0, 1), was {value}")
    return value
