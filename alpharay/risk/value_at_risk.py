"""What may be lost over one period: value at risk and expected shortfall, from the returns that were.

Losses are positive: a value at risk of 0.03 at 99 % says that of a hundred periods one loses 3 % or more. A negative
one says that even the worst of them gain. Expected shortfall is the mean loss of that worst share, and unlike value at
risk never rewards splitting a portfolio (Artzner, Delbaen, Eber & Heath 1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from alpharay.market.candles import FloatArray
from alpharay.models.returns import finite_series, share
from alpharay.models.volatility import FittedVolatility, filtered_variances, simulated_returns

Method = Literal["historical", "gaussian", "cornish-fisher", "filtered"]

LEVEL = 0.99

PATHS = 20_000
"""Paths of a filtered simulation over more than one period."""


@dataclass(frozen=True, slots=True)
class TailRisk:
    """The loss of one period (or of `horizon` periods together), as a fraction of what is held.

    Parameters
    ----------
    value_at_risk : float
        Loss that is reached or passed with probability 1 - level.
    expected_shortfall : float
        Mean loss of the worst 1 - level.
    level : float
    method : str
    observations : int
        Returns it rests on.
    tail_observations : float
        Of them in the tail; below about 10 the historical figures are one or two returns' own.
    horizon : int
    """

    value_at_risk: float
    expected_shortfall: float
    level: float
    method: Method
    observations: int
    tail_observations: float
    horizon: int = 1


def historical_risk(returns: npt.ArrayLike, *, level: float = LEVEL) -> TailRisk:
    """Return the risk when the next return is one of those that were, each as likely.

    Value at risk is the empirical quantile, without interpolation; expected shortfall integrates it, so a tail of 2.5
    returns counts the third worst by half (Acerbi & Tasche 2002, "On the coherence of expected shortfall", proposition
    4.1). With fewer than 1 / (1 - level) returns both are the worst loss. Raises ValueError for no returns, or NaN.
    """
    series = finite_series(returns, "returns")
    value_at_risk, shortfall = _empirical(series, share(level, "level"))
    return TailRisk(value_at_risk, shortfall, level, "historical", len(series), _in_tail(series, level))


def gaussian_risk(returns: npt.ArrayLike, *, level: float = LEVEL) -> TailRisk:
    """Return the risk when returns are normal with the sample's mean and deviation.

    VaR = z s - m, ES = s phi(z) / (1 - level) - m (McNeil, Frey & Embrechts 2015, "Quantitative Risk Management",
    examples 2.11 and 2.14). Raises ValueError for fewer than two returns, or NaN.
    """
    series = finite_series(returns, "returns", least=2)
    quantile = float(stats.norm.ppf(share(level, "level")))
    mean, deviation = float(series.mean()), float(series.std(ddof=1))
    shortfall = deviation * float(stats.norm.pdf(quantile)) / (1.0 - level) - mean
    return TailRisk(quantile * deviation - mean, shortfall, level, "gaussian", len(series), _in_tail(series, level))


def cornish_fisher_risk(returns: npt.ArrayLike, *, level: float = LEVEL) -> TailRisk:
    """Return the normal risk corrected for the sample's skewness S and excess kurtosis K.

    The quantile is z + (z^2 - 1) S / 6 + (z^3 - 3 z) K / 24 - (2 z^3 - 5 z) S^2 / 36 (Cornish & Fisher 1937; Favre &
    Galeano 2002), and expected shortfall its integral over the tail. Raises ValueError for fewer than four returns,
    NaN, and where S and K are such that deeper in the tail the loss would be smaller (Maillard 2012, "A user's
    guide to the Cornish Fisher expansion"): historical risk has no such limit. Flat returns lose their mean.
    """
    series = finite_series(returns, "returns", least=4)
    share(level, "level")
    mean, deviation = float(series.mean()), float(series.std(ddof=1))
    if deviation <= 1e-12 * float(np.abs(series).max()):
        return TailRisk(-mean, -mean, level, "cornish-fisher", len(series), _in_tail(series, level))
    skewness, kurtosis = float(stats.skew(series)), float(stats.kurtosis(series))
    linear = 1.0 - kurtosis / 8.0 + 5.0 * skewness**2 / 36.0
    square = skewness / 6.0
    cube = kurtosis / 24.0 - skewness**2 / 18.0
    z = float(stats.norm.ppf(1.0 - level))
    if not _rises(linear, square, cube, z):
        raise ValueError(
            f"skewness and excess kurtosis of the returns must fit a Cornish-Fisher expansion, were {skewness:.2f} "
            f"and {kurtosis:.2f}: use the historical method"
        )
    density = float(stats.norm.pdf(z)) / (1.0 - level)
    quantile = -square + linear * z + square * z**2 + cube * z**3
    # Means of 1, z, z^2 and z^3 over a normal tail below z: 1, -d, 1 - z d, -(z^2 + 2) d with d = density.
    tail = -square - linear * density + square * (1.0 - z * density) - cube * (z**2 + 2.0) * density
    return TailRisk(
        -(mean + deviation * quantile),
        -(mean + deviation * tail),
        level,
        "cornish-fisher",
        len(series),
        _in_tail(series, level),
    )


def filtered_risk(
    returns: npt.ArrayLike,
    fitted: FittedVolatility,
    *,
    level: float = LEVEL,
    horizon: int = 1,
    paths: int = PATHS,
    seed: int = 0,
) -> TailRisk:
    """Return the historical risk of the returns' innovations at the volatility of now.

    Filtered historical simulation (Barone-Adesi, Giannopoulos & Vosper 1999; Hull & White 1998): each past return is
    divided by the volatility it was expected with, and the results are played back at the volatility expected next:
    each of them once for one period, drawn into `paths` paths through the model for more, whose returns are summed.
    `fitted` is the state after the last of `returns`. A return whose expected volatility is zero counts as no surprise.
    Raises ValueError for no returns, NaN, a horizon below 1 or fewer than 100 paths.
    """
    series = finite_series(returns, "returns")
    share(level, "level")
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, was {horizon}")
    if paths < 100:
        raise ValueError(f"paths must be at least 100, was {paths}")
    deviations = np.sqrt(filtered_variances(fitted, series)[:-1])
    shocks = series - fitted.mean
    innovations = np.divide(shocks, deviations, out=np.zeros_like(shocks), where=deviations > 0.0)
    if horizon > 1:
        innovations = np.random.default_rng(seed).choice(innovations, (horizon, paths))
        outcomes = simulated_returns(fitted, innovations)[0].sum(axis=0)
    else:
        outcomes = fitted.mean + math.sqrt(fitted.next_variance) * innovations
    value_at_risk, shortfall = _empirical(outcomes, level)
    return TailRisk(value_at_risk, shortfall, level, "filtered", len(series), _in_tail(series, level), horizon)


def portfolio_returns(weights: npt.ArrayLike, returns: npt.ArrayLike) -> FloatArray:
    """Return what `weights` (signed shares of equity) would have earned each period of `returns` (periods, assets).

    The rest is cash, which earns nothing, as do no weights. Raises ValueError for shapes that do not fit, or NaN.
    """
    held = finite_series(weights, "weights", least=0)
    table = np.asarray(returns, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(held):
        raise ValueError(f"returns must have the shape (periods, {len(held)}), had {table.shape}")
    if not np.isfinite(table).all():
        period, asset = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(f"returns must be finite, was {table[period, asset]} in period {period} of asset {asset}")
    return table @ held


def shortfall_contributions(weights: npt.ArrayLike, returns: npt.ArrayLike, *, level: float = LEVEL) -> FloatArray:
    """Return each asset's part of the portfolio's historical expected shortfall; they sum to it.

    Of asset i: its weight times its mean loss in the portfolio's tail (Euler; Tasche 2002, "Expected shortfall and
    beyond"). A part below zero is a hedge. Raises ValueError as `portfolio_returns`, and for no periods.
    """
    together = finite_series(portfolio_returns(weights, returns), "returns")
    tail = _tail_weights(together, share(level, "level"))
    parts: FloatArray = -(tail @ np.asarray(returns, dtype=np.float64)) * np.asarray(weights, dtype=np.float64)
    return parts


def _empirical(series: FloatArray, level: float) -> tuple[float, float]:
    """Return value at risk and expected shortfall of equally likely returns."""
    tail = _tail_weights(series, level)
    return -float(series[tail > 0.0].max()), -float(tail @ series)


def _tail_weights(series: FloatArray, level: float) -> FloatArray:
    """Return what each return counts in the mean of the worst 1 - level: the worst alone when that is less than one."""
    tail = max(_in_tail(series, level), 1.0)
    order = np.argsort(series, kind="stable")
    weights = np.zeros(len(series))
    weights[order] = np.clip(tail - np.arange(len(series)), 0.0, 1.0) / tail
    return weights


def _in_tail(series: FloatArray, level: float) -> float:
    # 1 - level is a binary fraction: 250 * (1 - 0.98) is 5.000000000000004 returns, meant as 5.
    return round(len(series) * (1.0 - level), 9)


def _rises(linear: float, square: float, cube: float, until: float) -> bool:
    """Return whether linear z + square z^2 + cube z^3 rises for all z up to `until`."""
    if linear + 2.0 * square * until + 3.0 * cube * until**2 <= 0.0 or cube < 0.0:
        return False
    if cube == 0.0:
        return square <= 0.0
    # The slope is a parabola that opens upwards: left of its lowest point it may dip below zero and come back.
    lowest = -square / (3.0 * cube)
    return lowest >= until or square**2 < 3.0 * linear * cube
