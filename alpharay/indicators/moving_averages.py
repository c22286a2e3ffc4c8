"""Moving averages."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.smoothing import (
    LANE_TILE,
    exponential_average,
    exponential_averages,
    transpose,
    wilder_average,
    write_exponential_averages,
    write_wilder_averages,
)
from alpharay.indicators.windows import (
    change,
    window_mean,
    window_means,
    window_volume_weighted_mean,
    window_weighted_mean,
    write_volume_weighted_means,
    write_window_means,
)
from alpharay.market.candles import FloatArray, IntArray


def sma_matrix(close: FloatArray, lengths: IntArray) -> FloatArray:
    """Return `sma` for each length, the same bits: shape (lengths, bars)."""
    return window_means(close, whole(lengths))


@indicator(
    inputs=("close",),
    warm_up=lambda length: length - 1,
    batch=lambda close, parameters, out: write_window_means(close, whole(parameters[:, 0]), out),
)
def sma(close: FloatArray, length: int) -> FloatArray:
    """Return the simple moving average of the last `length` closes."""
    return window_mean(close, length)


def ema_matrix(close: FloatArray, lengths: IntArray) -> FloatArray:
    """Return `ema` for each length, the same bits: shape (lengths, bars)."""
    return exponential_averages(close, whole(lengths))


@indicator(
    inputs=("close",),
    warm_up=lambda length: length - 1,
    memory="recursive",
    batch=lambda close, parameters, out: write_exponential_averages(close, whole(parameters[:, 0]), out),
    takes_rows=True,
)
def ema(close: FloatArray, length: int) -> FloatArray:
    """Return the exponential average, factor 2 / (length + 1), begun with the mean of `length` closes."""
    return exponential_average(close, length)


@indicator(
    inputs=("close",),
    warm_up=lambda length: length - 1,
    memory="recursive",
    batch=lambda close, parameters, out: write_wilder_averages(close, whole(parameters[:, 0]), out),
    takes_rows=True,
)
def wilder(close: FloatArray, length: int) -> FloatArray:
    """Return Wilder's smoothed average (also SMMA, RMA): factor 1 / length (Wilder 1978)."""
    return wilder_average(close, length)


@indicator(inputs=("close",), warm_up=lambda length: length - 1)
def wma(close: FloatArray, length: int) -> FloatArray:
    """Return the linearly weighted average: weight `length` on the newest close, 1 on the oldest."""
    weights = np.arange(length, 0, -1, dtype=np.float64)
    return window_weighted_mean(close, weights / weights.sum())


@indicator(inputs=("close",), warm_up=lambda length: 2 * (length - 1), memory="recursive")
def dema(close: FloatArray, length: int) -> FloatArray:
    """Return the double exponential average `2 ema - ema(ema)` (Mulloy, January 1994)."""
    once = exponential_average(close, length)
    return 2.0 * once - exponential_average(once, length)


@indicator(inputs=("close",), warm_up=lambda length: 3 * (length - 1), memory="recursive")
def tema(close: FloatArray, length: int) -> FloatArray:
    """Return the triple exponential average `3 ema - 3 ema(ema) + ema(ema(ema))` (Mulloy, February 1994)."""
    once = exponential_average(close, length)
    twice = exponential_average(once, length)
    return 3.0 * once - 3.0 * twice + exponential_average(twice, length)


@indicator(
    inputs=("close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda close, volume, parameters, out: write_volume_weighted_means(
        close, volume, whole(parameters[:, 0]), out
    ),
)
def vwma(close: FloatArray, volume: FloatArray, length: int) -> FloatArray:
    """Return the volume weighted average close; the simple average where the window has no volume."""
    return window_volume_weighted_mean(close, volume, length)


@indicator(inputs=("close",), warm_up=lambda length, fast, slow: length, memory="recursive")  # noqa: ARG005
def kama(close: FloatArray, length: int, fast: int, slow: int) -> FloatArray:
    """Return Kaufman's adaptive average (Trading Systems and Methods; usual 10, 2, 30).

    It begins from the close before its first bar. A window without any movement counts as fully efficient,
    as in TA-Lib.
    """
    path = window_mean(np.abs(change(close)), length)
    return _adapt(close, np.abs(change(close, length)) / length, path, 2.0 / (fast + 1.0), 2.0 / (slow + 1.0))


