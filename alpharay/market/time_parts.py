"""Parts of a candle's open time, UTC: the hour of the day, the day of the week and the like, as numbers."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from alpharay.market.candles import FloatArray, IntArray
from alpharay.market.timeframe import DAY_MS, timeframe_ms

TimePart = Literal["minute_of_day", "hour_of_day", "day_of_week", "day_of_month", "month_of_year"]

TIME_PARTS: dict[TimePart, tuple[int, int]] = {
    "minute_of_day": (0, 1439),
    "hour_of_day": (0, 23),
    "day_of_week": (1, 7),
    "day_of_month": (1, 31),
    "month_of_year": (1, 12),
}
"""The first and the last value of each part; Monday is 1 and Sunday 7 (ISO 8601)."""
assert tuple(TIME_PARTS) == get_args(TimePart)

_MINUTE_MS, _HOUR_MS = timeframe_ms("1m"), timeframe_ms("1h")
_THURSDAY = 4
"""The ISO day of the week of 1970-01-01."""


def time_part(open_time: IntArray, part: TimePart) -> FloatArray:
    """Return one part of each time (milliseconds since 1970, UTC), as whole-valued floats."""
    days = open_time // DAY_MS
    match part:
        case "minute_of_day":
            values = open_time // _MINUTE_MS % 1440
        case "hour_of_day":
            values = open_time // _HOUR_MS % 24
        case "day_of_week":
            values = (days + _THURSDAY - 1) % 7 + 1
        case "day_of_month" | "month_of_year":
            dates = days.astype("datetime64[D]")
            months = dates.astype("datetime64[M]")
            values = (
                (dates - months).astype(np.int64) + 1 if part == "day_of_month" else months.astype(np.int64) % 12 + 1
            )
    return values.astype(np.float64)
