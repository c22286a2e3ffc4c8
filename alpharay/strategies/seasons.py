"""Conditions on the calendar: `hour_between(P.first, P.last) & ...` trades only in some hours.

The time of a candle is its *open* time in UTC: the hourly candle of 09:00 to 10:00 has hour 9, and a candle of a day
has hour 0. A rule is decided on the close of its candle and filled at the open of the next one, so what is decided on
hour 9 is filled at 10:00. The calendar is known beforehand: none of this looks ahead.
"""

from __future__ import annotations

from alpharay.market.time_parts import TIME_PARTS, TimePart
from alpharay.strategies.expression import Condition, Level, Parameter, Scalar, TimeOfCandle


def minute_of_day() -> TimeOfCandle:
    """Return the minute of the day in which the candle opened, 0 to 1439."""
    return TimeOfCandle("minute_of_day")


def hour_of_day() -> TimeOfCandle:
    """Return the hour in which the candle opened, 0 to 23."""
    return TimeOfCandle("hour_of_day")


def day_of_week() -> TimeOfCandle:
    """Return the day on which the candle opened, Monday 1 to Sunday 7 (ISO 8601)."""
    return TimeOfCandle("day_of_week")


def day_of_month() -> TimeOfCandle:
    """Return the day on which the candle opened, 1 to 31."""
    return TimeOfCandle("day_of_month")


def month_of_year() -> TimeOfCandle:
    """Return the month in which the candle opened, January 1 to December 12."""
    return TimeOfCandle("month_of_year")


def minute_between(first: Scalar, last: Scalar) -> Condition:
    """Hold on candles that open from minute `first` of the day to minute `last`, both included, past midnight too."""
    return _between("minute_of_day", first, last)


def hour_between(first: Scalar, last: Scalar) -> Condition:
    """Hold on candles that open from hour `first` to hour `last`, both included: 22 to 3 goes past midnight."""
    return _between("hour_of_day", first, last)


def day_of_week_between(first: Scalar, last: Scalar) -> Condition:
    """Hold from day `first` to day `last` of the week, both included: 6 to 1 is Saturday, Sunday and Monday."""
    return _between("day_of_week", first, last)


def day_of_month_between(first: Scalar, last: Scalar) -> Condition:
    """Hold from day `first` to day `last` of the month, both included: 28 to 3 goes past its end."""
    return _between("day_of_month", first, last)


def month_between(first: Scalar, last: Scalar) -> Condition:
    """Hold from month `first` to month `last`, both included: 11 to 4 goes past the end of the year."""
    return _between("month_of_year", first, last)


def _between(part: TimePart, first: Scalar, last: Scalar) -> Condition:
    """Hold within `first` to `last` on the part's circle; a number outside it raises ValueError."""
    lowest, highest = TIME_PARTS[part]
    for name, value in (("first", first), ("last", last)):
        if not isinstance(value, Parameter) and not lowest <= value <= highest:
            raise ValueError(f"{name} {part} must be in [{lowest}, {highest}], was {value}")
    time = TimeOfCandle(part)
    since, until = time >= first, time <= last
    if not isinstance(first, Parameter) and not isinstance(last, Parameter):
        return since | until if first > last else since & until
    # Which of the two it is, is known only with the parameters.
    return (since & until) | ((since | until) & (Level(first) > Level(last)))
