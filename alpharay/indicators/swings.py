"""Swings: the turning points of the price, and what they draw. A swing is seen only once it is confirmed."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator
from alpharay.indicators.windows import window_lowest
from alpharay.market.candles import FloatArray


@indicator(inputs=("high", "low"), warm_up=lambda bars: bars, memory="recursive")
def gann_trend(high: FloatArray, low: FloatArray, bars: int) -> FloatArray:
    """Return the trend of Gann's swing chart: 1 up, -1 down, 0 before the first swing is passed (Gann 1941).

    The chart turns up after `bars` higher highs in a row and down after `bars` lower lows; bars inside the bar before
    do not count. The trend is up once the price passes the last upper turn, down once it passes the last lower one
    (usual 2).
    """
    return _passed_turns(high, low, bars)


@kernel
def _passed_turns(high: FloatArray, low: FloatArray, bars: int) -> FloatArray:
    out = np.full(high.shape[0], np.nan)
    seen = 0
    last_high = last_low = top = bottom = upper_turn = lower_turn = trend = swing = 0.0
    rises = falls = 0
    for t in range(high.shape[0]):
        if np.isnan(high[t] + low[t]):
            seen = 0
            continue
        if seen == 0:
            last_high = top = high[t]
            last_low = bottom = low[t]
            upper_turn, lower_turn = np.inf, -np.inf
            trend = swing = 0.0
            rises = falls = 0
        elif high[t] > last_high or low[t] < last_low:
            rises = rises + 1 if high[t] > last_high else 0
            falls = falls + 1 if low[t] < last_low else 0
            last_high, last_low = high[t], low[t]
            top = max(top, high[t])
            bottom = min(bottom, low[t])
            # `top` and `bottom` are the extremes since the last turn.
            if swing <= 0.0 and rises >= bars:
                swing = 1.0
                lower_turn = bottom
                top = high[t]
            elif swing >= 0.0 and falls >= bars:
                swing = -1.0
                upper_turn = top
                bottom = low[t]
            passed_up, passed_down = high[t] > upper_turn, low[t] < lower_turn
            if passed_up != passed_down:
                trend = 1.0 if passed_up else -1.0
        seen += 1
        if seen > bars:
            out[t] = trend
    return out


@indicator(inputs=("high", "low", "close"), warm_up=lambda wing: 2 * wing, memory="recursive")
def double_bottom(high: FloatArray, low: FloatArray, close: FloatArray, wing: int) -> FloatArray:
    """Return how even the double bottom is that this close completes, 0 to 1; 0 where it completes none.

    A bottom is a low that is below the `wing` lows before it and not above the `wing` after it. The first close above
    the highest high between the last two bottoms completes them, unless one below the lower bottom came first. They
    are as even as their difference is small beside the height from the lower bottom to that high (Edwards & Magee
    1948).
    """
    return _completions(high, low, close, window_lowest(low, wing), window_lowest(low, 2 * wing + 1), wing)


@indicator(inputs=("high", "low", "close"), warm_up=lambda wing: 2 * wing, memory="recursive")
def double_top(high: FloatArray, low: FloatArray, close: FloatArray, wing: int) -> FloatArray:
    """Return how even the double top is that this close completes: `double_bottom` on the chart turned over."""
    return double_bottom(-low, -high, -close, wing)


@kernel
def _completions(
    high: FloatArray, low: FloatArray, close: FloatArray, before: FloatArray, around: FloatArray, wing: int
) -> FloatArray:
    out = np.full(high.shape[0], np.nan)
    seen = 0
    first = -1
    neckline, floor, evenness = np.inf, -np.inf, 0.0
    for t in range(high.shape[0]):
        if np.isnan(high[t] + low[t] + close[t]):
            seen = 0
            first = -1
            neckline, floor = np.inf, -np.inf
            continue
        seen += 1
        if seen <= 2 * wing:
            continue
        second = t - wing
        if low[second] == around[t] and low[second] < before[second - 1]:
            if first >= 0:
                # Each bar lies between one pair of bottoms, so all these scans together pass over the bars once.
                neckline = np.max(high[first : second + 1])
                floor = min(low[first], low[second])
                evenness = 1.0 - abs(low[first] - low[second]) / (neckline - floor)
            first = second
        out[t] = 0.0
        if close[t] > neckline or close[t] < floor:
            out[t] = evenness if close[t] > neckline else 0.0
            neckline, floor = np.inf, -np.inf
    return out
