"""Kubernetes quantities: `250m`, `1.5`, `512Mi`, `2e3`.

Source: `k8s.io/apimachinery/pkg/api/resource`, v0.35.4.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from alpharay.autoscaling.machine_numbers import MAX_INT64

_SHAPE: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3}|[KMGTPE]i|[numkMGTPE]?)")
_BINARY: Final = {
    suffix: Fraction(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL: Final = {
    suffix: Fraction(10) ** power
    for suffix, power in {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}.items()
}
_NANO: Final = 10**9
_CANONICAL_EXPONENTS: Final = range(18, -10, -3)


def parse_quantity(text: str | float) -> Fraction:
    """Return the exact value; what is smaller than a billionth is rounded away from zero. Raises ValueError."""
    match = _SHAPE.fullmatch(str(text))
    if match is None or isinstance(text, bool):
        raise ValueError(f"a quantity is a number with a unit such as 250m, 1.5 or 512Mi, was {text!r}")
    sign, digits, suffix = match.groups()
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        unit = Fraction(10) ** int(suffix[1:])
    else:
        unit = _BINARY.get(suffix) or _DECIMAL[suffix]
    magnitude = Fraction(round_up(Fraction(digits) * unit * _NANO), _NANO)
    return -magnitude if sign == "-" else magnitude


def milli_value(quantity: Fraction) -> int:
    """Return thousandths, rounded away from zero; what does not fit 64 bits is zero, as for `Quantity.MilliValue`."""
    thousandths = round_up(abs(quantity) * 1000)
    if thousandths > MAX_INT64:
        return 0
    return thousandths if quantity >= 0 else -thousandths


def approximate_float(quantity: Fraction) -> float:
    """Return `Quantity.AsApproximateFloat64` of the canonical form: its digits times its power of a thousand.

    That product is not always the nearest float; a tolerance is compared as exactly this number.
    """
    for exponent in _CANONICAL_EXPONENTS:
        digits = quantity / Fraction(10) ** exponent
        if digits.denominator == 1:
            return float(digits.numerator) * float(f"1e{exponent}") if exponent else float(digits.numerator)
    raise ValueError(f"a quantity has at most nine decimal places, was {float(quantity)!r}")


def round_up(value: Fraction) -> int:
    """Return the smallest integer that is not below `value`."""
    return -((-value.numerator) // value.denominator)
