"""What the market around a signal is like: momentum, volatility by its own history, and whether its regime is new.

Momentum: the return over h candles in units of its own standard deviation, ln(C[t] / C[t-h]) / (s * sqrt(h)), as in
time-series momentum (Moskowitz, Ooi & Pedersen 2012; scaled by volatility). Two deviations are a full score.

Volatility: of the newest `VOLATILITY_CANDLES` returns, ranked among those of all windows before it (kept history only).

Sentiment is neutral and flagged: no feed of news exists yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import Candles, FloatArray
from alpharay.market.timeframe import timeframe_ms
from alpharay.models.change_points import regime
from alpharay.models.volatility import ewma_volatility
from alpharay.risk.calibration import RECENT
from alpharay.risk.market_view import MarketRisk
from alpharay.signals.evidence import YEAR_MS
from alpharay.signals.opinion import DEGRADED, Opinion, abstention, clipped

CONTEXT_CANDLES = 500
"""The newest candles that it looks at."""
HORIZONS = (8, 24, 72, 216)
"""Candles over which momentum is measured."""
FULL_MOMENTUM = 2.0
"""Standard deviations at which a horizon's score is 1."""
VOLATILITY_CANDLES = 24
LEAST_WINDOWS = 48
"""Windows before the newest one without which its rank would say nothing."""
LOW, HIGH = 0.2, 0.8
"""Ranks at which volatility is called low and high."""
TRUST_WHEN_HIGH = 0.5
"""What is left of the confidence where volatility is high: momentum pays less then (Wang & Xu 2015)."""

NO_SENTIMENT = "sentiment_not_available"

VolatilityRegime = Literal["low", "normal", "high", "unknown"]


