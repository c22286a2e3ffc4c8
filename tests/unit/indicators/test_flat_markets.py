"""A market that never moves gives every indicator a defined value, without a trace of rounding."""

from __future__ import annotations

import numpy as np
import pytest
from indicator_cases import NAMES, Columns, compute, flat_candles

from alpharay.indicators import INDICATORS
from alpharay.indicators.momentum import rsi
from alpharay.indicators.moving_averages import ema, sma, wma

PRICE = 100.1
# (parameters, value); None: each bar adds to the sum.
EXPECTED: dict[str, tuple[tuple[float, ...], float | None]] = {
    "accumulation_distribution": ((), 0.0),
    "adx": ((14,), 0.0),
    "aroon_down": ((25,), 100.0),
    "aroon_up": ((25,), 100.0),
    "atr": ((14,), 0.0),
    "atr_trailing_stop": ((14, 3.0), PRICE),
    "awesome_oscillator": ((5, 34), 0.0),
    "bear_power": ((13,), 0.0),
    "bollinger_lower": ((20, 2.0), PRICE),
    "bollinger_upper": ((20, 2.0), PRICE),
    "bull_power": ((13,), 0.0),
    "cci": ((20,), 0.0),
    "chaikin_oscillator": ((3, 10), 0.0),
    "cmf": ((20,), 0.0),
    "cmo": ((14,), 0.0),
    "dema": ((12,), PRICE),
    "double_bottom": ((5,), 0.0),
    "double_top": ((5,), 0.0),
    "dpo": ((20,), 0.0),
    "ema": ((19,), PRICE),
    "force_index": ((13,), 0.0),
    "frama": ((8,), PRICE),
    "gann_trend": ((2,), 0.0),
    "heikin_ashi_close": ((), PRICE),
    "heikin_ashi_open": ((), PRICE),
    "highest": ((20,), PRICE),
    "ichimoku_kijun": ((26,), PRICE),
    "ichimoku_span_a": ((9, 26, 26), PRICE),
    "ichimoku_span_b": ((52, 26), PRICE),
    "ichimoku_tenkan": ((9,), PRICE),
    "kama": ((10, 2, 30), PRICE),
    "klinger": ((34, 55), 0.0),
    "volume_force": ((), 0.0),
    "kst": ((10, 15, 20, 30, 10, 10, 10, 15), 0.0),
    "linear_regression": ((14,), PRICE),
    "linear_regression_deviation": ((14,), 0.0),
    "linear_regression_reach": ((14,), 0.0),
    "lowest": ((20,), PRICE),
    "macd": ((12, 26), 0.0),
    "macd_signal": ((12, 26, 9), 0.0),
    "market_facilitation": ((), 0.0),
    "mass_index": ((9, 25), 25.0),
    "mfi": ((14,), 50.0),
    "minus_di": ((14,), 0.0),
    "momentum": ((10,), 0.0),
    "natr": ((14,), 0.0),
    "obv": ((), 7.0),
    "parabolic_sar": ((0.02, 0.02, 0.2), PRICE),
    "pivot_point": ((20,), PRICE),
    "plus_di": ((14,), 0.0),
    "point_of_control": ((20,), PRICE),
    "ppo": ((12, 26), 0.0),
    "rainbow": ((2,), PRICE),
    "range_bar_run": ((1.0,), 0.0),
    "renko_run": ((1.0,), 0.0),
    "roc": ((10,), 0.0),
    "rsi": ((14,), 50.0),
    "rvi": ((10,), 0.0),
    "rvi_signal": ((10,), 0.0),
    "sma": ((19,), PRICE),
    "standard_deviation": ((20,), 0.0),
    "stochastic_d": ((14, 3), 50.0),
    "stochastic_k": ((14,), 50.0),
    "tema": ((26,), PRICE),
    "trix": ((15,), 0.0),
    "true_range": ((), 0.0),
    "value_area_high": ((20,), PRICE),
    "vidya": ((12, 9), PRICE),
    "volatility_stop": ((7, 3.0), PRICE),
    "volume_profile_deviation": ((20,), 0.0),
    "volume_weighted_ema": ((12,), PRICE),
    "vpt": ((), 0.0),
    "vwap": ((19,), PRICE),
    "vwma": ((19,), PRICE),
    "wilder": ((14,), PRICE),
    "williams_r": ((14,), -50.0),
    "wma": ((19,), PRICE),
}
# Their sum of three or of weighted values rounds; the others give the value itself.
ROUNDED = {
    "pivot_point",
    "vwap",
    "dema",
    "tema",
    "heikin_ashi_open",
    "heikin_ashi_close",
    "point_of_control",
    "value_area_high",
}


def test_every_indicator_has_a_flat_value_written_down() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_flat_market_gives_the_defined_value_on_every_bar(name: str) -> None:
    values, expected = EXPECTED[name]
    known = INDICATORS[name]
    out = compute(known, flat_candles(300, PRICE, 7.0), values)[known.warm_up(*values) :]
    np.testing.assert_allclose(out, np.full(len(out), expected), rtol=1e-15 * 4 if name in ROUNDED else 0.0)


@pytest.mark.parametrize("length", range(1, 200, 7))
@pytest.mark.parametrize("average", [sma, wma, ema])
def test_average_of_a_quiet_stretch_is_its_price_so_that_nothing_crosses(average: object, length: int) -> None:
    close = np.concatenate((np.full(50, 0.3), np.full(1400, 0.1)))
    if average is ema:
        close = close[50:]
    assert callable(average)
    assert np.all(average(close, length)[50 + length - 1 :] == 0.1)


def test_vwap_without_volume_is_the_plain_mean() -> None:
    candles: Columns = flat_candles(3, 1.0, 0.0)
    candles["high"] = candles["low"] = candles["close"] = np.array([1.0, 2.0, 6.0])
    assert compute(INDICATORS["vwap"], candles, (3,))[-1] == pytest.approx(3.0)


def test_stochastic_of_bars_without_range_but_with_trend_is_at_the_edge() -> None:
    rising = np.arange(1.0, 11.0)
    candles = {"high": rising, "low": rising, "close": rising}
    assert compute(INDICATORS["stochastic_k"], candles, (3,))[-1] == 100.0
    assert compute(INDICATORS["williams_r"], candles, (3,))[-1] == 0.0


def test_rsi_of_only_rising_and_only_falling_prices_is_at_the_edges() -> None:
    rising = np.arange(1.0, 31.0)
    assert np.all(rsi(rising, 14)[14:] == 100.0)
    assert np.all(rsi(rising[::-1], 14)[14:] == 0.0)
