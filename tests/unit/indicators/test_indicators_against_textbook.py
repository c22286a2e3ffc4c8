"""Indicators that TA-Lib lacks equal plain loops written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import talib
from indicator_cases import Columns, compute, random_candles, real_candles

from alpharay.indicators import INDICATORS
from alpharay.market.candles import FloatArray

NAN = float("nan")


def _by_window(length: int, bars: int, value: object) -> FloatArray:
    """Return `value(slice of the last `length` bars)` at each bar with a full window."""
    assert callable(value)
    return np.array([NAN if t < length - 1 else value(slice(t - length + 1, t + 1)) for t in range(bars)])


def _ema(values: FloatArray, length: int) -> FloatArray:
    first = int(np.argmin(np.isnan(values)))
    out = np.full(len(values), NAN)
    out[first + length - 1] = np.sum(values[first : first + length]) / length
    for t in range(first + length, len(values)):
        out[t] = out[t - 1] + (values[t] - out[t - 1]) * 2.0 / (length + 1)
    return out


def _roc(values: FloatArray, length: int) -> FloatArray:
    return np.array([NAN if t < length else 100.0 * (values[t] / values[t - length] - 1.0) for t in range(len(values))])


def _sma(values: FloatArray, length: int) -> FloatArray:
    return _by_window(length, len(values), lambda window: np.sum(values[window]) / length)


def _clv_volume(x: Columns) -> FloatArray:
    reach = x["high"] - x["low"]
    place = ((x["close"] - x["low"]) - (x["high"] - x["close"])) / np.where(reach == 0.0, 1.0, reach)
    return np.where(reach == 0.0, 0.0, place) * x["volume"]


def _vwma(x: Columns, length: int) -> FloatArray:
    return _by_window(
        length, len(x["close"]), lambda w: np.sum(x["close"][w] * x["volume"][w]) / np.sum(x["volume"][w])
    )


def _vwap(x: Columns, length: int) -> FloatArray:
    typical = (x["high"] + x["low"] + x["close"]) / 3.0
    return _by_window(length, len(typical), lambda w: np.sum(typical[w] * x["volume"][w]) / np.sum(x["volume"][w]))


def _wilder(x: Columns, length: int) -> FloatArray:
    out = np.full(len(x["close"]), NAN)
    out[length - 1] = np.mean(x["close"][:length])
    for t in range(length, len(out)):
        out[t] = (out[t - 1] * (length - 1) + x["close"][t]) / length
    return out


def _cmo(x: Columns, length: int) -> FloatArray:
    moves = np.diff(x["close"], prepend=NAN)

    def value(window: slice) -> float:
        gains = float(np.sum(moves[window][moves[window] > 0.0]))
        losses = -float(np.sum(moves[window][moves[window] < 0.0]))
        return 100.0 * (gains - losses) / (gains + losses) if gains + losses else 0.0

    out = _by_window(length, len(moves), value)
    out[length - 1] = NAN
    return out


def _cmf(x: Columns, length: int) -> FloatArray:
    flow = _clv_volume(x)
    return _by_window(length, len(flow), lambda w: np.sum(flow[w]) / np.sum(x["volume"][w]))


def _vpt(x: Columns) -> FloatArray:
    out = [0.0]
    for t in range(1, len(x["close"])):
        out.append(out[-1] + x["volume"][t] * (x["close"][t] - x["close"][t - 1]) / x["close"][t - 1])
    return np.array(out)


def _force_index(x: Columns, length: int) -> FloatArray:
    return _ema(np.diff(x["close"], prepend=NAN) * x["volume"], length)


def _mass_index(x: Columns, smoothing: int, length: int) -> FloatArray:
    once = _ema(x["high"] - x["low"], smoothing)
    return length * _sma(once / _ema(once, smoothing), length)


def _klinger(x: Columns, fast: int, slow: int) -> FloatArray:
    force = [NAN]
    trend, accumulated = 0, 0.0
    # Whole units of the fifth decimal make the sums exact: a tie is a tie.
    prices = np.round((x["high"] + x["low"] + x["close"]) * 1e5).astype(np.int64)
    reach = x["high"] - x["low"]
    for t in range(1, len(prices)):
        sign = int(np.sign(prices[t] - prices[t - 1]))
        if sign not in (0, trend):
            trend, accumulated = sign, reach[t - 1]
        accumulated += reach[t]
        share = abs(2.0 * reach[t] / accumulated - 1.0) if accumulated else 0.0
        force.append(100.0 * x["volume"][t] * share * trend)
    return _ema(np.array(force), fast) - _ema(np.array(force), slow)


def _awesome(x: Columns, fast: int, slow: int) -> FloatArray:
    median = (x["high"] + x["low"]) / 2.0
    return _sma(median, fast) - _sma(median, slow)


def _dpo(x: Columns, length: int) -> FloatArray:
    average = _sma(x["close"], length)
    ago = length // 2 + 1
    return np.array([NAN if t < ago else x["close"][t - ago] - average[t] for t in range(len(average))])


def _kst(x: Columns, *values: int) -> FloatArray:
    terms = zip(values[:4], values[4:], strict=True)
    total = np.zeros(len(x["close"]))
    for weight, (ago, length) in enumerate(terms, start=1):
        total += weight * _sma(_roc(x["close"], ago), length)
    return total


def _swma(values: FloatArray) -> FloatArray:
    return _by_window(4, len(values), lambda w: float(np.dot(values[w], (1.0, 2.0, 2.0, 1.0))) / 6.0)


def _rvi(x: Columns, length: int) -> FloatArray:
    body, reach = _swma(x["close"] - x["open"]), _swma(x["high"] - x["low"])
    return _sma(body, length) / _sma(reach, length)


def _residual(x: Columns, length: int) -> FloatArray:
    def value(window: slice) -> float:
        bars = np.arange(length, dtype=np.float64)
        fit = np.polynomial.Polynomial.fit(bars, x["close"][window], 1) if length > 1 else lambda _: x["close"][window]
        return math.sqrt(float(np.mean((x["close"][window] - fit(bars)) ** 2)))

    return _by_window(length, len(x["close"]), value)


def _middle(x: Columns, length: int) -> FloatArray:
    return _by_window(length, len(x["close"]), lambda w: (np.max(x["high"][w]) + np.min(x["low"][w])) / 2.0)


def _later(values: FloatArray, bars: int) -> FloatArray:
    return np.concatenate((np.full(bars, NAN), values[:-bars]))


def _pivot(x: Columns, length: int) -> FloatArray:
    def value(window: slice) -> float:
        return (np.max(x["high"][window]) + np.min(x["low"][window]) + x["close"][window][-1]) / 3.0

    return _later(_by_window(length, len(x["close"]), value), 1)


def _heikin_ashi_open(x: Columns) -> FloatArray:
    close = (x["open"] + x["high"] + x["low"] + x["close"]) / 4.0
    out = [(x["open"][0] + x["close"][0]) / 2.0]
    for t in range(1, len(close)):
        out.append((out[-1] + close[t - 1]) / 2.0)
    return np.array(out)


CASES = [
    ("wilder", (14,), _wilder),
    ("vwma", (1,), _vwma),
    ("vwma", (20,), _vwma),
    ("vwap", (33,), _vwap),
    ("cmo", (1,), _cmo),
    ("cmo", (14,), _cmo),
    ("cmf", (20,), _cmf),
    ("vpt", (), _vpt),
    ("force_index", (13,), _force_index),
    ("mass_index", (9, 25), _mass_index),
    ("klinger", (34, 55), _klinger),
    ("awesome_oscillator", (5, 34), _awesome),
    ("dpo", (1,), _dpo),
    ("dpo", (20,), _dpo),
    ("dpo", (21,), _dpo),
    ("kst", (10, 15, 20, 30, 10, 10, 10, 15), _kst),
    ("rvi", (10,), _rvi),
    ("rvi_signal", (10,), lambda x, length: _swma(_rvi(x, length))),
    ("linear_regression_deviation", (1,), _residual),
    ("linear_regression_deviation", (3,), _residual),
    ("linear_regression_deviation", (30,), _residual),
    ("pivot_point", (20,), _pivot),
    ("heikin_ashi_close", (), lambda x: (x["open"] + x["high"] + x["low"] + x["close"]) / 4.0),
    ("heikin_ashi_open", (), _heikin_ashi_open),
    ("ichimoku_tenkan", (9,), _middle),
    ("ichimoku_kijun", (26,), _middle),
    ("ichimoku_span_a", (9, 26, 26), lambda x, t, k, d: _later((_middle(x, t) + _middle(x, k)) / 2.0, d)),
    ("ichimoku_span_b", (52, 26), lambda x, length, d: _later(_middle(x, length), d)),
    ("bull_power", (13,), lambda x, length: x["high"] - talib.EMA(x["close"], length)),
    ("bear_power", (13,), lambda x, length: x["low"] - talib.EMA(x["close"], length)),
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