@dataclass(frozen=True, slots=True)
class Momentum:
    """One horizon: candles, the simple return over them, and its score in [-1, 1]."""

    candles: int
    total_return: float
    score: float


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What news say: nothing yet, which is flagged and not guessed."""

    score: float = 0.0
    status: Literal["not_available"] = "not_available"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketContext:
    """The context of a market at its newest closed candle.

    Parameters
    ----------
    momentum : tuple of Momentum
        Of the horizons that the candles reach over, shortest first.
    volatility : float or None
        A year's, of the next candle: by the stored model where there is one, else an exponential average; None where
        prices do not move or are too few.
    volatility_model : str or None
        Which one: "garch", "gjr", "ewma".
    volatility_regime : str
    volatility_rank : float or None
        Share of earlier windows that were calmer.
    change_probability : float or None
        That the regime began within the last 10 returns; None without stored change points.
    regime_length : int or None
        Its most probable length, in candles.
    missing : tuple of str
        What it should rest on and does not, as flags.
    """

    momentum: tuple[Momentum, ...] = ()
    volatility: float | None = None
    volatility_model: str | None = None
    volatility_regime: VolatilityRegime = "unknown"
    volatility_rank: float | None = None
    change_probability: float | None = None
    regime_length: int | None = None
    sentiment: Sentiment = Sentiment()
    missing: tuple[str, ...] = ()


def market_context(candles: Candles, risk: MarketRisk | None = None) -> MarketContext:
    """Return the context of a market from its candles, oldest first, and the states of its models, where stored.

    Raises ValueError for a close that is not finite and above 0.
    """
    closes = candles.close[-CONTEXT_CANDLES:]
    bad = np.flatnonzero(~(np.isfinite(closes) & (closes > 0.0)))
    if len(bad):
        raise ValueError(f"close must be finite and above 0, was {closes[bad[0]]}")
    logs = np.log(closes)
    returns = np.diff(logs)
    rank, kind = volatility_rank(returns)
    a_candle, model, missing = _volatility(returns, risk)
    change, length = None, None
    if risk is not None and risk.change_points is not None and risk.change_points.state.observations:
        now = regime(risk.change_points.state, recent=RECENT)
        change, length = now.change_probability, now.length
    else:
        missing = (*missing, "change_points_not_available")
    year = YEAR_MS / timeframe_ms(candles.timeframe)
    return MarketContext(
        momentum=momentum(logs),
        volatility=None if a_candle is None else a_candle * math.sqrt(year),
        volatility_model=model,
        volatility_regime=kind,
        volatility_rank=rank,
        change_probability=change,
        regime_length=length,
        missing=(*missing, NO_SENTIMENT),
    )


def momentum(logs: npt.ArrayLike) -> tuple[Momentum, ...]:
    """Return the momentum of logarithmic prices over each horizon that they reach over; none where they do not move."""
    prices: FloatArray = np.asarray(logs, dtype=np.float64)
    returns = np.diff(prices)
    deviation = float(np.std(returns)) if len(returns) > 1 else 0.0
    if not deviation > 0.0:
        return ()
    found = []
    for candles in HORIZONS:
        if candles < len(prices):
            change = float(prices[-1] - prices[-1 - candles])
            score = clipped(change / (deviation * math.sqrt(candles)) / FULL_MOMENTUM)
            found.append(Momentum(candles, math.expm1(change), score))
    return tuple(found)


def volatility_rank(returns: npt.ArrayLike) -> tuple[float | None, VolatilityRegime]:
    """Return the share of earlier windows calmer than the newest, ties as halves, and what that is called.

    None and "unknown" for fewer than `LEAST_WINDOWS` windows before it, or where nothing moves.
    """
    series: FloatArray = np.asarray(returns, dtype=np.float64)
    if len(series) < VOLATILITY_CANDLES + LEAST_WINDOWS or not float(np.ptp(series)) > 0.0:
        return None, "unknown"
    deviations = np.lib.stride_tricks.sliding_window_view(series, VOLATILITY_CANDLES).std(axis=1)
    newest, before = deviations[-1], deviations[:-1]
    rank = float((np.sum(before < newest) + 0.5 * np.sum(before == newest)) / len(before))
    return rank, "low" if rank <= LOW else "high" if rank >= HIGH else "normal"


def context_opinion(context: MarketContext) -> Opinion:
    """Return the context's vote.

    Its score is the mean of its horizons'. Its confidence is the share of horizons that the candles reach over, times
    the probability that the regime is no new one, halved where volatility is high.
    """
    if not context.momentum:
        return abstention("market_context", "too few candles, or none that moves", *context.missing)
    confidence = len(context.momentum) / len(HORIZONS)
    if context.change_probability is not None:
        confidence *= max(1.0 - context.change_probability, 0.0)
    if context.volatility_regime == "high":
        confidence *= TRUST_WHEN_HIGH
    score = math.fsum(one.score for one in context.momentum) / len(context.momentum)
    told = ", ".join(f"{one.total_return:+.1%} over {one.candles}" for one in context.momentum)
    why = f"momentum {told} candles; volatility is {context.volatility_regime} by its own history"
    if context.change_probability is not None:
        why += f"; the regime is new with probability {context.change_probability:.0%}"
    flags = context.missing if context.missing == (NO_SENTIMENT,) else (DEGRADED, *context.missing)
    return Opinion(name="market_context", score=clipped(score), confidence=confidence, why=why, flags=flags)


def _volatility(returns: FloatArray, risk: MarketRisk | None) -> tuple[float | None, str | None, tuple[str, ...]]:
    """Return the next candle's volatility, the model's name, and what is missing."""
    if risk is not None and risk.volatility is not None:
        state = risk.volatility.state
        if state.next_variance > 0.0:
            return math.sqrt(state.next_variance), state.model, ()
    missing = ("volatility_model_not_available",)
    if len(returns) < 2 or not float(np.ptp(returns)) > 0.0:
        return None, None, missing
    return math.sqrt(ewma_volatility(returns).next_variance), "ewma", missing
