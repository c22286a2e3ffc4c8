"""Conversions and divisions as the controller's machine code does them (Go on amd64).

A conversion that does not fit gives the lowest integer of the type, and an integer division cuts toward zero.
"""

from __future__ import annotations

import math
from typing import Final

MAX_INT32: Final = 2**31 - 1
MIN_INT32: Final = -(2**31)
MAX_INT64: Final = 2**63 - 1
MIN_INT64: Final = -(2**63)


def int32_of(value: float) -> int:
    """Return the float cut to 32 bits; NaN and what does not fit become the lowest integer."""
    return int(value) if MIN_INT32 - 1 < value < MAX_INT32 + 1 else MIN_INT32


def int64_of(value: float) -> int:
    """Return the float cut to 64 bits; NaN and what does not fit become the lowest integer."""
    return int(value) if -(2.0**63) <= value < 2.0**63 else MIN_INT64


def int32_wrapped(value: int) -> int:
    """Return the low 32 bits as a signed integer, as integer arithmetic and conversion leave them."""
    return (value - MIN_INT32) % 2**32 + MIN_INT32


def int64_wrapped(value: int) -> int:
    """Return the low 64 bits as a signed integer."""
    return (value - MIN_INT64) % 2**64 + MIN_INT64


def ceil_int32(value: float) -> int:
    """Return the float rounded up and cut to 32 bits."""
    return int32_of(math.ceil(value)) if math.isfinite(value) else MIN_INT32


def ceil_int64(value: float) -> int:
    """Return the float rounded up and cut to 64 bits."""
    return int64_of(float(math.ceil(value))) if math.isfinite(value) else MIN_INT64


def quotient(dividend: int, divisor: int) -> int:
    """Return the integer quotient, cut toward zero."""
    magnitude = abs(dividend) // abs(divisor)
    return magnitude if (dividend < 0) == (divisor < 0) else -magnitude


def ratio(dividend: float, divisor: float) -> float:
    """Return the float quotient; by zero it is an infinity, and of zero by zero NaN."""
    if divisor != 0.0:
        return dividend / divisor
    if dividend == 0.0 or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)
