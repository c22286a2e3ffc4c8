"""The rules a candle must keep before anybody may trade on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import VALUE_COLUMNS, Candles, FloatArray
from alpharay.market.timeframe import timeframe_ms

COLUMNS = ("open_time", *VALUE_COLUMNS)
"""What a row holds, in ccxt's order: open time (UTC, ms), prices (quote currency), volume (base currency)."""

Row = Sequence[object]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RefusedCandle:
    """A row that breaks a rule: the rule, a sentence that names field and value, the row as it came."""

    rule: str
    reason: str
    row: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CheckedCandles:
    """The rows that keep every rule, in order and unique, and those that do not."""

    candles: Candles
    refused: tuple[RefusedCandle, ...]


def check_candles(
    rows: Sequence[Row] | FloatArray,
    *,
    exchange: str,
    symbol: str,
    timeframe: str,
    now_ms: int | None = None,
) -> CheckedCandles:
    """Part `rows` of `COLUMNS` into candles and refused rows; every row ends in exactly one of the two.

    The rules, by name: `not_a_number` (missing, text, NaN, infinite, or not six values),
    `price_not_positive`, `high_below_low`, `open_outside_range`, `close_outside_range` (of `[low, high]`),
    `negative_volume`, `not_aligned` (to the time frame), `not_closed` (ends after `now_ms`, the exchange's
    clock; not checked when None), `duplicate` (of an accepted row, whether or not the values agree) and
    `out_of_order` (opens before an accepted row that came earlier). A row is refused for the first rule that
    it breaks. Volume 0 is allowed.
    """
    length = timeframe_ms(timeframe)
    matrix = _as_matrix(rows)
    masks = _broken_rules(matrix, length, now_ms)
    accepted = ~np.logical_or.reduce(list(masks.values()))
    late = _late_rows(matrix[:, 0], accepted)
    accepted &= ~late
    good = matrix if bool(accepted.all()) else matrix[accepted]
    columns = {name: np.ascontiguousarray(good[:, 1 + place]) for place, name in enumerate(VALUE_COLUMNS)}
    candles = Candles(exchange, symbol, timeframe, good[:, 0].astype(np.int64), **columns)
    refused = tuple(
        _refusal(_as_it_came(rows[row]), matrix[row], _first_rule(masks, row), candles, length, now_ms)
        for row in np.flatnonzero(~accepted).tolist()
    )
    return CheckedCandles(candles, refused)


def _as_matrix(rows: Sequence[Row] | FloatArray) -> FloatArray:
    """Return the rows as n x 6 numbers; what is no number is NaN."""
    try:
        # numpy turns None into NaN and reads text; what it cannot read is found cell by cell below.
        matrix = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
        if matrix.shape[1] == len(COLUMNS):
            return matrix
    except (ValueError, TypeError, OverflowError):
        pass
    matrix = np.full((len(rows), len(COLUMNS)), np.nan)
    for place, row in enumerate(rows):
        if len(row) == len(COLUMNS):
            matrix[place] = [_number(value) for value in row]
    return matrix


def _as_it_came(row: Row | FloatArray) -> Row:
    return row.tolist() if isinstance(row, np.ndarray) else row


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # the point is to find out
    except (ValueError, TypeError, OverflowError):
        return float("nan")


def _broken_rules(matrix: FloatArray, length: int, now_ms: int | None) -> dict[str, BoolArray]:
    """Return which rows break each rule that needs nothing but the row, in the order of precedence."""
    time, open_price, high, low, close, volume = matrix.T
    with np.errstate(invalid="ignore"):  # NaN and infinity are the first rule's business
        masks = {
            "not_a_number": ~np.isfinite(matrix).all(axis=1),
            "price_not_positive": (matrix[:, 1:5] <= 0.0).any(axis=1),
            "high_below_low": high < low,
            "open_outside_range": (open_price < low) | (open_price > high),
            "close_outside_range": (close < low) | (close > high),
            "negative_volume": volume < 0.0,
            "not_aligned": np.remainder(time, length) != 0.0,
        }
        if now_ms is not None:
            masks["not_closed"] = time + length > now_ms
    return masks


def _late_rows(time: FloatArray, accepted: BoolArray) -> BoolArray:
    """Return which accepted rows open no later than an accepted row before them."""
    late = np.zeros(len(time), dtype=np.bool_)
    rows = np.flatnonzero(accepted)
    newest = np.maximum.accumulate(time[rows])
    late[rows[1:]] = time[rows[1:]] <= newest[:-1]
    return late


def _first_rule(masks: dict[str, BoolArray], row: int) -> str:
    return next((rule for rule, mask in masks.items() if mask[row]), "late")


def _refusal(
    row: Row, values: FloatArray, rule: str, candles: Candles, length: int, now_ms: int | None
) -> RefusedCandle:
    time, open_price, high, low, close, volume = values.tolist()
    match rule:
        case "not_a_number":
            reason = _not_a_number(row, values)
        case "price_not_positive":
            name, value = next(pair for pair in zip(VALUE_COLUMNS, values[1:5].tolist(), strict=False) if pair[1] <= 0)
            reason = f"{name} must be above 0, was {value}"
        case "high_below_low":
            reason = f"high {high} is below low {low}"
        case "open_outside_range":
            reason = f"open {open_price} is outside low {low} to high {high}"
        case "close_outside_range":
            reason = f"close {close} is outside low {low} to high {high}"
        case "negative_volume":
            reason = f"volume must be 0 or more, was {volume}"
        case "not_aligned":
            reason = f"open_time {time:.0f} is not a multiple of {length} ms ({candles.timeframe})"
        case "not_closed":
            reason = f"open_time {time:.0f}: the candle ends at {time + length:.0f}, after now {now_ms}"
        case _:
            at = int(np.searchsorted(candles.open_time, int(time)))
            if at < len(candles) and candles.open_time[at] == time:
                rule = "duplicate"
                same = all(getattr(candles, name)[at] == values[1 + i] for i, name in enumerate(VALUE_COLUMNS))
                reason = f"open_time {time:.0f} came before, with {'the same' if same else 'other'} values"
            else:
                rule = "out_of_order"
                reason = f"open_time {time:.0f} came after a newer candle"
    return RefusedCandle(rule, reason, tuple(row))


def _not_a_number(row: Row, values: FloatArray) -> str:
    if len(row) != len(COLUMNS):
        return f"row must have {len(COLUMNS)} values ({', '.join(COLUMNS)}), had {len(row)}"
    place = int(np.argmin(np.isfinite(values)))
    return f"{COLUMNS[place]} must be a finite number, was {row[place]!r}"
