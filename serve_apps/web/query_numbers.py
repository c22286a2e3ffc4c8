"""Numbers of a query string, read strictly."""

from __future__ import annotations

import math
from collections.abc import Callable

from alpharay.signals.refusal import refuse


def whole_number(name: str, text: str, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`; raises RefusedError."""
    return int(any_number(name, text, low, high, kind=int))


def any_number(name: str, text: str, low: float, high: float, kind: Callable[[str], float] = float) -> float:
    """Return a number from `low` to `high`; raises RefusedError."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        what = "a whole number" if kind is int else "a number"
        raise refuse(
            "invalid_field", f"{name} must be {what} from {low} to {high}, was {text[:50]!r}", field=name, value=text
        )
    return value
