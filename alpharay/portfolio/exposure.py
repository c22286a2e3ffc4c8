"""How much is at stake: exposure, heat that knows correlation, and whose risk it is.

Volatility is homogeneous in the weights, so it is the sum of weight times marginal risk (Euler; Tasche 1999, "Risk
contributions and performance measurement"; Litterman 1996, "Hot spots and hedges").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray
from alpharay.models.returns import finite_series
from alpharay.risk.covariance import checked_covariance


@dataclass(frozen=True, slots=True)
class Exposure:
    """Positions as multiples of equity: long and short (both at least 0), their sum and difference, and the largest."""

    long: float
    short: float
    gross: float
    net: float
    largest: float
    largest_symbol: str | None


@dataclass(frozen=True, slots=True)
class Heat:
    """What the open positions lose at their stops, as a share of equity.

    Parameters
    ----------
    together : float
        If all stops are hit at once.
    correlated : float
        Root of r' C r: as they move together, a hedge counted as one.
    diversification : float
        1 - correlated / together; 0 when nothing is at risk.
    """

    together: float
    correlated: float
    diversification: float


@dataclass(frozen=True, slots=True)
class RiskContributions:
    """Whose risk a portfolio's volatility is.

    Parameters
    ----------
    volatility : float
        Root of w' C w, over the time of the covariance.
    marginal : FloatArray
        Change of the volatility per unit of each weight: C w / volatility; zeros for a portfolio without risk.
    component : FloatArray
        weight * marginal; they sum to the volatility.
    """

    volatility: float
    marginal: FloatArray
    component: FloatArray


@dataclass(frozen=True, slots=True)
class TradeRisk:
    """What a trade does to a portfolio's volatility.

    Parameters
    ----------
    before, after : float
        Volatility without and with it.
    incremental : float
        after - before; below 0 when it hedges.
    marginal : float
        Volatility per unit of weight for the first bit of the trade, in the trade's direction.
    best_hedge : float
        Change of the asset's weight that makes the volatility smallest: -(C w)[i] / C[i][i]; 0 when it does not move.
    """

    before: float
    after: float
    incremental: float
    marginal: float
    best_hedge: float


def exposure_of(positions: Mapping[str, float], equity: float) -> Exposure:
    """Return the exposure of positions (market values, short below zero); none give zeros.

    Raises ValueError when equity is not above 0, or NaN.
    """
    if not 0.0 < equity < math.inf:
        raise ValueError(f"equity must be above 0 and finite, was {equity}")
    for symbol, value in positions.items():
        if not math.isfinite(value):
            raise ValueError(f"position in {symbol} must be finite, was {value}")
    long = math.fsum(value for value in positions.values() if value > 0.0) / equity
    short = -math.fsum(value for value in positions.values() if value < 0.0) / equity
    held = [name for name in sorted(positions) if positions[name] != 0.0]
    if not held:
        return Exposure(0.0, 0.0, 0.0, 0.0, 0.0, None)
    largest = max(held, key=lambda name: abs(positions[name]))
    return Exposure(long, short, long + short, long - short, abs(positions[largest]) / equity, largest)


def heat_of(at_risk: npt.ArrayLike, correlation: npt.ArrayLike) -> Heat:
    """Return the heat of positions that lose `at_risk` (shares of equity, short below zero) at their stops.

    Raises ValueError for shapes that do not fit, NaN, or a matrix that is no correlation. No positions have no heat.
    """
    risks = finite_series(at_risk, "amounts at risk", least=0)
    matrix = checked_covariance(correlation, len(risks))
    if not np.allclose(np.diag(matrix), 1.0, atol=1e-9):
        raise ValueError(f"the diagonal of a correlation must be 1, was {np.diag(matrix).tolist()}")
    together = float(np.abs(risks).sum())
    correlated = math.sqrt(max(float(risks @ matrix @ risks), 0.0))
    return Heat(together, correlated, 1.0 - correlated / together if together > 0.0 else 0.0)


def risk_contributions(weights: npt.ArrayLike, covariance: npt.ArrayLike) -> RiskContributions:
    """Return the volatility of `weights` (signed shares of equity) and whose it is.

    A singular covariance is fine. A portfolio without risk has contributions of zero. Raises ValueError for shapes
    that do not fit, NaN, or a matrix that is no covariance.
    """
    held = finite_series(weights, "weights", least=0)
    matrix = checked_covariance(covariance, len(held))
    together = matrix @ held
    volatility = math.sqrt(max(float(held @ together), 0.0))
    marginal = together / volatility if volatility > 0.0 else np.zeros(len(held))
    return RiskContributions(volatility, marginal, held * marginal)


def trade_risk(weights: npt.ArrayLike, covariance: npt.ArrayLike, asset: int, change: float) -> TradeRisk:
    """Return what adding `change` to the weight of `asset` (its place, from 0) does to the volatility.

    From a portfolio without risk the first bit adds the asset's own volatility. Raises ValueError as
    `risk_contributions`, and for a place that there is not.
    """
    held = finite_series(weights, "weights")
    if not 0 <= asset < len(held):
        raise ValueError(f"asset must be in [0, {len(held)}), was {asset}")
    if not math.isfinite(change):
        raise ValueError(f"change must be finite, was {change}")
    before = risk_contributions(held, covariance)
    changed = held.copy()
    changed[asset] += change
    after = risk_contributions(changed, covariance).volatility
    matrix = np.asarray(covariance, dtype=np.float64)
    variance = float(matrix[asset, asset])
    marginal = math.copysign(1.0, change) * float(before.marginal[asset])
    if before.volatility == 0.0:
        marginal = math.sqrt(max(variance, 0.0))
    hedge = -float(matrix[asset] @ held) / variance if variance > 0.0 else 0.0
    return TradeRisk(before.volatility, after, after - before.volatility, marginal, hedge)
