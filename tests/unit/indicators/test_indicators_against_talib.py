"""Indicators equal TA-Lib's where it has them, once another beginning no longer shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import talib
from indicator_cases import Columns, compute, random_candles, real_candles

from alpharay.indicators import INDICATORS
from alpharay.market.candles import FloatArray

Case = tuple[str, tuple[float, ...], Callable[[Columns], FloatArray], int]


def _case(name: str, *values: float, talib_says: Callable[[Columns], FloatArray], settle: int = 0) -> Case:
    return name, values, talib_says, settle


def _hlc(function: Callable[..., FloatArray], *values: float) -> Callable[[Columns], FloatArray]:
    return lambda x: function(x["high"], x["low"], x["close"], *values)


def _close(function: Callable[..., FloatArray], *values: float) -> Callable[[Columns], FloatArray]:
    return lambda x: function(x["close"], *values)


CASES = [
    *(_case("sma", length, talib_says=_close(talib.SMA, length)) for length in (2, 5, 64, 191)),
    *(_case("ema", length, talib_says=_close(talib.EMA, length)) for length in (2, 12, 100)),
    *(_case("wma", length, talib_says=_close(talib.WMA, length)) for length in (2, 9, 150)),
    _case("dema", 12, talib_says=_close(talib.DEMA, 12)),
    _case("tema", 26, talib_says=_close(talib.TEMA, 26)),
    _case("kama", 10, 2, 30, talib_says=_close(talib.KAMA, 10)),
    *(_case("rsi", length, talib_says=_close(talib.RSI, length)) for length in (2, 14, 30)),
    _case("roc", 10, talib_says=_close(talib.ROC, 10)),
    _case("momentum", 10, talib_says=_close(talib.MOM, 10)),
    _case("macd", 12, 26, talib_says=lambda x: talib.MACD(x["close"], 12, 26, 9)[0], settle=600),
    _case("macd_signal", 12, 26, 9, talib_says=lambda x: talib.MACD(x["close"], 12, 26, 9)[1], settle=600),
    _case("ppo", 12, 26, talib_says=_close(talib.PPO, 12, 26, 1), settle=600),
    _case("trix", 15, talib_says=_close(talib.TRIX, 15)),
    _case("standard_deviation", 20, talib_says=_close(talib.STDDEV, 20)),
    _case("bollinger_upper", 20, 2.5, talib_says=lambda x: talib.BBANDS(x["close"], 20, 2.5, 2.5)[0]),
    _case("bollinger_lower", 20, 2.5, talib_says=lambda x: talib.BBANDS(x["close"], 20, 2.5, 2.5)[2]),
    _case("true_range", talib_says=_hlc(talib.TRANGE)),
    _case("atr", 14, talib_says=_hlc(talib.ATR, 14)),
    _case("natr", 14, talib_says=_hlc(talib.NATR, 14)),
    *(_case("highest", length, talib_says=lambda x, n=length: talib.MAX(x["high"], n)) for length in (2, 20, 55)),
    *(_case("lowest", length, talib_says=lambda x, n=length: talib.MIN(x["low"], n)) for length in (2, 20, 55)),
    _case("stochastic_k", 14, talib_says=lambda x: talib.STOCHF(x["high"], x["low"], x["close"], 14, 1, 0)[0]),
    _case("stochastic_d", 14, 3, talib_says=lambda x: talib.STOCHF(x["high"], x["low"], x["close"], 14, 3, 0)[1]),
    _case("williams_r", 14, talib_says=_hlc(talib.WILLR, 14)),
    _case("cci", 20, talib_says=_hlc(talib.CCI, 20)),
    _case("adx", 14, talib_says=_hlc(talib.ADX, 14), settle=800),
    _case("plus_di", 14, talib_says=_hlc(talib.PLUS_DI, 14), settle=600),
    _case("minus_di", 14, talib_says=_hlc(talib.MINUS_DI, 14), settle=600),
    _case("aroon_up", 25, talib_says=lambda x: talib.AROON(x["high"], x["low"], 25)[1]),
    _case("aroon_down", 25, talib_says=lambda x: talib.AROON(x["high"], x["low"], 25)[0]),
    _case("parabolic_sar", 0.02, 0.02, 0.2, talib_says=lambda x: talib.SAR(x["high"], x["low"], 0.02, 0.2)),
    _case(
        "parabolic_sar",
        0.01,
        0.03,
        0.25,
        # The extended form marks short stops by a minus sign.
        talib_says=lambda x: np.abs(talib.SAREXT(x["high"], x["low"], 0.0, 0.0, 0.01, 0.03, 0.25, 0.01, 0.03, 0.25)),
    ),
    _case("obv", talib_says=lambda x: talib.OBV(x["close"], x["volume"])),
    _case(
        "accumulation_distribution",
        talib_says=lambda x: talib.AD(x["high"], x["low"], x["close"], x["volume"]),
    ),
    _case(
        "chaikin_oscillator",
        3,
        10,
        talib_says=lambda x: talib.ADOSC(x["high"], x["low"], x["close"], x["volume"], 3, 10),
        settle=400,
    ),
    *(
        _case(
            "mfi",
            length,
            talib_says=lambda x, n=length: talib.MFI(x["high"], x["low"], x["close"], x["volume"], n),
        )
        for length in (14, 30)
    ),
    *(_case("linear_regression", length, talib_says=_close(talib.LINEARREG, length)) for length in (2, 14, 120)),
]


def _check(candles: Columns, case: Case) -> None:
    name, values, expected_of, settle = case
    actual = compute(INDICATORS[name], candles, values)
    expected = expected_of(candles)
    start = max(settle, INDICATORS[name].warm_up(*values), int(np.argmin(np.isnan(expected))))
    assert len(actual) - start > 1000
    # What passes through zero is compared with the series' own size.
    np.testing.assert_allclose(
        actual[start:], expected[start:], rtol=1e-9, atol=1e-12 * float(np.nanmax(np.abs(expected)))
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}{case[1]}")
@pytest.mark.parametrize("decimals", [1, 8])
def test_random_candles_give_what_talib_gives(case: Case, decimals: int) -> None:
    _check(random_candles(11, 3000, decimals=decimals), case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}{case[1]}")
def test_real_candles_give_what_talib_gives(case: Case) -> None:
    _check(real_candles(20_000), case)
