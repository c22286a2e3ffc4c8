"""Momentum: how fast the price moves, and which way."""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.smoothing import (
    exponential_average,
    exponential_averages,
    exponential_differences,
    mean_of_last,
    transpose,
    write_exponential_averages,
    write_exponential_differences,
)
from alpharay.indicators.windows import (
    change,
    lagged,
    ratio,
    window_mean,
    write_ratios_of_means,
    write_window_means,
)
from alpharay.market.candles import FloatArray, IntArray

TILE = 256


def rsi_matrix(close: FloatArray, lengths: IntArray) -> FloatArray:
    """Return `rsi` for each length, the same bits: shape (lengths, bars)."""
    out = np.empty((len(lengths), len(close)))
    _relative_strength(close, whole(lengths), out)
    return out


@indicator(
    inputs=("close",),
    warm_up=lambda length: length,
    memory="recursive",
    batch=lambda close, parameters, out: _relative_strength(close, whole(parameters[:, 0]), out),
)
def rsi(close: FloatArray, length: int) -> FloatArray:
    """Return Wilder's relative strength index, 0 to 100 (Wilder 1978).

    50 while the price has never moved: no strength either way (TA-Lib says 0 there).
    """
    return rsi_matrix(close, np.array([length]))[0]


@kernel
def _relative_strength(close: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    # Two chains a length, all lengths side by side: see `smoothing`.
    bars = close.shape[0]
    lanes = lengths.shape[0]
    gains = np.full(bars, np.nan)
    losses = np.full(bars, np.nan)
    for t in range(1, bars):
        move = close[t] - close[t - 1]
        gains[t] = move if not move <= 0.0 else 0.0
        losses[t] = -move if not move >= 0.0 else 0.0
    factors = 1.0 / lengths
    longest = np.max(lengths) if lanes else 0
    up = np.full(lanes, np.nan)
    down = np.full(lanes, np.nan)
    rows = np.empty((TILE, lanes))
    valid = 0
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        for i in range(size):
            gain = gains[start + i]
            loss = losses[start + i]
            valid = valid + 1 if gain == gain else 0
            for lane in range(lanes):
                up[lane] += factors[lane] * (gain - up[lane])
                down[lane] += factors[lane] * (loss - down[lane])
            if valid <= longest:
                for lane in range(lanes):
                    if lengths[lane] == valid:
                        up[lane] = mean_of_last(gains, start + i, valid)
                        down[lane] = mean_of_last(losses, start + i, valid)
            row = rows[i]
            for lane in range(lanes):
                both = up[lane] + down[lane]
                row[lane] = 100.0 * up[lane] / both if both != 0.0 else 50.0
        transpose(rows, size, out[:, start:])


@indicator(inputs=("close",), warm_up=lambda length: length)
def roc(close: FloatArray, length: int) -> FloatArray:
    """Return the rate of change over `length` bars in percent; NaN where the earlier value is 0."""
    return 100.0 * ratio(change(close, length), lagged(close, length), np.nan)


@indicator(inputs=("close",), warm_up=lambda length: length)
def momentum(close: FloatArray, length: int) -> FloatArray:
    """Return the difference to the close `length` bars earlier."""
    return change(close, length)


@indicator(
    inputs=("close",),
    warm_up=lambda length: length,
    batch=lambda close, parameters, out: _write_momentum_oscillators(close, whole(parameters[:, 0]), out),
)
def cmo(close: FloatArray, length: int) -> FloatArray:
    """Return Chande's momentum oscillator, -100 to 100; 0 in a flat window (Chande & Kroll 1994).

    Sums over the window, as Chande defines it; TA-Lib smooths as Wilder does.
    """
    out = np.empty((1, len(close)))
    _write_momentum_oscillators(close, whole([length]), out)
    return out[0]


def _write_momentum_oscillators(close: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    moves = change(close)
    write_ratios_of_means(moves, np.abs(moves), lengths, 100.0, 0.0, False, out)


def macd_matrix(close: FloatArray, fast: IntArray, slow: IntArray) -> FloatArray:
    """Return `macd` for each pair, the same bits, every average computed once: shape (pairs, bars)."""
    return exponential_differences(close, whole(fast), whole(slow))


@indicator(
    inputs=("close",),
    warm_up=lambda fast, slow: max(fast, slow) - 1,
    memory="recursive",
    batch=lambda close, parameters, out: write_exponential_differences(
        close, whole(parameters[:, 0]), whole(parameters[:, 1]), out
    ),
)
def macd(close: FloatArray, fast: int, slow: int) -> FloatArray:
    """Return the MACD line: fast less slow exponential average (Appel; usual 12, 26).

    Both begin at their own first full window; TA-Lib begins the fast one later, so the first values differ.
    """
    return macd_matrix(close, whole([fast]), whole([slow]))[0]


def macd_signal_matrix(close: FloatArray, fast: IntArray, slow: IntArray, signal: IntArray) -> FloatArray:
    """Return `macd_signal` for each triple, the same bits: shape (triples, bars)."""
    return exponential_averages(macd_matrix(close, fast, slow), whole(signal))


@indicator(
    inputs=("close",),
    warm_up=lambda fast, slow, signal: max(fast, slow) + signal - 2,
    memory="recursive",
    batch=lambda close, parameters, out: write_exponential_averages(
        macd_matrix(close, parameters[:, 0], parameters[:, 1]), whole(parameters[:, 2]), out
    ),
)
def macd_signal(close: FloatArray, fast: int, slow: int, signal: int) -> FloatArray:
    """Return the exponential average of the MACD line over `signal` bars (usual 12, 26, 9)."""
    return macd_signal_matrix(close, whole([fast]), whole([slow]), whole([signal]))[0]


@indicator(inputs=("close",), warm_up=lambda fast, slow: max(fast, slow) - 1, memory="recursive")
def ppo(close: FloatArray, fast: int, slow: int) -> FloatArray:
    """Return the MACD line in percent of its slow average (percentage price oscillator); NaN if that is 0."""
    return 100.0 * ratio(macd(close, fast, slow), exponential_average(close, slow), np.nan)


@indicator(inputs=("close",), warm_up=lambda length: 3 * (length - 1) + 1, memory="recursive")
def trix(close: FloatArray, length: int) -> FloatArray:
    """Return the 1-bar change in percent of the triple exponential average (Hutson 1983); NaN after a 0."""
    twice = exponential_average(exponential_average(close, length), length)
    return roc(exponential_average(twice, length), 1)


@indicator(inputs=("high", "low"), warm_up=lambda fast, slow: max(fast, slow) - 1)
def awesome_oscillator(high: FloatArray, low: FloatArray, fast: int, slow: int) -> FloatArray:
    """Return the fast less the slow simple average of (high + low) / 2 (Williams; usual 5, 34)."""
    median = (high + low) / 2.0
    return window_mean(median, fast) - window_mean(median, slow)


@indicator(
    inputs=("close",),
    warm_up=lambda length: max(length - 1, length // 2 + 1),
    batch=lambda close, parameters, out: _write_detrended(close, whole(parameters[:, 0]), out),
)
def dpo(close: FloatArray, length: int) -> FloatArray:
    """Return the detrended price: the close `length // 2 + 1` bars ago less the simple average of now."""
    out = np.empty((1, len(close)))
    _write_detrended(close, whole([length]), out)
    return out[0]


@kernel
def _write_detrended(close: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    write_window_means(close, lengths, out)
    for row in range(lengths.shape[0]):
        values, lag = out[row], min(lengths[row] // 2 + 1, close.shape[0])
        values[:lag] = np.nan
        older, later = close[: close.shape[0] - lag], values[lag:]
        for i in range(later.shape[0]):
            later[i] = older[i] - later[i]


@indicator(
    inputs=("close",),
    warm_up=lambda roc1, roc2, roc3, roc4, sma1, sma2, sma3, sma4: (
        max(roc1 + sma1, roc2 + sma2, roc3 + sma3, roc4 + sma4) - 1
    ),
)
def kst(
    close: FloatArray, roc1: int, roc2: int, roc3: int, roc4: int, sma1: int, sma2: int, sma3: int, sma4: int
) -> FloatArray:
    """Return Pring's know sure thing: four averaged rates of change, weighted 1, 2, 3, 4.

    Usual: rates over 10, 15, 20, 30 bars, averaged over 10, 10, 10, 15 (Pring 1992).
    """
    terms = ((roc1, sma1), (roc2, sma2), (roc3, sma3), (roc4, sma4))
    first, second, third, fourth = (window_mean(roc(close, ago), length) for ago, length in terms)
    return first + 2.0 * second + 3.0 * third + 4.0 * fourth


@indicator(inputs=("high", "close"), warm_up=lambda length: length - 1, memory="recursive")
def bull_power(high: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Elder's bull power: the high less the exponential average of closes (Elder 1993; usual 13)."""
    return high - exponential_average(close, length)


@indicator(inputs=("low", "close"), warm_up=lambda length: length - 1, memory="recursive")
def bear_power(low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return Elder's bear power: the low less the exponential average of closes (Elder 1993; usual 13)."""
    return low - exponential_average(close, length)
