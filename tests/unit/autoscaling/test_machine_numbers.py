"""Conversions and divisions as Go does them on amd64 (each value was printed by a Go program)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.autoscaling.machine_numbers import (
    MAX_INT32,
    MIN_INT32,
    MIN_INT64,
    ceil_int32,
    ceil_int64,
    int32_of,
    int32_wrapped,
    int64_of,
    int64_wrapped,
    quotient,
    ratio,
)


@pytest.mark.parametrize("value", [3e12, -3e12, math.inf, -math.inf, math.nan, 2147483648.0])
def test_a_float_that_does_not_fit_32_bits_becomes_the_lowest_integer(value: float) -> None:
    assert int32_of(value) == MIN_INT32
    assert ceil_int32(value) == MIN_INT32


@pytest.mark.parametrize("value", [1e19, math.inf, math.nan, 2.0**63])
def test_a_float_that_does_not_fit_64_bits_becomes_the_lowest_integer(value: float) -> None:
    assert int64_of(value) == MIN_INT64
    assert ceil_int64(value) == MIN_INT64


@pytest.mark.parametrize(
    ("value", "cut"), [(2.9, 2), (-2.9, -2), (2147483647.9, MAX_INT32), (-2147483648.9, MIN_INT32)]
)
def test_a_conversion_cuts_toward_zero(value: float, cut: int) -> None:
    assert int32_of(value) == cut


@pytest.mark.parametrize(("value", "wrapped"), [(2**31, MIN_INT32), (-(2**31) - 1, MAX_INT32), (2**32 + 5, 5), (7, 7)])
def test_integers_wrap(value: int, wrapped: int) -> None:
    assert int32_wrapped(value) == wrapped
    assert int64_wrapped(value << 32) == wrapped << 32


@given(st.integers(-(10**9), 10**9), st.integers(-(10**6), 10**6).filter(bool))
def test_a_quotient_is_cut_toward_zero(dividend: int, divisor: int) -> None:
    assert quotient(dividend, divisor) == math.trunc(dividend / divisor)


def test_a_ratio_over_zero_is_an_infinity_or_nan() -> None:
    assert ratio(1.0, 0.0) == math.inf
    assert ratio(-1.0, 0.0) == -math.inf
    assert math.isnan(ratio(0.0, 0.0))
    assert ratio(1.0, 4.0) == 0.25
