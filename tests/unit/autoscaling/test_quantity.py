"""Kubernetes quantities, as `resource.Quantity` reads and rounds them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.autoscaling.quantity import approximate_float, milli_value, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        (1, 1),
        (0.5, Fraction(1, 2)),
        ("250m", Fraction(1, 4)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("+2k", 2000),
        ("-1", -1),
        ("512Mi", 512 * 2**20),
        ("1.5Gi", 3 * 2**29),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("2e3", 2000),
        ("2E3", 2000),
        ("15e-1", Fraction(3, 2)),
        ("100n", Fraction(1, 10**7)),
        ("3u", Fraction(3, 10**6)),
    ],
)
def test_a_quantity_has_its_exact_value(text: str | float, value: Fraction | int) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "m", "1.2.3", "5 m", "1mi", "1ki", "0x10", "1e", "1e1234", "--1", "NaN", "five", True]
)
def test_what_is_no_quantity_is_refused_with_its_value(text: str | bool) -> None:
    with pytest.raises(ValueError, match=r"a quantity is a number with a unit.*was"):
        parse_quantity(text)


def test_what_is_smaller_than_a_billionth_is_rounded_away_from_zero() -> None:
    assert parse_quantity("0.1n") == Fraction(1, 10**9)
    assert parse_quantity("-0.1n") == -Fraction(1, 10**9)


@pytest.mark.parametrize(
    ("text", "milli"), [("1n", 1), ("1000001n", 2), ("2m", 2), ("-1n", -1), ("1.0001", 1001), ("1Ki", 1_024_000)]
)
def test_thousandths_are_rounded_away_from_zero(text: str, milli: int) -> None:
    assert milli_value(parse_quantity(text)) == milli


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("100m", 100 * 1e-3),
        ("0.07", 70 * 1e-3),
        ("7m", 7 * 1e-3),
        ("2", 2.0),
        ("5k", 5 * 1e3),
        ("3u", 3e-6),
    ],
)
def test_a_float_is_the_canonical_digits_times_their_power_of_a_thousand(text: str, value: float) -> None:
    assert approximate_float(parse_quantity(text)) == value


@given(st.integers(-(10**9), 10**9), st.sampled_from(["", "m", "k", "Ki", "Mi", "u", "n"]))
def test_thousandths_are_the_nearest_from_outside(digits: int, suffix: str) -> None:
    quantity = parse_quantity(f"{digits}{suffix}")
    milli = milli_value(quantity)
    assert abs(quantity * 1000) <= abs(milli) < abs(quantity * 1000) + 1
