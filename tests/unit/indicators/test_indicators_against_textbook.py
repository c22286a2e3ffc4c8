"""Indicators that TA-Lib lacks equal plain loops written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import talib
import textbook_indicators as textbook
from indicator_cases import Columns, compute, random_candles, real_candles

from alpharay.indicators import INDICATORS

CASES = [
    ("wilder", (14,), textbook.wilder),
    ("vwma", (1,), textbook.vwma),
    ("vwma", (20,), textbook.vwma),
    ("vwap", (33,), textbook.vwap),
    ("cmo", (1,), textbook.cmo),
    ("cmo", (14,), textbook.cmo),
    ("cmf", (20,), textbook.cmf),
    ("vpt", (), textbook.vpt),
    ("force_index", (13,), textbook.force_index),
    ("mass_index", (9, 25), textbook.mass_index),
    ("klinger", (34, 55), textbook.klinger),
    ("volume_force", (), textbook.volume_force),
    ("awesome_oscillator", (5, 34), textbook.awesome),
    ("dpo", (1,), textbook.dpo),
    ("dpo", (20,), textbook.dpo),
    ("dpo", (21,), textbook.dpo),
    ("kst", (10, 15, 20, 30, 10, 10, 10, 15), textbook.kst),
    ("rvi", (10,), textbook.rvi),
    ("rvi_signal", (10,), lambda x, length: textbook.swma(textbook.rvi(x, length))),
    ("linear_regression_deviation", (1,), textbook.residual),
    ("linear_regression_deviation", (3,), textbook.residual),
    ("linear_regression_deviation", (30,), textbook.residual),
    ("pivot_point", (20,), textbook.pivot),
    ("heikin_ashi_close", (), lambda x: (x["open"] + x["high"] + x["low"] + x["close"]) / 4.0),
    ("heikin_ashi_open", (), textbook.heikin_ashi_open),
    ("ichimoku_tenkan", (9,), textbook.middle),
    ("ichimoku_kijun", (26,), textbook.middle),
    (
        "ichimoku_span_a",
        (9, 26, 26),
        lambda x, t, k, d: textbook.later((textbook.middle(x, t) + textbook.middle(x, k)) / 2.0, d),
    ),
    ("ichimoku_span_b", (52, 26), lambda x, length, d: textbook.later(textbook.middle(x, length), d)),
    ("bull_power", (13,), lambda x, length: x["high"] - talib.EMA(x["close"], length)),
    ("bear_power", (13,), lambda x, length: x["low"] - talib.EMA(x["close"], length)),
    ("atr_trailing_stop", (5, 3.5), textbook.atr_trailing_stop),
    ("atr_trailing_stop", (14, 1.0), textbook.atr_trailing_stop),
    ("volatility_stop", (7, 3.0), textbook.volatility_stop),
    ("volatility_stop", (14, 1.2), textbook.volatility_stop),
    ("vidya", (12, 9), textbook.vidya),
    ("vidya", (1, 1), textbook.vidya),
    ("frama", (8,), textbook.frama),
    ("frama", (3,), textbook.frama),
    ("renko_run", (0.97,), textbook.renko_run),
    ("renko_run", (0.053,), textbook.renko_run),
    ("range_bar_run", (0.97,), textbook.range_bar_run),
    ("range_bar_run", (0.053,), textbook.range_bar_run),
    ("gann_trend", (1,), textbook.gann_trend),
    ("gann_trend", (2,), textbook.gann_trend),
    ("double_bottom", (3,), textbook.double_bottom),
    ("double_top", (3,), textbook.double_top),
    ("linear_regression_reach", (3,), textbook.largest_residual),
    ("linear_regression_reach", (30,), textbook.largest_residual),
    ("volume_weighted_ema", (3,), textbook.volume_weighted_ema),
    ("volume_weighted_ema", (12,), textbook.volume_weighted_ema),
    ("rainbow", (2,), textbook.rainbow),
    ("rainbow", (7,), textbook.rainbow),
    ("market_facilitation", (), lambda x: (x["high"] - x["low"]) / x["volume"]),
    ("point_of_control", (20,), textbook.point_of_control),
    ("point_of_control", (90,), textbook.point_of_control),
    ("value_area_high", (20,), textbook.value_area_high),
    ("value_area_high", (90,), textbook.value_area_high),
    ("volume_profile_deviation", (20,), textbook.profile_deviation),
]


def _check(candles: Columns, name: str, values: tuple[float, ...], expected_of: object) -> None:
    assert callable(expected_of)
    expected = expected_of(candles, *values)
    actual = compute(INDICATORS[name], candles, values)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12 * float(np.nanmax(np.abs(expected))))


@pytest.mark.parametrize(("name", "values", "expected_of"), CASES)
@pytest.mark.parametrize("decimals", [1, 5])
def test_random_candles_give_what_the_definition_gives(
    name: str, values: tuple[float, ...], expected_of: object, decimals: int
) -> None:
    _check(random_candles(5, 1500, decimals=decimals), name, values, expected_of)


@pytest.mark.parametrize(("name", "values", "expected_of"), CASES)
def test_real_candles_give_what_the_definition_gives(name: str, values: tuple[float, ...], expected_of: object) -> None:
    _check(real_candles(3000, skip=50_000), name, values, expected_of)


def test_deviation_of_large_prices_keeps_its_digits() -> None:
    # Sums of squares of such prices would have no correct digit left.
    close = 1e9 + np.tile([0.0, 1.0, 2.0, 3.0], 10)
    np.testing.assert_allclose(compute(INDICATORS["standard_deviation"], {"close": close}, (4,))[3:], math.sqrt(1.25))


def test_deviation_right_after_a_jump_keeps_its_digits() -> None:
    close = np.concatenate((np.tile([1.0, 1.001], 50), [1e4]))
    out = compute(INDICATORS["standard_deviation"], {"close": close}, (100,))
    assert out[-1] == pytest.approx(np.std(close[-100:]), rel=1e-12)


def test_deviation_from_a_straight_line_is_nothing() -> None:
    close = 1000.0 + 0.25 * np.arange(300)
    assert np.nanmax(compute(INDICATORS["linear_regression_deviation"], {"close": close}, (50,))) < 1e-12


def test_line_through_two_closes_leaves_no_distance() -> None:
    out = compute(INDICATORS["linear_regression_deviation"], random_candles(6, 300), (2,))
    assert np.max(out[1:]) < 1e-14


def test_mean_of_the_same_ticks_in_another_order_differs_by_rounding_only() -> None:
    columns = real_candles(50_000)
    ticks = np.round(columns["close"] * 1e5).astype(np.int64)
    exact = (np.cumsum(ticks)[190:] - np.concatenate(([0], np.cumsum(ticks)[:-191]))) / 191 / 1e5
    out = compute(INDICATORS["sma"], columns, (191,))
    np.testing.assert_allclose(out[190:], exact, rtol=1e-15 * 8)


def test_bricks_and_range_bars_need_a_size() -> None:
    for name in ("renko_run", "range_bar_run"):
        with pytest.raises(ValueError, match=f"{name}: size must be more than 0 percent, was 0.0"):
            compute(INDICATORS[name], random_candles(1, 20), (0.0,))


def test_reversal_takes_two_bricks_of_renko_and_one_range_bar() -> None:
    close = np.array([100.0, 103.5, 101.5, 100.5, 99.0])
    np.testing.assert_array_equal(compute(INDICATORS["renko_run"], {"close": close}, (1.0,)), [0, 3, 3, -1, -2])
    np.testing.assert_array_equal(compute(INDICATORS["range_bar_run"], {"close": close}, (1.0,)), [0, 3, -1, -2, -4])


def test_profile_without_volume_counts_bars_until_the_window_holds_some() -> None:
    price = np.array([1.0, 1.0, 1.0, 5.0, 9.0, 9.0])
    candles: Columns = {"high": price, "low": price, "close": price, "volume": np.zeros(6)}
    assert compute(INDICATORS["point_of_control"], candles, (6,))[-1] == pytest.approx(1.0, abs=1.0)
    candles["volume"] = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 2.0])
    assert compute(INDICATORS["point_of_control"], candles, (6,))[-1] == 9.0


def test_jump_over_any_number_of_bricks_is_one_step() -> None:
    close = np.array([1.0, 1e9])
    for name in ("renko_run", "range_bar_run"):
        assert compute(INDICATORS[name], {"close": close}, (0.01,))[-1] == pytest.approx(1e13, rel=1e-6)
