"""Volume: what stands behind a move."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.smoothing import exponential_average, exponential_differences
from alpharay.indicators.windows import (
    change,
    direction,
    lagged,
    ratio,
    ratio_of_means,
    window_volume_weighted_mean,
    write_ratios_of_means,
    write_volume_weighted_means,
)
from alpharay.market.candles import FloatArray, IntArray


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda high, low, close, volume, parameters, out: write_volume_weighted_means(
        (high + low + close) / 3.0, volume, whole(parameters[:, 0]), out
    ),
)
def vwap(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int) -> FloatArray:
    """Return the typical price averaged by volume over `length` bars; unweighted if they have none."""
    return window_volume_weighted_mean((high + low + close) / 3.0, volume, length)


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length,
    batch=lambda high, low, close, volume, parameters, out: _write_flow_indices(
        high, low, close, volume, whole(parameters[:, 0]), out
    ),
)
def mfi(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int) -> FloatArray:
    """Return the money flow index, 0 to 100 (Quong & Soudack 1989); 50 where no money flowed either way.

    TA-Lib gives 0 when the flows of the window come to less than 1.
    """
    out = np.empty((1, len(close)))
    _write_flow_indices(high, low, close, volume, whole([length]), out)
    return out[0]


def _write_flow_indices(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, lengths: IntArray, out: FloatArray
) -> None:
    typical = (high + low + close) / 3.0
    move = direction(typical)
    flow = typical * volume
    inflow, outflow = (np.where(side * move > 0.0, flow, 0.0 * (flow + move)) for side in (1.0, -1.0))
    write_ratios_of_means(inflow, outflow, lengths, 100.0, 0.5, True, out)


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda length: length - 1,
    batch=lambda high, low, close, volume, parameters, out: write_ratios_of_means(
        _money_flow(high, low, close, volume), volume, whole(parameters[:, 0]), 1.0, 0.0, False, out
    ),
)
def cmf(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, length: int) -> FloatArray:
    """Return Chaikin's money flow, -1 to 1: accumulated by total volume; 0 where there is no volume."""
    return ratio_of_means(_money_flow(high, low, close, volume), volume, length, 1.0, 0.0)


@indicator(inputs=("close", "volume"), warm_up=lambda: 0, memory="recursive")
def obv(close: FloatArray, volume: FloatArray) -> FloatArray:
    """Return on-balance volume: volume added when the close rises, taken off when it falls (Granville 1963).

    It begins, also after a NaN, with the first bar's volume, as in TA-Lib.
    """
    move = np.sign(change(close))
    return _accumulate(np.where(np.isnan(lagged(close * volume, 1)), volume + 0.0 * close, move * volume))


@indicator(inputs=("high", "low", "close", "volume"), warm_up=lambda: 0, memory="recursive")
def accumulation_distribution(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray) -> FloatArray:
    """Return Chaikin's accumulation/distribution line; a bar without range adds nothing."""
    return _accumulate(_money_flow(high, low, close, volume))


@indicator(
    inputs=("high", "low", "close", "volume"),
    warm_up=lambda fast, slow: max(fast, slow) - 1,
    memory="recursive",
)
def chaikin_oscillator(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, fast: int, slow: int
) -> FloatArray:
    """Return the fast less the slow exponential average of the accumulation/distribution line (usual 3, 10).

    TA-Lib begins both averages with the first value instead of a mean.
    """
    line = accumulation_distribution(high, low, close, volume)
    return exponential_differences(line, whole([fast]), whole([slow]))[0]


@indicator(inputs=("close", "volume"), warm_up=lambda: 0, memory="recursive")
def vpt(close: FloatArray, volume: FloatArray) -> FloatArray:
    """Return the sum of volume times the close's relative change, from 0 at the first bar and after a NaN."""
    previous = lagged(close, 1)
    relative = ratio(close - previous, previous, 0.0)
    return _accumulate(np.where(np.isnan(lagged(close * volume, 1)), 0.0 * (close + volume), relative * volume))


@indicator(inputs=("close", "volume"), warm_up=lambda length: length, memory="recursive")
def force_index(close: FloatArray, volume: FloatArray, length: int) -> FloatArray:
    """Return the exponential average of the close's change times volume (Elder 1993; usual 13)."""
    return exponential_average(change(close) * volume, length)


@indicator(inputs=("high", "low", "close", "volume"), warm_up=lambda fast, slow: max(fast, slow), memory="recursive")
def klinger(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, fast: int, slow: int
) -> FloatArray:
    """Return the fast less the slow exponential average of volume force (Klinger 1997; usual 34, 55).

    Force = 100 * volume * trend * |2 * range / ranges since the trend turned - 1|. The trend is the sign of
    the last change of high + low + close, 0 before the first. Without any range there is no force.
    """
    return exponential_differences(volume_force(high, low, close, volume), whole([fast]), whole([slow]))[0]


@indicator(inputs=("high", "low", "close", "volume"), warm_up=lambda: 1, memory="recursive")
def volume_force(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray) -> FloatArray:
    """Return Klinger's volume force, what his oscillator averages: see `klinger`."""
    return _volume_force(direction((high + low + close) / 3.0), high - low, volume)


@indicator(inputs=("high", "low", "volume"), warm_up=lambda: 0)
def market_facilitation(high: FloatArray, low: FloatArray, volume: FloatArray) -> FloatArray:
    """Return the price's range for each unit of volume (Williams 1995); 0 where there is no volume."""
    return ratio(high - low, volume, 0.0)


def _money_flow(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray) -> FloatArray:
    # The close's place in the bar, -1 to 1, times volume.
    return ratio((close - low) - (high - close), high - low, 0.0) * volume


@kernel
def _accumulate(flows: FloatArray) -> FloatArray:
    out = np.empty(flows.shape[0])
    total = 0.0
    for t in range(flows.shape[0]):
        total = total + flows[t] if total == total else flows[t]
        out[t] = total
    return out


@kernel
def _volume_force(directions: FloatArray, ranges: FloatArray, volume: FloatArray) -> FloatArray:
    out = np.full(volume.shape[0], np.nan)
    trend = 0.0
    accumulated = 0.0
    for t in range(1, volume.shape[0]):
        if np.isnan(directions[t]):
            trend = 0.0
            accumulated = 0.0
            continue
        if directions[t] != 0.0 and directions[t] != trend:
            trend = directions[t]
            accumulated = ranges[t - 1]
        accumulated += ranges[t]
        share = abs(2.0 * ranges[t] / accumulated - 1.0) if accumulated != 0.0 else 0.0
        out[t] = 100.0 * volume[t] * share * trend
    return out
