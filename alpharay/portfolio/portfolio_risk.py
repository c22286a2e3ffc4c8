"""The risk of what an account holds, whose it is, and what one more trade does to it.

All of it rests on one table of returns of the symbols over the same candles. Volatility and the normal value at risk
are homogeneous in the weights, so each is the sum of its components (Euler; Garman 1996, "Improving on VaR"; Tasche
1999). The normal value at risk has a mean of zero: over a candle a mean is nothing but noise (J.P. Morgan/Reuters 1996,
"RiskMetrics - Technical Document", section 5.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from alpharay.market.candles import FloatArray
from alpharay.models.returns import share
from alpharay.portfolio.exposure import Exposure, Heat, exposure_of, heat_of, risk_contributions, trade_risk
from alpharay.risk.covariance import shrunk_covariance
from alpharay.risk.value_at_risk import LEVEL, historical_risk, portfolio_returns, shortfall_contributions

STOP_DEVIATIONS = 2.0
"""Where no stops are told, one is so many standard deviations of a candle away."""


@dataclass(frozen=True, slots=True)
class SymbolRisk:
    """One symbol's part: its weight, what a bit more of it would add, and the components that sum to the totals.

    Parameters
    ----------
    weight : float
        Signed share of equity.
    volatility : float
        The symbol's own, of one candle.
    marginal_volatility, component_volatility : float
        Per unit of weight, and times the weight.
    marginal_value_at_risk, component_value_at_risk : float
        The same of the normal value at risk.
    component_shortfall : float
        Of the historical expected shortfall.
    """

    weight: float
    volatility: float
    marginal_volatility: float
    component_volatility: float
    marginal_value_at_risk: float
    component_value_at_risk: float
    component_shortfall: float


@dataclass(frozen=True, slots=True)
class PortfolioRisk:
    """The risk of one candle, as shares of equity; losses are positive.

    Parameters
    ----------
    observations : int
    level : float
    volatility : float
    value_at_risk : float
        Normal, at the shrunk covariance.
    historical_value_at_risk, expected_shortfall : float
        Of the returns that these weights would have had.
    exposure : Exposure
    groups : Mapping
        The exposure of each group of symbols.
    heat : Heat
        Of stops `stop_deviations` away.
    symbols : Mapping
        Each symbol's part.
    """

    observations: int
    level: float
    volatility: float
    value_at_risk: float
    historical_value_at_risk: float
    expected_shortfall: float
    exposure: Exposure
    groups: Mapping[str, Exposure]
    heat: Heat
    symbols: Mapping[str, SymbolRisk]


@dataclass(frozen=True, slots=True)
class MarginalRisk:
    """What a trade does: the portfolio's risk before and after it, the difference, and its first bit's effect.

    `marginal_volatility` and `marginal_value_at_risk` are per unit of weight in the trade's direction; `best_hedge` is
    the change of the symbol's weight at which the volatility is smallest.
    """

    before: PortfolioRisk
    after: PortfolioRisk
    incremental_volatility: float
    incremental_value_at_risk: float
    incremental_shortfall: float
    marginal_volatility: float
    marginal_value_at_risk: float
    best_hedge: float


def portfolio_risk(
    weights: Mapping[str, float],
    symbols: Sequence[str],
    returns: FloatArray,
    *,
    groups: Mapping[str, str] | None = None,
    level: float = LEVEL,
    stop_deviations: float = STOP_DEVIATIONS,
) -> PortfolioRisk:
    """Return the risk of `weights` by `returns` (periods, symbols), whose columns are `symbols`; none held has none.

    A symbol without a group is one of its own. Raises ValueError for a weight without a column, fewer than two periods,
    or NaN.
    """
    unknown = sorted(weights.keys() - set(symbols))
    if unknown:
        raise ValueError(f"every weight must have returns, {', '.join(unknown)} had none")
    held = np.array([weights.get(symbol, 0.0) for symbol in symbols])
    covariance = shrunk_covariance(returns)
    parts = risk_contributions(held, covariance)
    quantile = float(stats.norm.ppf(share(level, "level")))
    historical = historical_risk(portfolio_returns(held, returns), level=level)
    shortfalls = shortfall_contributions(held, returns, level=level)
    deviations = np.sqrt(np.diag(covariance))
    return PortfolioRisk(
        observations=len(returns),
        level=level,
        volatility=parts.volatility,
        value_at_risk=quantile * parts.volatility,
        historical_value_at_risk=historical.value_at_risk,
        expected_shortfall=historical.expected_shortfall,
        exposure=exposure_of(dict(zip(symbols, held.tolist(), strict=True)), 1.0),
        groups=_group_exposures(weights, groups or {}),
        heat=heat_of(held * deviations * stop_deviations, _correlation(covariance, deviations)),
        symbols={
            symbol: SymbolRisk(
                weight=float(held[place]),
                volatility=float(deviations[place]),
                marginal_volatility=float(parts.marginal[place]),
                component_volatility=float(parts.component[place]),
                marginal_value_at_risk=quantile * float(parts.marginal[place]),
                component_value_at_risk=quantile * float(parts.component[place]),
                component_shortfall=float(shortfalls[place]),
            )
            for place, symbol in enumerate(symbols)
        },
    )


def marginal_risk(
    weights: Mapping[str, float],
    symbols: Sequence[str],
    returns: FloatArray,
    symbol: str,
    change: float,
    *,
    groups: Mapping[str, str] | None = None,
    level: float = LEVEL,
    stop_deviations: float = STOP_DEVIATIONS,
) -> MarginalRisk:
    """Return what adding `change` to the weight of `symbol`, one of `symbols`, does; raises as `portfolio_risk`."""
    if symbol not in symbols:
        raise ValueError(f"the trade's symbol must have returns, {symbol} had none")
    changed = {**weights, symbol: weights.get(symbol, 0.0) + change}
    before, after = (
        portfolio_risk(held, symbols, returns, groups=groups, level=level, stop_deviations=stop_deviations)
        for held in (weights, changed)
    )
    held = np.array([weights.get(one, 0.0) for one in symbols])
    trade = trade_risk(held, shrunk_covariance(returns), list(symbols).index(symbol), change)
    return MarginalRisk(
        before=before,
        after=after,
        incremental_volatility=after.volatility - before.volatility,
        incremental_value_at_risk=after.value_at_risk - before.value_at_risk,
        incremental_shortfall=after.expected_shortfall - before.expected_shortfall,
        marginal_volatility=trade.marginal,
        marginal_value_at_risk=float(stats.norm.ppf(level)) * trade.marginal,
        best_hedge=trade.best_hedge,
    )


def _group_exposures(weights: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, Exposure]:
    members: dict[str, dict[str, float]] = {}
    for symbol in sorted(weights):
        members.setdefault(groups.get(symbol, symbol), {})[symbol] = weights[symbol]
    return {group: exposure_of(held, 1.0) for group, held in members.items()}


def _correlation(covariance: FloatArray, deviations: FloatArray) -> FloatArray:
    scale = np.outer(deviations, deviations)
    correlation: FloatArray = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0.0)
    # Something that does not move is correlated with itself alone.
    np.fill_diagonal(correlation, 1.0)
    return correlation