@kernel
def _adapt(close: FloatArray, direct: FloatArray, path: FloatArray, fast: float, slow: float) -> FloatArray:
    out = np.full(close.shape[0], np.nan)
    average = np.nan
    for t in range(1, close.shape[0]):
        if path[t] != path[t]:
            average = np.nan
            continue
        if average != average:
            average = close[t - 1]
        # Rounding may make a straight path a little shorter than its ends are apart.
        efficiency = 1.0 if path[t] <= direct[t] else direct[t] / path[t]
        factor = efficiency * (fast - slow) + slow
        average += factor * factor * (close[t] - average)
        out[t] = average
    return out


@indicator(
    inputs=("close", "volume"),
    warm_up=lambda length: length - 1,
    memory="recursive",
    batch=lambda close, volume, parameters, out: _smooth_by_volume(close, volume, whole(parameters[:, 0]), out),
)
def volume_weighted_ema(close: FloatArray, volume: FloatArray, length: int) -> FloatArray:
    """Return the exponential average of close times volume over that of volume (Dormeier 2011).

    It begins with the volume weighted mean of `length` closes. Without any volume, bars weigh the same.
    """
    out = np.empty((1, len(close)))
    _smooth_by_volume(close, volume, whole([length]), out)
    return out[0]


@kernel
def _smooth_by_volume(close: FloatArray, volume: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    # The quotient of both averages moves by its own share of the average volume, so a quiet price stays exactly.
    bars = close.shape[0]
    lanes = lengths.shape[0]
    factors = 2.0 / (lengths + 1.0)
    longest = np.max(lengths)
    average = np.full(lanes, np.nan)
    usual = np.full(lanes, np.nan)
    rows = np.empty((LANE_TILE, lanes))
    valid = 0
    for start in range(0, bars, LANE_TILE):
        size = min(LANE_TILE, bars - start)
        for i in range(size):
            price, traded = close[start + i], volume[start + i]
            valid = valid + 1 if price + traded == price + traded else 0
            row = rows[i]
            # A lane not yet begun and a missing value are both NaN.
            missing = 0.0 * (price + traded)
            for lane in range(lanes):
                usual[lane] += factors[lane] * (traded - usual[lane]) + missing
                weight = factors[lane] * traded / usual[lane]
                weight = weight if usual[lane] != 0.0 else factors[lane]
                average[lane] += weight * (price - average[lane])
                row[lane] = average[lane]
            if valid <= longest:
                for lane in range(lanes):
                    if lengths[lane] == valid:
                        usual[lane] = np.mean(volume[start + i - valid + 1 : start + i + 1])
                        average[lane] = _weighted_mean_of_last(close, volume, start + i, valid)
                        row[lane] = average[lane]
        transpose(rows, size, out[:, start:])


@kernel
def _weighted_mean_of_last(close: FloatArray, volume: FloatArray, bar: int, length: int) -> float:
    weighted, plain, traded = 0.0, 0.0, volume[bar]
    for lag in range(1, length):
        difference = close[bar - lag] - close[bar]
        plain += difference
        weighted += difference * volume[bar - lag]
        traded += volume[bar - lag]
    return close[bar] + (plain / length if traded == 0.0 else weighted / traded)


RAINBOW_LEVELS = 10


@indicator(inputs=("close",), warm_up=lambda length: RAINBOW_LEVELS * (length - 1))
def rainbow(close: FloatArray, length: int) -> FloatArray:
    """Return the middle of Widner's rainbow: the mean of ten averages, each the simple average of the one before.

    The first is of the close (Widner, Stocks & Commodities, July 1997; usual 2).
    """
    level = close
    total = np.zeros_like(close)
    for _ in range(RAINBOW_LEVELS):
        level = window_mean(level, length)
        # Distances to the close: a quiet price gives exactly itself.
        total += level - close
    return close + total / RAINBOW_LEVELS
