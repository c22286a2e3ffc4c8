"""The least-squares line through the last closes.

The line through two stretches of closes side by side follows from their own lines: lines through 1, 2, 4, 8 … closes
come from each other, and the binary digits of a length name the stretches that make its window, as in
`windows.write_window_means`. What each stretch leaves beside its line adds up without a difference of large numbers,
so a close fit is not lost.
"""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.windows import TILE, window_levels
from alpharay.market.candles import FloatArray, IntArray

END, DEVIATION, REACH = range(3)

_MEAN, _SLOPE, _REST = range(3)
"""What is known of the line through a stretch: its middle, its slope, and the squared distances from it, added up."""


@indicator(
    inputs=("close",),
    warm_up=lambda length: length - 1,
    batch=lambda close, parameters, out: _write_lines(close, whole(parameters[:, 0]), END, out),
)
def linear_regression(close: FloatArray, length: int) -> FloatArray:
    """Return the newest point of the least-squares line through the last `length` closes."""
    return _line(close, length, END)


@indicator(
    inputs=("close",),
    warm_up=lambda length: length - 1,
    batch=lambda close, parameters, out: _write_lines(close, whole(parameters[:, 0]), DEVIATION, out),
)
def linear_regression_deviation(close: FloatArray, length: int) -> FloatArray:
    """Return the root of the mean squared distance of `length` closes from their least-squares line."""
    return _line(close, length, DEVIATION)


@indicator(
    inputs=("close",),
    warm_up=lambda length: length - 1,
    batch=lambda close, parameters, out: _write_lines(close, whole(parameters[:, 0]), REACH, out),
)
def linear_regression_reach(close: FloatArray, length: int) -> FloatArray:
    """Return the largest distance of `length` closes from their least-squares line (Raff 1991)."""
    return _line(close, length, REACH)


def _line(close: FloatArray, length: int, kind: int) -> FloatArray:
    out = np.empty((1, len(close)))
    _write_lines(close, whole([length]), kind, out)
    return out[0]


@kernel
def _write_lines(close: FloatArray, lengths: IntArray, kind: int, out: FloatArray) -> None:
    bars = close.shape[0]
    longest = 1
    for length in lengths:
        longest = max(longest, min(length, bars))
    levels = window_levels(longest)
    stretches = np.empty((levels, 3, TILE + longest - 1))
    lines = np.empty((2, 3, TILE))
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        first = max(start - longest + 1, 0)
        stretches[0, _MEAN, : stop - first] = close[first:stop]
        stretches[0, _SLOPE, : stop - first] = 0.0 * close[first:stop]
        stretches[0, _REST, : stop - first] = 0.0 * close[first:stop]
        for level in range(1, levels):
            half = 1 << (level - 1)
            size = max(stop - first - 2 * half + 1, 0)
            _join(
                stretches[level - 1], 2 * half - 1, half, stretches[level - 1], half - 1, half, kind == DEVIATION,
                stretches[level], 2 * half - 1, size,
            )  # fmt: skip
        for row in range(lengths.shape[0]):
            length = lengths[row]
            begin = min(max(length - 1, start), stop)
            out[row, start:begin] = np.nan
            if begin == stop:
                continue
            size = stop - begin
            line = _join_stretches(stretches, length, begin - first, kind == DEVIATION, lines[0], lines[1], size)
            mean, slope, rest, values = line[_MEAN], line[_SLOPE], line[_REST], out[row, begin:stop]
            if kind == DEVIATION:
                for i in range(size):
                    values[i] = np.sqrt(rest[i] / length)
                continue
            for i in range(size):
                values[i] = mean[i] + slope[i] * ((length - 1) / 2.0)
            if kind == REACH:
                mean[:size] = values
                _largest_distances(close, begin, length, mean[:size], slope[:size], values)


