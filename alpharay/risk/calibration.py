"""Fit the models of a market or a pair to its candles, and bring a fitted state up to the newest of them.

Returns are logarithmic, from candle to candle: where candles are missing, one return spans the gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.market.timeframe import timeframe_ms
from alpharay.models.change_points import ChangePointSettings, ChangePointState, observed, regime, regime_prior
from alpharay.models.hedge_ratio import HedgeState, fit_hedge, hedged, mean_reversion, spread
from alpharay.models.volatility import Distribution, FittedVolatility, updated
from alpharay.models.volatility_fit import fit_volatility

RECENT = 10
"""A regime that began within so many returns counts as a recent change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSettings:
    """How models are fitted.

    Parameters
    ----------
    candles : int
        The newest candles that a fit looks at.
    model, distribution : str
        Of the volatility; see `fit_volatility`.
    hazard : float
        Chance of a new regime before each return.
    """

    candles: int = 2_000
    model: Literal["garch", "gjr"] = "garch"
    distribution: Distribution = "normal"
    hazard: float = 1.0 / 250.0

    def __post_init__(self) -> None:
        if self.candles < 3:
            raise ValueError(f"candles of a calibration must be at least 3, was {self.candles}")
        if not 0.0 < self.hazard < 1.0:
            raise ValueError(f"hazard must be in (0, 1), was {self.hazard}")


@dataclass(frozen=True, slots=True)
class PriceHistory:
    """Closes of one market's newest candles: open time (UTC ms, rising) and price, one element a candle."""

    open_time: IntArray
    close: FloatArray

    @property
    def returns(self) -> FloatArray:
        """Logarithmic return of each candle but the first."""
        return np.diff(np.log(self.close))

    def returns_after(self, time_ms: int) -> FloatArray:
        """Return the returns of the candles that open after a time."""
        return self.returns[self.open_time[1:] > time_ms]


@dataclass(frozen=True, slots=True)
class PairHistory:
    """Logarithms of two markets' closes at the times that both have."""

    open_time: IntArray
    y: FloatArray
    x: FloatArray

    def after(self, time_ms: int) -> PairHistory:
        """Return what opens after a time."""
        later = self.open_time > time_ms
        return PairHistory(self.open_time[later], self.y[later], self.x[later])


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted state and what it says of itself."""

    state: FittedVolatility | ChangePointState | HedgeState
    diagnostics: dict[str, Any]


def price_history(candles: Candles) -> PriceHistory:
    """Return the closes of candles; raises ValueError for one that is not above 0."""
    bad = np.flatnonzero(~(candles.close > 0.0))
    if len(bad):
        raise ValueError(f"close must be above 0, was {candles.close[bad[0]]} at {candles.open_time[bad[0]]}")
    return PriceHistory(candles.open_time, candles.close)


def pair_history(y: PriceHistory, x: PriceHistory) -> PairHistory:
    """Return the pair at the candles that both markets have."""
    times, in_y, in_x = np.intersect1d(y.open_time, x.open_time, assume_unique=True, return_indices=True)
    return PairHistory(times, np.log(y.close[in_y]), np.log(x.close[in_x]))


def fit_market(history: PriceHistory, timeframe: str, settings: CalibrationSettings) -> dict[str, Fit]:
    """Return the fits of a market by kind; change points are missing where prices do not move.

    Raises ValueError for fewer than two candles.
    """
    returns = history.returns
    gaps = int(np.sum(np.diff(history.open_time) > timeframe_ms(timeframe)))
    volatility = fit_volatility(returns, model=settings.model, distribution=settings.distribution)
    fits = {
        "volatility": Fit(
            volatility,
            {
                "model": volatility.model,
                "returns": len(returns),
                "gaps": gaps,
                "persistence": volatility.persistence,
                "log_likelihood": volatility.log_likelihood,
                "fallback": volatility.fallback,
            },
        )
    }
    if len(returns) < 2 or not float(np.var(returns)) > 0.0:
        return fits
    prior = ChangePointSettings(prior=regime_prior(returns), hazard=settings.hazard)
    state = observed(ChangePointState(settings=prior), returns)
    now = regime(state, recent=RECENT)
    told = {"returns": len(returns), "gaps": gaps, "length": now.length, "change_probability": now.change_probability}
    fits["change_points"] = Fit(state, told)
    return fits


def fit_pair(pair: PairHistory) -> Fit:
    """Return the fitted hedge of a pair; raises ValueError for fewer than 30 common candles, or one that is flat."""
    state = fit_hedge(pair.y, pair.x)
    values = spread(state, pair.y, pair.x)
    back = mean_reversion(values)
    told = {
        "pairs": len(pair.open_time),
        "ratio": state.ratio,
        "log_likelihood": state.log_likelihood,
        "half_life": back.half_life,
        "t_statistic": back.t_statistic if np.isfinite(back.t_statistic) else None,
    }
    return Fit(state, told)


def volatility_now(state: FittedVolatility, decided_at: int, history: PriceHistory) -> FittedVolatility:
    """Return the state after the candles that came since it was fitted."""
    return updated(state, history.returns_after(decided_at))


def change_points_now(state: ChangePointState, decided_at: int, history: PriceHistory) -> ChangePointState:
    """Return the state after the candles that came since it was fitted."""
    return observed(state, history.returns_after(decided_at))


def hedge_now(state: HedgeState, decided_at: int, pair: PairHistory) -> HedgeState:
    """Return the state after the pairs that came since it was fitted."""
    later = pair.after(decided_at)
    return hedged(state, later.y, later.x)[1]
