"""Fits of a market and a pair, and states that follow the newest candles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpharay.market.candles import Candles
from alpharay.models.change_points import ChangePointState, regime
from alpharay.models.hedge_ratio import HedgeState
from alpharay.models.volatility import FittedVolatility
from alpharay.risk.calibration import (
    CalibrationSettings,
    PriceHistory,
    change_points_now,
    fit_market,
    fit_pair,
    hedge_now,
    pair_history,
    price_history,
    volatility_now,
)

HOUR_MS = 3_600_000
SETTINGS = CalibrationSettings()


def walk(bars: int, seed: int = 1, deviation: float = 0.01) -> PriceHistory:
    steps = np.random.default_rng(seed).normal(0.0, deviation, bars)
    return PriceHistory(np.arange(bars, dtype=np.int64) * HOUR_MS, 100.0 * np.exp(np.cumsum(steps)))


def part(history: PriceHistory, bars: int) -> PriceHistory:
    return PriceHistory(history.open_time[:bars], history.close[:bars])


def test_a_state_brought_forward_equals_the_recursion_over_all_candles() -> None:
    whole = walk(600)
    fits = fit_market(part(whole, 500), "1h", SETTINGS)
    decided_at = int(whole.open_time[499])
    fitted, changes = fits["volatility"].state, fits["change_points"].state
    assert isinstance(fitted, FittedVolatility)
    assert isinstance(changes, ChangePointState)
    expected = fitted.next_variance
    for shock in whole.returns[499:] - fitted.mean:
        expected = fitted.omega + fitted.alpha * shock**2 + fitted.beta * expected
    now = volatility_now(fitted, decided_at, whole)
    assert now.next_variance == pytest.approx(expected, rel=1e-12)
    assert now.observations == 599
    assert change_points_now(changes, decided_at, whole).observations == 599
    assert volatility_now(fitted, int(whole.open_time[-1]), whole) == fitted


def test_a_jump_in_volatility_is_a_change_where_it_was() -> None:
    calm, wild = walk(400, deviation=0.004), walk(40, seed=2, deviation=0.04)
    close = np.concatenate([calm.close, calm.close[-1] * wild.close / wild.close[0]])
    history = PriceHistory(np.arange(440, dtype=np.int64) * HOUR_MS, close)
    state = fit_market(history, "1h", SETTINGS)["change_points"].state
    assert isinstance(state, ChangePointState)
    assert 35 <= regime(state).length <= 42


def test_a_short_history_falls_back_and_a_flat_one_has_no_change_points() -> None:
    short = fit_market(walk(20), "1h", SETTINGS)
    assert short["volatility"].diagnostics["fallback"] == "a fit needs 250 returns, there were 19"
    flat = fit_market(PriceHistory(walk(300).open_time, np.full(300, 5.0)), "1h", SETTINGS)
    assert set(flat) == {"volatility"}
    assert flat["volatility"].diagnostics["fallback"] == "all returns are equal"


def test_one_candle_has_no_return_and_is_told() -> None:
    with pytest.raises(ValueError, match="returns must be at least 1, were 0"):
        fit_market(walk(1), "1h", SETTINGS)


def test_gaps_are_counted() -> None:
    history = walk(300)
    holed = PriceHistory(np.delete(history.open_time, [50, 51, 200]), np.delete(history.close, [50, 51, 200]))
    assert fit_market(holed, "1h", SETTINGS)["volatility"].diagnostics["gaps"] == 2


def test_the_hedge_of_a_pair_is_found_on_common_candles_only() -> None:
    x = walk(500)
    noise = np.random.default_rng(3).normal(0.0, 0.002, 500)
    y = PriceHistory(x.open_time, np.exp(0.7 * np.log(x.close) + 1.0 + noise))
    missing = PriceHistory(np.delete(x.open_time, 7), np.delete(x.close, 7))
    pair = pair_history(y, missing)
    assert len(pair.open_time) == 499
    fit = fit_pair(pair)
    assert isinstance(fit.state, HedgeState)
    assert fit.state.ratio == pytest.approx(0.7, abs=0.02)
    assert fit.diagnostics["pairs"] == 499
    early = fit_pair(replace(pair, open_time=pair.open_time[:400], y=pair.y[:400], x=pair.x[:400])).state
    assert isinstance(early, HedgeState)
    assert hedge_now(early, int(pair.open_time[399]), pair).observations == 499


def test_a_close_of_zero_is_refused() -> None:
    zero = np.zeros(2)
    with pytest.raises(ValueError, match=r"close must be above 0, was 0.0 at 60000"):
        price_history(Candles("x", "A/USD", "1m", np.array([60_000, 120_000]), zero, zero, zero, zero, zero))


@pytest.mark.parametrize(("field", "value"), [("candles", 2), ("hazard", 0.0)])
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        CalibrationSettings(**{field: value})
