"""Moving windows: each value comes from the last `length` inputs alone, in a fixed order.

So the bits do not depend on where the input starts, a NaN spoils exactly the windows that hold it, and
nothing drifts: running and prefix sums have none of these. A flat window gives exactly its one value, so
that a quiet market makes no crossings out of rounding. Work is done in tiles of bars that stay in the
processor's first caches.
"""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.market.candles import FloatArray, IntArray

TILE = 1024


def window_means(values: FloatArray, lengths: IntArray) -> FloatArray:
    """Return the mean of the last `length` values for each length: shape (lengths, values)."""
    out = np.empty((len(lengths), len(values)))
    write_window_means(values, lengths, out)
    return out


@kernel
def write_window_means(values: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    """Write the mean of the last `length` values for each length to (lengths, values) `out`.

    Means over 1, 2, 4, 8 … bars come from each other; a window is the weighted mean of the pieces that the
    binary digits of its length name, the shortest at the newest bar: about log2(length) operations a bar.
    """
    bars = values.shape[0]
    longest = _longest_within(lengths, bars)
    pyramid = np.empty((window_levels(longest), TILE + longest - 1))
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        first = max(start - longest + 1, 0)
        pyramid[0, : stop - first] = values[first:stop]
        grow_means(pyramid, stop - first, longest)
        for row in range(lengths.shape[0]):
            warm_up = min(max(lengths[row] - 1 - start, 0), stop - start)
            out[row, start : start + warm_up] = np.nan
            if start + warm_up < stop:
                combine_means(pyramid, lengths[row], start + warm_up - first, out[row, start + warm_up : stop])


@kernel
def _longest_within(lengths: IntArray, bars: int) -> int:
    longest = 1
    for length in lengths:
        longest = max(longest, min(length, bars))
    return longest


@kernel
def window_levels(longest: int) -> int:
    """Return how many powers of two are no longer than `longest`, 1 among them."""
    levels = 0
    while (1 << levels) <= longest:
        levels += 1
    return levels


@kernel
def grow_means(pyramid: FloatArray, size: int, longest: int) -> None:
    """Fill row k of `pyramid` with the means of 2^k of the `size` values in its row 0, for windows up to `longest`."""
    for level in range(1, window_levels(longest)):
        half = 1 << (level - 1)
        newer = pyramid[level - 1, 2 * half - 1 : size]
        older = pyramid[level - 1, half - 1 :]
        both = pyramid[level, 2 * half - 1 :]
        for i in range(newer.shape[0]):
            both[i] = (newer[i] + older[i]) * 0.5


@kernel
def combine_means(pyramid: FloatArray, length: int, newest: int, out: FloatArray) -> None:
    """Write the means of `length` values, the newest of the first of them in column `newest` of `pyramid`."""
    # Up to four pieces are joined in one pass: writing what is joined and reading it again costs more than joining.
    taken = length & -length
    start = pyramid[window_levels(taken) - 1, newest : newest + out.shape[0]]
    if taken == length:
        out[:] = start
        return
    level, share = _next_piece(length, taken)
    second = pyramid[level, newest - taken :]
    taken += 1 << level
    if taken == length:
        for i in range(out.shape[0]):
            out[i] = start[i] + (second[i] - start[i]) * share
        return
    level, third_share = _next_piece(length, taken)
    third = pyramid[level, newest - taken :]
    taken += 1 << level
    if taken == length:
        for i in range(out.shape[0]):
            mean = start[i] + (second[i] - start[i]) * share
            out[i] = mean + (third[i] - mean) * third_share
        return
    level, fourth_share = _next_piece(length, taken)
    fourth = pyramid[level, newest - taken :]
    taken += 1 << level
    for i in range(out.shape[0]):
        mean = start[i] + (second[i] - start[i]) * share
        mean += (third[i] - mean) * third_share
        out[i] = mean + (fourth[i] - mean) * fourth_share
    while taken < length:
        level, share = _next_piece(length, taken)
        piece = pyramid[level, newest - taken :]
        for i in range(out.shape[0]):
            out[i] += (piece[i] - out[i]) * share
        taken += 1 << level


@kernel
def _next_piece(length: int, taken: int) -> tuple[int, float]:
    """Return the level of the next longer piece of a window, and its share of all pieces up to it."""
    width = (length - taken) & -(length - taken)
    return window_levels(width) - 1, width / (taken + width)


def ratio_of_means(part: FloatArray, other: FloatArray, length: int, scale: float, when_zero: float) -> FloatArray:
    """Return `scale` times the mean of `part` over that of `other`, each of the last `length` values."""
    out = np.empty((1, len(part)))
    write_ratios_of_means(part, other, np.array([length]), scale, when_zero, False, out)
    return out[0]


@kernel
def write_ratios_of_means(
    part: FloatArray,
    other: FloatArray,
    lengths: IntArray,
    scale: float,
    when_zero: float,
    added: bool,
    out: FloatArray,
) -> None:
    """Do what `ratio_of_means` does for each length, to (lengths, bars) `out`; `when_zero` stands for part / 0.

    If `added`, the mean of `part` is taken over the sum of both means.
    """
    bars = part.shape[0]
    longest = _longest_within(lengths, bars)
    pyramids = np.empty((2, window_levels(longest), TILE + longest - 1))
    below = np.empty(TILE)
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        first = max(start - longest + 1, 0)
        pyramids[0, 0, : stop - first] = part[first:stop]
        pyramids[1, 0, : stop - first] = other[first:stop]
        grow_means(pyramids[0], stop - first, longest)
        grow_means(pyramids[1], stop - first, longest)
        for row in range(lengths.shape[0]):
            begin = min(max(lengths[row] - 1, start), stop)
            out[row, start:begin] = np.nan
            if begin == stop:
                continue
            above, denominator = out[row, begin:stop], below[: stop - begin]
            combine_means(pyramids[0], lengths[row], begin - first, above)
            combine_means(pyramids[1], lengths[row], begin - first, denominator)
            if added:
                for i in range(above.shape[0]):
                    denominator[i] = above[i] + denominator[i]
            for i in range(above.shape[0]):
                quotient = above[i] / denominator[i]
                above[i] = scale * (quotient if denominator[i] != 0.0 else when_zero + 0.0 * above[i])


def window_mean(values: FloatArray, length: int) -> FloatArray:
    """Return the mean of the last `length` values; NaN before the first full window."""
    return window_means(values, np.array([length]))[0]


def window_highest(values: FloatArray, length: int) -> FloatArray:
    """Return the highest of the last `length` values; NaN before the first full window."""
    out = np.empty((1, len(values)))
    write_window_extremes(values, np.array([length]), 1.0, out)
    return out[0]


def window_lowest(values: FloatArray, length: int) -> FloatArray:
    """Return the lowest of the last `length` values; NaN before the first full window."""
    out = np.empty((1, len(values)))
    write_window_extremes(values, np.array([length]), -1.0, out)
    return out[0]


@kernel
def write_window_extremes(values: FloatArray, lengths: IntArray, side: float, out: FloatArray) -> None:
    """Write the highest (side 1) or lowest (side -1) of the last values for each length to (lengths, values) `out`.

    The higher of two overlapping windows of a power of two; these come from each other and serve all lengths.
    """
    bars = values.shape[0]
    longest = _longest_within(lengths, bars)
    pyramid = np.empty((window_levels(longest), TILE + longest - 1))
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        first = max(start - longest + 1, 0)
        lowest_level = pyramid[0]
        for i in range(stop - first):
            lowest_level[i] = side * values[first + i]
        grow_extremes(pyramid, stop - first, longest)
        for row in range(lengths.shape[0]):
            warm_up = min(max(lengths[row] - 1 - start, 0), stop - start)
            out[row, start : start + warm_up] = np.nan
            if start + warm_up < stop:
                full = out[row, start + warm_up : stop]
                combine_extremes(pyramid, lengths[row], start + warm_up - first, side, full)


@kernel
def grow_extremes(pyramid: FloatArray, size: int, longest: int) -> None:
    """Do what `grow_means` does with the highest values."""
    for level in range(1, window_levels(longest)):
        half = 1 << (level - 1)
        _higher(
            pyramid[level - 1, 2 * half - 1 : size],
            pyramid[level - 1, half - 1 :],
            pyramid[level, 2 * half - 1 :],
        )


@kernel
def combine_extremes(pyramid: FloatArray, length: int, newest: int, side: float, out: FloatArray) -> None:
    """Do what `combine_means` does with the highest values, or with the lowest, whose row 0 holds them negated."""
    level = window_levels(length) - 1
    newer = pyramid[level, newest : newest + out.shape[0]]
    older = pyramid[level, newest - length + (1 << level) :]
    if side > 0.0:
        _higher(newer, older, out)
    else:
        for i in range(newer.shape[0]):
            a = newer[i]
            b = older[i]
            out[i] = -(a if a > b or a != a else b)


@kernel
def _higher(newer: FloatArray, older: FloatArray, out: FloatArray) -> None:
    for i in range(newer.shape[0]):
        a = newer[i]
        b = older[i]
        out[i] = a if a > b or a != a else b


def window_deviation(values: FloatArray, length: int) -> FloatArray:
    """Return the population standard deviation of the last `length` values; exactly 0 in a flat window."""
    out = np.empty((1, len(values)))
    write_window_deviations(values, np.array([length]), out)
    return out[0]


@kernel
def write_window_deviations(values: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    """Write the population standard deviation of the last values for each length to (lengths, values) `out`.

    As in `write_window_means`: two pieces' means and squared distances from them give those of both together (Chan,
    Golub & LeVeque 1983). Only what is not negative is added, so nothing cancels.
    """
    bars = values.shape[0]
    longest = _longest_within(lengths, bars)
    levels = window_levels(longest)
    means = np.empty((levels, TILE + longest - 1))
    squares = np.empty((levels, TILE + longest - 1))
    mean = np.empty(TILE)
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        first = max(start - longest + 1, 0)
        means[0, : stop - first] = values[first:stop]
        squares[0, : stop - first] = 0.0 * values[first:stop]
        grow_means(means, stop - first, longest)
        for level in range(1, levels):
            half = 1 << (level - 1)
            newer, older = 2 * half - 1, half - 1
            size = max(stop - first - newer, 0)
            _add_squares(
                means[level - 1, newer : newer + size],
                means[level - 1, older : older + size],
                squares[level - 1, newer : newer + size],
                squares[level - 1, older : older + size],
                half / 2.0,
                squares[level, newer : newer + size],
            )
        for row in range(lengths.shape[0]):
            length = lengths[row]
            begin = min(max(length - 1, start), stop)
            out[row, start:begin] = np.nan
            newest, size = begin - first, stop - begin
            if size == 0:
                continue
            taken = length & -length
            level = window_levels(taken) - 1
            total = out[row, begin:stop]
            total[:] = squares[level, newest : newest + size]
            mean[:size] = means[level, newest : newest + size]
            while taken < length:
                level, share = _next_piece(length, taken)
                older, width = newest - taken, 1 << level
                _join_piece(
                    mean[:size],
                    total,
                    means[level, older : older + size],
                    squares[level, older : older + size],
                    taken * width / (taken + width),
                    share,
                )
                taken += width
            for i in range(size):
                total[i] = np.sqrt(total[i] / length)


@kernel
def _add_squares(
    mean: FloatArray, other_mean: FloatArray, squares: FloatArray, others: FloatArray, pull: float, out: FloatArray
) -> None:
    for i in range(out.shape[0]):
        apart = other_mean[i] - mean[i]
        out[i] = (squares[i] + others[i]) + pull * apart * apart


@kernel
def _join_piece(
    mean: FloatArray, squares: FloatArray, other_mean: FloatArray, others: FloatArray, pull: float, share: float
) -> None:
    for i in range(mean.shape[0]):
        apart = other_mean[i] - mean[i]
        squares[i] = (squares[i] + others[i]) + pull * apart * apart
        mean[i] += apart * share


@kernel
def window_absolute_deviation(values: FloatArray, means: FloatArray, length: int) -> FloatArray:
    """Return the mean distance of the last `length` values from `means` at the newest bar."""
    bars = values.shape[0]
    out = np.full(bars, np.nan)
    for start in range(length - 1, bars, TILE):
        size = min(TILE, bars - start)
        mean = means[start : start + size]
        total = out[start : start + size]
        total[:] = 0.0
        for lag in range(length):
            older = values[start - lag : start - lag + size]
            for i in range(size):
                total[i] += abs(older[i] - mean[i])
        for i in range(size):
            total[i] /= length
    return out


@kernel
def window_weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the sum of `weights[lag] * values[t - lag]` for weights whose sum is 1."""
    bars = values.shape[0]
    length = weights.shape[0]
    out = np.full(bars, np.nan)
    for start in range(length - 1, bars, TILE):
        size = min(TILE, bars - start)
        newest = values[start : start + size]
        total = out[start : start + size]
        total[:] = 0.0
        for lag in range(1, length):
            older = values[start - lag : start - lag + size]
            weight = weights[lag]
            for i in range(size):
                total[i] += weight * (older[i] - newest[i])
        for i in range(size):
            total[i] += newest[i]
    return out


def window_volume_weighted_mean(prices: FloatArray, volumes: FloatArray, length: int) -> FloatArray:
    """Return the mean of `length` prices weighted by volume; without any volume all bars weigh the same."""
    out = np.empty((1, len(prices)))
    write_volume_weighted_means(prices, volumes, np.array([length]), out)
    return out[0]


@kernel
def write_volume_weighted_means(prices: FloatArray, volumes: FloatArray, lengths: IntArray, out: FloatArray) -> None:
    """Do what `window_volume_weighted_mean` does for each length, to (lengths, prices) `out`.

    The sums grow by one older bar at a time, so those of the longest window pass all shorter ones.
    """
    bars = prices.shape[0]
    longest = np.max(lengths)
    weighted = np.empty(TILE)
    plain = np.empty(TILE)
    volume = np.empty(TILE)
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        newest = prices[start : start + size]
        weighted[:size] = 0.0
        plain[:size] = 0.0
        volume[:size] = volumes[start : start + size]
        for lag in range(longest):
            begin = min(max(lag - start, 0), size)
            if lag > 0:
                older = prices[start + begin - lag : start + size - lag]
                weight = volumes[start + begin - lag : start + size - lag]
                for i in range(size - begin):
                    difference = older[i] - newest[begin + i]
                    plain[begin + i] += difference
                    weighted[begin + i] += difference * weight[i]
                    volume[begin + i] += weight[i]
            for row in range(lengths.shape[0]):
                if lengths[row] == lag + 1:
                    window = out[row, start : start + size]
                    window[:begin] = np.nan
                    for i in range(begin, size):
                        shift = plain[i] / (lag + 1) if volume[i] == 0.0 else weighted[i] / volume[i]
                        window[i] = newest[i] + shift


def lagged(values: FloatArray, bars: int) -> FloatArray:
    """Return at each bar the value `bars` earlier; NaN where there is none."""
    out = np.full_like(values, np.nan)
    out[bars:] = values[: max(len(values) - bars, 0)]
    return out


def change(values: FloatArray, bars: int = 1) -> FloatArray:
    """Return at each bar the difference to the value `bars` earlier; NaN where there is none."""
    return values - lagged(values, bars)


def direction(means: FloatArray) -> FloatArray:
    """Return 1, -1 or 0 as a mean of prices rose, fell or stayed since the bar before.

    The mean of three prices rounds, so equal means of different prices would seem to move. Four units in the
    last place cover that and are far below any tick.
    """
    move = change(means)
    return np.where(np.abs(move) <= 1e-15 * np.abs(means), 0.0, np.sign(move))


def ratio(numerator: FloatArray, denominator: FloatArray, when_zero: float) -> FloatArray:
    """Return numerator / denominator, and `when_zero` where the denominator is 0; NaN in either stays NaN."""
    out = np.empty_like(numerator)
    write_ratio(numerator.ravel(), denominator.ravel(), when_zero, out.ravel())
    return out


@kernel
def write_ratio(numerator: FloatArray, denominator: FloatArray, when_zero: float, out: FloatArray) -> None:
    """Do what `ratio` does, to `out`."""
    for i in range(numerator.shape[0]):
        if denominator[i] == 0.0:
            out[i] = when_zero + 0.0 * numerator[i]
        else:
            out[i] = numerator[i] / denominator[i]