@kernel
def _join_stretches(
    stretches: FloatArray, length: int, newest: int, with_rest: bool, line: FloatArray, spare: FloatArray, size: int
) -> FloatArray:
    """Return, in `line` or in `spare`, the lines through `length` closes.

    The newest close of the first is in column `newest` of the stretches.
    """
    taken = length & -length
    level = window_levels(taken) - 1
    for part in range(3):
        line[part, :size] = stretches[level, part, newest : newest + size]
    while taken < length:
        level += 1
        width = 1 << level
        if length & width:
            # To another place than it is read from: the compiler makes no vectors of a loop that writes over its input.
            _join(line, 0, taken, stretches[level], newest - taken, width, with_rest, spare, 0, size)
            line, spare = spare, line
            taken += width
    return line


@kernel
def _join(
    newer: FloatArray,
    newer_begin: int,
    newer_width: int,
    older: FloatArray,
    older_begin: int,
    older_width: int,
    with_rest: bool,
    out: FloatArray,
    out_begin: int,
    size: int,
) -> None:
    """Write the line through two stretches, the middle, the slope and the rest of each in rows."""
    width = float(newer_width + older_width)
    apart = width / 2.0
    pull = newer_width * older_width / width
    newer_spread = newer_width * (newer_width * float(newer_width) - 1.0) / 12.0
    older_spread = older_width * (older_width * float(older_width) - 1.0) / 12.0
    spread = newer_spread + older_spread + pull * apart * apart
    of_newer, of_older, of_rise = newer_spread / spread, older_spread / spread, pull * apart / spread
    share = older_width / width
    m1, m2 = newer[_MEAN, newer_begin : newer_begin + size], older[_MEAN, older_begin : older_begin + size]
    b1, b2 = newer[_SLOPE, newer_begin : newer_begin + size], older[_SLOPE, older_begin : older_begin + size]
    r1, r2 = newer[_REST, newer_begin : newer_begin + size], older[_REST, older_begin : older_begin + size]
    mean, slope = out[_MEAN, out_begin : out_begin + size], out[_SLOPE, out_begin : out_begin + size]
    rest = out[_REST, out_begin : out_begin + size]
    for i in range(size):
        rise = m1[i] - m2[i]
        steepness = of_newer * b1[i] + of_older * b2[i] + of_rise * rise
        if with_rest:
            beside = rise - steepness * apart
            turned, bent = b1[i] - steepness, b2[i] - steepness
            rest[i] = (r1[i] + r2[i]) + (
                pull * beside * beside + (newer_spread * turned * turned + older_spread * bent * bent)
            )
        mean[i] = m1[i] - rise * share
        slope[i] = steepness


@kernel
def _largest_distances(
    close: FloatArray, begin: int, length: int, ends: FloatArray, slopes: FloatArray, out: FloatArray
) -> None:
    size = out.shape[0]
    newest = close[begin : begin + size]
    for i in range(size):
        # A missing close makes the line's end NaN; no comparison replaces that.
        out[i] = abs(newest[i] - ends[i])
    lag = 1
    # Four lags a pass: the line is loaded once for all of them.
    while lag + 3 < length:
        c0, c1 = close[begin - lag : begin - lag + size], close[begin - lag - 1 : begin - lag - 1 + size]
        c2, c3 = close[begin - lag - 2 : begin - lag - 2 + size], close[begin - lag - 3 : begin - lag - 3 + size]
        for i in range(size):
            end, slope = ends[i], slopes[i]
            d0, d1 = abs(c0[i] - (end - lag * slope)), abs(c1[i] - (end - (lag + 1) * slope))
            d2, d3 = abs(c2[i] - (end - (lag + 2) * slope)), abs(c3[i] - (end - (lag + 3) * slope))
            a, b = max(d1, d0), max(d3, d2)
            most = max(b, a)
            out[i] = max(out[i], most)
        lag += 4
    while lag < length:
        older = close[begin - lag : begin - lag + size]
        for i in range(size):
            distance = abs(older[i] - (ends[i] - lag * slopes[i]))
            out[i] = max(out[i], distance)
        lag += 1
