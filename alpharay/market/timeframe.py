"""Time frames: how long one candle lasts."""

from __future__ import annotations

import re

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PATTERN = re.compile(r"([1-9][0-9]{0,3})([mhd])")

DAY_MS = _UNIT_MS["d"]


def timeframe_ms(timeframe: str) -> int:
    """Return the length of a time frame (`1m`, `15m`, `4h`, `1d`) in milliseconds.

    Raises ValueError when the text is not a whole number followed by m, h or d.
    """
    match = _PATTERN.fullmatch(timeframe)
    if match is None:
        raise ValueError(f"timeframe must be a number and m, h or d (such as 1m, 4h, 1d), was {timeframe!r}")
    return int(match[1]) * _UNIT_MS[match[2]]


def open_time_at(time_ms: int, timeframe: str) -> int:
    """Return the open time of the candle that holds `time_ms` (UTC, ms); candles are aligned to the epoch."""
    length = timeframe_ms(timeframe)
    return time_ms // length * length


def last_closed_open_time(now_ms: int, timeframe: str) -> int:
    """Return the open time (UTC, ms) of the newest candle that is closed at `now_ms`."""
    return open_time_at(now_ms, timeframe) - timeframe_ms(timeframe)


def timeframe_of(length_ms: int) -> str:
    """Return the time frame that lasts so long, in its largest unit: `90m`, `2h`, `1d`.

    Raises ValueError when it is no whole number of minutes above 0, or too long for a name.
    """
    for unit in ("d", "h", "m"):
        count, rest = divmod(length_ms, _UNIT_MS[unit])
        if rest == 0 and 0 < count < 10_000:
            return f"{count}{unit}"
    raise ValueError(f"a time frame must last whole minutes, at most 9999 days, was {length_ms} ms")
