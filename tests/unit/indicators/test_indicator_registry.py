from __future__ import annotations

import numpy as np
import pytest

from alpharay.indicators import INDICATORS, indicator
from alpharay.indicators.momentum import rsi_matrix
from alpharay.indicators.moving_averages import ema_matrix, sma, sma_matrix
from alpharay.indicators.volatility import bollinger_upper
from alpharay.market.candles import FloatArray

CLOSE = np.linspace(1.0, 2.0, 50)


def test_integer_and_real_parameters_are_told_apart() -> None:
    known = INDICATORS["bollinger_upper"]
    assert known.parameters == ("length", "width")
    assert known.integer_parameters == {"length"}
    assert known.inputs == ("close",)


def test_whole_number_given_as_a_float_is_taken() -> None:
    np.testing.assert_array_equal(sma(CLOSE, 5.0), sma(CLOSE, 5))  # type: ignore[arg-type]


def test_parameters_may_be_named() -> None:
    np.testing.assert_array_equal(
        bollinger_upper(CLOSE, width=1.5, length=5), INDICATORS["bollinger_upper"](CLOSE, 5, 1.5)
    )


@pytest.mark.parametrize("length", [0, -3, 2.5, 10_000_001, 9.2e18, float("nan"), float("inf")])
def test_length_that_is_no_whole_number_in_reach_is_refused_by_name(length: float) -> None:
    with pytest.raises(ValueError, match=r"sma: length must be a whole number from 1 to 10,000,000, was"):
        sma(CLOSE, length)  # type: ignore[arg-type]


def test_infinite_width_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="bollinger_upper: width must be a finite number, was inf"):
        bollinger_upper(CLOSE, 5, float("inf"))


def test_inputs_of_different_lengths_are_refused_with_their_shapes() -> None:
    with pytest.raises(ValueError, match=r"vwma: inputs must .* close \(50,\), volume \(49,\)"):
        INDICATORS["vwma"](CLOSE, CLOSE[1:], 5)


def test_integer_prices_and_strided_prices_are_taken() -> None:
    np.testing.assert_array_equal(sma(np.arange(10), 2)[1:], np.arange(10)[1:] - 0.5)  # type: ignore[arg-type]
    np.testing.assert_array_equal(sma(CLOSE[::2], 3), sma(CLOSE[::2].copy(), 3))


def test_batch_with_a_column_too_many_is_refused() -> None:
    batch = INDICATORS["sma"].batch
    assert batch is not None
    with pytest.raises(ValueError, match=r"sma: parameters must have the shape \(sets, 1\), was \(3, 2\)"):
        batch(CLOSE, np.ones((3, 2)))


def test_batch_with_a_broken_length_is_refused_by_name() -> None:
    batch = INDICATORS["rsi"].batch
    assert batch is not None
    with pytest.raises(ValueError, match="rsi: length must be a whole number"):
        batch(CLOSE, np.array([[3.0], [0.0]]))


@pytest.mark.parametrize(("matrix", "name"), [(sma_matrix, "sma"), (ema_matrix, "ema"), (rsi_matrix, "rsi")])
def test_matrix_has_a_row_a_length(matrix: object, name: str) -> None:
    assert callable(matrix)
    rows = matrix(CLOSE, np.array([3, 3, 11]))
    assert rows.shape == (3, 50)
    for row, length in zip(rows, (3, 3, 11), strict=True):
        np.testing.assert_array_equal(row, INDICATORS[name](CLOSE, length))


def test_second_indicator_of_the_same_name_is_refused() -> None:
    def sma(close: FloatArray, length: int) -> FloatArray:
        return close * length

    with pytest.raises(ValueError, match="indicator 'sma' is registered twice"):
        indicator(inputs=("close",), warm_up=lambda length: length)(sma)


def test_input_that_is_no_candle_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"inputs must be candle columns .* was \['price'\]"):
        indicator(inputs=("price",), warm_up=lambda: 0)
