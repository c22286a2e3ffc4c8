"""Momentum, volatility and regime of small markets, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from alpharay.market.candles import Candles
from alpharay.models.change_points import ChangePointSettings, ChangePointState, RegimePrior, observed
from alpharay.models.volatility import FittedVolatility
from alpharay.risk.calibration import PriceHistory
from alpharay.risk.market_view import MarketName, MarketRisk, StateView
from alpharay.signals.market_context import (
    HORIZONS,
    NO_SENTIMENT,
    context_opinion,
    market_context,
    momentum,
    volatility_rank,
)
from benchmarks.signal_data import generated_candles

END_MS = 480_000 * 3_600_000


def market(closes: np.ndarray) -> Candles:
    whole = generated_candles("SOL/USD", bars=len(closes), end_ms=END_MS)
    return replace(whole, close=np.asarray(closes, dtype=np.float64))


def wandering(bars: int, seed: int = 0) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, bars)))


def risk_of(candles: Candles, *, next_variance: float = 0.0004, jump: float = 0.0) -> MarketRisk:
    settings = ChangePointSettings(prior=RegimePrior(variance=0.0001), hazard=1.0 / 250.0)
    calm = np.random.default_rng(1).normal(0.0, 0.01, 300)
    state = observed(ChangePointState(settings=settings), np.append(calm, [jump] * 5))
    garch = FittedVolatility(
        model="garch", omega=1e-6, alpha=0.1, beta=0.8, next_variance=next_variance, observations=300
    )
    return MarketRisk(
        MarketName(candles.exchange, candles.symbol, candles.timeframe),
        PriceHistory(candles.open_time, candles.close),
        StateView(garch, 0, 0),
        StateView(state, 0, 0),
    )


def test_momentum_is_the_return_in_its_own_standard_deviations() -> None:
    closes = wandering(300)
    logs = np.log(closes)
    found = momentum(logs)
    assert [one.candles for one in found] == list(HORIZONS)
    for one in found:
        change = logs[-1] - logs[-1 - one.candles]
        expected = change / (np.std(np.diff(logs)) * math.sqrt(one.candles)) / 2.0
        assert one.score == pytest.approx(min(max(expected, -1.0), 1.0))
        assert one.total_return == pytest.approx(closes[-1] / closes[-1 - one.candles] - 1.0)


def test_only_horizons_that_the_candles_reach_over_count() -> None:
    found = momentum(np.log(wandering(25)))
    assert [one.candles for one in found] == [8, 24]
    opinion = context_opinion(market_context(market(wandering(25))))
    assert opinion.confidence == 0.5


def test_a_straight_rise_is_a_full_score_and_a_fall_its_mirror() -> None:
    rising = 100.0 * np.exp(np.linspace(0.0, 1.0, 300) + 0.001 * np.sin(np.arange(300)))
    up = context_opinion(market_context(market(rising)))
    down = context_opinion(market_context(market(10_000.0 / rising)))
    assert up.score == pytest.approx(1.0)
    assert down.score == pytest.approx(-1.0)


@pytest.mark.parametrize("bars", [1, 2, 8, 300])
def test_a_market_that_does_not_move_or_is_too_short_abstains(bars: int) -> None:
    context = market_context(market(np.full(bars, 100.0)))
    opinion = context_opinion(context)
    assert opinion.abstains
    assert (opinion.score, opinion.confidence) == (0.0, 0.0)
    assert context.volatility is None
    assert context.volatility_regime == "unknown"


def test_the_newest_window_is_ranked_among_those_before_it() -> None:
    calm, wild = np.random.default_rng(2).normal(0.0, [0.01] * 200), np.random.default_rng(3).normal(0.0, [0.05] * 24)
    assert volatility_rank(np.append(calm, wild)) == (1.0, "high")
    assert volatility_rank(np.append(wild, calm[:100] * 0.1))[1] != "high"
    assert volatility_rank(np.append(calm, wild / 100.0)) == (0.0, "low")
    assert volatility_rank(calm[:71]) == (None, "unknown")
    assert volatility_rank(np.zeros(200)) == (None, "unknown")


def test_high_volatility_and_a_new_regime_take_confidence_away() -> None:
    closes = wandering(400)
    calm = context_opinion(market_context(market(closes)))
    assert calm.confidence == 1.0
    shaken = np.append(closes, closes[-1] * np.cumprod(1.0 + 0.05 * (-1.0) ** np.arange(24)))
    assert context_opinion(market_context(market(shaken))).confidence == 0.5
    candles = market(closes)
    sure = market_context(candles, risk_of(candles))
    changed = market_context(candles, risk_of(candles, jump=0.2))
    assert sure.change_probability is not None
    assert changed.change_probability is not None
    assert sure.change_probability < 0.2
    assert changed.change_probability > 0.9
    assert context_opinion(changed).confidence == pytest.approx(1.0 - changed.change_probability)
    assert "the regime is new with probability" in context_opinion(changed).why


def test_stored_states_are_used_and_what_is_missing_is_flagged() -> None:
    candles = market(wandering(400))
    whole = market_context(candles, risk_of(candles))
    assert whole.volatility == pytest.approx(math.sqrt(0.0004 * 24 * 365))
    assert (whole.volatility_model, whole.missing) == ("garch", (NO_SENTIMENT,))
    assert context_opinion(whole).flags == (NO_SENTIMENT,)
    bare = market_context(candles)
    assert bare.volatility_model == "ewma"
    assert context_opinion(bare).flags == (
        "degraded",
        "volatility_model_not_available",
        "change_points_not_available",
        NO_SENTIMENT,
    )
    assert (bare.sentiment.score, bare.sentiment.status) == (0.0, "not_available")


def test_what_comes_later_changes_nothing_before_it() -> None:
    closes = wandering(800)
    later = closes.copy()
    later[600:] *= 3.0
    assert market_context(market(closes).slice(0, 600)) == market_context(market(later).slice(0, 600))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_none_is_refused(bad: float) -> None:
    closes = wandering(50)
    closes[20] = bad
    with pytest.raises(ValueError, match="close must be finite and above 0"):
        market_context(market(closes))
