"""Trend: whether there is one, and which way."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.smoothing import wilder_averages, write_wilder_averages
from alpharay.indicators.volatility import true_range
from alpharay.indicators.windows import ratio, window_highest
from alpharay.market.candles import FloatArray, IntArray


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length: length,
    memory="recursive",
    batch=lambda high, low, close, parameters, out: _write_share_of_range(
        _directional_movement(high, low), true_range(high, low, close), whole(parameters[:, 0]), out
    ),
)
def plus_di(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Wilder's +DI: upward movement in percent of the average true range, or 0 (Wilder 1978).

    Both averages begin with their first `length` values; TA-Lib's begin one bar earlier.
    """
    return _share_of_range(_directional_movement(high, low), true_range(high, low, close), whole([length]))[0]


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length: length,
    memory="recursive",
    batch=lambda high, low, close, parameters, out: _write_share_of_range(
        _directional_movement(-low, -high), true_range(high, low, close), whole(parameters[:, 0]), out
    ),
)
def minus_di(high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Wilder's -DI: downward movement in percent of the average true range, or 0 (Wilder 1978)."""
    return _share_of_range(_directional_movement(-low, -high), true_range(high, low, close), whole([length]))[0]


def _write_share_of_range(movement: FloatArray, ranges: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    out[:] = _share_of_range(movement, ranges, lengths)


def _share_of_range(movement: FloatArray, ranges: FloatArray, lengths: IntArray) -> FloatArray:
    return 100.0 * ratio(wilder_averages(movement, lengths), wilder_averages(ranges, lengths), 0.0)


@indicator(
    inputs=("high", "low"),
    warm_up=lambda length: 2 * length - 1,
    memory="recursive",
    batch=lambda high, low, parameters, out: _write_directional_indices(high, low, whole(parameters[:, 0]), out),
)
def adx(high: FloatArray, low: FloatArray, length: int) -> FloatArray:
    """Return Wilder's average directional index, 0 to 100; no movement at all counts as 0 (Wilder 1978).

    The closes are not needed: both directional indicators divide by the same average true range.
    """
    out = np.empty((1, len(high)))
    _write_directional_indices(high, low, whole([length]), out)
    return out[0]


def _write_directional_indices(high: FloatArray, low: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    upward = wilder_averages(_directional_movement(high, low), lengths)
    downward = wilder_averages(_directional_movement(-low, -high), lengths)
    write_wilder_averages(100.0 * ratio(np.abs(upward - downward), upward + downward, 0.0), lengths, out)


@kernel
def _directional_movement(ahead: FloatArray, behind: FloatArray) -> FloatArray:
    # With (high, low): the upward movement. With (-low, -high): the downward one, the chart turned over.
    out = np.full(ahead.shape[0], np.nan)
    for t in range(1, ahead.shape[0]):
        gained = ahead[t] - ahead[t - 1]
        lost = behind[t - 1] - behind[t]
        out[t] = gained if gained > 0.0 and gained > lost else 0.0 * (gained + lost)
    return out


@indicator(inputs=("high",), warm_up=lambda length: length)
def aroon_up(high: FloatArray, length: int) -> FloatArray:
    """Return 100 at a high of `length` bars, 0 when that is `length` old; of equals the newest (Chande)."""
    return _freshness(high, window_highest(high, length + 1), length)


@indicator(inputs=("low",), warm_up=lambda length: length)
def aroon_down(low: FloatArray, length: int) -> FloatArray:
    """Return 100 at a low of `length` bars, 0 when that is `length` old; of equals the newest (Chande)."""
    return _freshness(-low, window_highest(-low, length + 1), length)


@kernel
def _freshness(values: FloatArray, tops: FloatArray, length: int) -> FloatArray:
    bars = values.shape[0]
    out = np.full(bars, np.nan)
    for t in range(length, bars):
        if tops[t] == tops[t]:
            age = 0
            while values[t - age] != tops[t]:
                age += 1
            out[t] = 100.0 * (length - age) / length
    return out


@indicator(inputs=("high", "low"), warm_up=lambda start, increment, maximum: 1, memory="recursive")  # noqa: ARG005
def parabolic_sar(high: FloatArray, low: FloatArray, start: float, increment: float, maximum: float) -> FloatArray:
    """Return Wilder's parabolic stop and reverse (Wilder 1978; usual 0.02, 0.02, 0.2).

    The first two bars give the direction: long unless the low fell by more than the high rose, as in TA-Lib.
    On the bar of a reversal the value is the new side's stop.
    """
    return _stop_and_reverse(high, low, start, increment, maximum)


@kernel
def _stop_and_reverse(high: FloatArray, low: FloatArray, start: float, increment: float, maximum: float) -> FloatArray:
    out = np.full(high.shape[0], np.nan)
    side = 0.0
    stop = 0.0
    extreme = 0.0
    factor = 0.0
    for t in range(1, high.shape[0]):
        if np.isnan(high[t - 1] + low[t - 1] + high[t] + low[t]):
            side = 0.0
            continue
        if side == 0.0:
            fall = low[t - 1] - low[t]
            side = -1.0 if fall > 0.0 and fall > high[t] - high[t - 1] else 1.0
            stop = low[t - 1] if side > 0.0 else -high[t - 1]
            extreme = high[t] if side > 0.0 else -low[t]
            factor = min(start, maximum)
            # The first bar with a stop only moves on from itself.
            previous_floor = low[t] if side > 0.0 else -high[t]
        else:
            previous_floor = low[t - 1] if side > 0.0 else -high[t - 1]
        # A short position is a long one on the chart turned over: one set of rules for both.
        floor = low[t] if side > 0.0 else -high[t]
        top = high[t] if side > 0.0 else -low[t]
        if floor <= stop:
            previous_top = high[t - 1] if side > 0.0 else -low[t - 1]
            reversed_stop = max(extreme, previous_top, top)
            out[t] = side * reversed_stop
            side = -side
            extreme = -floor
            factor = min(start, maximum)
            stop = -reversed_stop
            stop = min(stop + factor * (extreme - stop), -previous_top, -top)
        else:
            out[t] = side * stop
            if top > extreme:
                extreme = top
                factor = min(factor + increment, maximum)
            stop = min(stop + factor * (extreme - stop), previous_floor, floor)
    return out
