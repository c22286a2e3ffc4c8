"""Made-up markets without an edge: GARCH(1,1) candles, the same everywhere for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpharay.market.candles import Candles, FloatArray
from alpharay.market.timeframe import DAY_MS, timeframe_ms

SYNTHETIC_EXCHANGE = "synthetic"

STEPS = 6
"""Price changes inside one candle, of which its high and low are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchMarket:
    """A GARCH(1,1) process (Bollerslev 1986) with Student-t innovations.

    Parameters
    ----------
    volatility : float
        Long-run standard deviation of a year's returns (365 days).
    alpha, beta : float
        Weight of the last squared return and of the last variance; their sum, below 1, says how long
        volatility lasts.
    degrees_of_freedom : float
        Of the innovations, above 2; small ones make fat tails.
    """

    volatility: float = 0.8
    alpha: float = 0.08
    beta: float = 0.90
    degrees_of_freedom: float = 5.0

    def __post_init__(self) -> None:
        if not self.volatility > 0.0:
            raise ValueError(f"volatility must be above 0, was {self.volatility}")
        if not (self.alpha >= 0.0 and self.beta >= 0.0 and self.alpha + self.beta < 1.0):
            raise ValueError(f"alpha and beta must be at least 0 and sum below 1, was {self.alpha} and {self.beta}")
        if not self.degrees_of_freedom > 2.0:
            raise ValueError(f"degrees_of_freedom must be above 2, was {self.degrees_of_freedom}")


LARGEST_MOVE = 0.4
"""A candle's return is cut at this size, the same up and down, so that prices stay positive without a drift."""


def garch_candles(
    bars: int,
    seed: int,
    *,
    market: GarchMarket = GarchMarket(),
    timeframe: str = "1h",
    symbol: str = "GARCH/USD",
    start_ms: int = 0,
    start_price: float = 100.0,
) -> Candles:
    """Return `bars` candles whose close is a martingale: the arithmetic returns have mean zero and no memory of sign.

    Each candle opens at the close before it. Volume grows with the size of the move. Raises ValueError for a negative
    number of bars.
    """
    if bars < 0:
        raise ValueError(f"bars must be at least 0, was {bars}")
    generator = np.random.default_rng(seed)
    returns = _garch_returns(bars, market, timeframe, generator)
    path = start_price * np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    opened, close = path[:-1], path[1:]
    high, low = _excursions(returns, generator)
    volume = np.exp(generator.normal(0.0, 0.5, bars)) * (1.0 + np.abs(returns) / _deviation(market, timeframe))
    length = timeframe_ms(timeframe)
    return Candles(
        exchange=SYNTHETIC_EXCHANGE,
        symbol=symbol,
        timeframe=timeframe,
        open_time=start_ms + np.arange(bars, dtype=np.int64) * length,
        open=opened,
        high=np.maximum(opened * (1.0 + high), np.maximum(opened, close)),
        low=np.minimum(opened * (1.0 + low), np.minimum(opened, close)),
        close=close,
        volume=volume,
    )


def _deviation(market: GarchMarket, timeframe: str) -> float:
    """Return the long-run standard deviation of one candle's return."""
    return market.volatility * float(np.sqrt(timeframe_ms(timeframe) / (365.0 * DAY_MS)))


def _garch_returns(bars: int, market: GarchMarket, timeframe: str, generator: np.random.Generator) -> FloatArray:
    """Return arithmetic returns: h[t] = omega + alpha r[t-1]^2 + beta h[t-1], r[t] = sqrt(h[t]) z[t]."""
    long_run = _deviation(market, timeframe) ** 2
    omega = long_run * (1.0 - market.alpha - market.beta)
    freedom = market.degrees_of_freedom
    innovations = generator.standard_t(freedom, bars) * np.sqrt((freedom - 2.0) / freedom)
    returns = np.empty(bars)
    variance = long_run
    for bar, innovation in enumerate(innovations.tolist()):
        change = min(max(variance**0.5 * innovation, -LARGEST_MOVE), LARGEST_MOVE)
        returns[bar] = change
        variance = omega + market.alpha * change * change + market.beta * variance
    return returns


def _excursions(returns: FloatArray, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return how far each candle rises and falls from its open: a bridge of `STEPS` steps to its close."""
    steps = generator.normal(0.0, 1.0, (len(returns), STEPS))
    steps -= steps.mean(axis=1, keepdims=True)
    scale = np.abs(returns)[:, None] / STEPS**0.5
    bridge = np.cumsum(steps * scale + returns[:, None] / STEPS, axis=1)
    return np.clip(bridge.max(axis=1), 0.0, LARGEST_MOVE), np.clip(bridge.min(axis=1), -LARGEST_MOVE, 0.0)
