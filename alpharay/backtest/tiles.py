"""What rules compare, worked out a tile of bars at a time, right where it is compared and never stored whole.

A tile's steps read stored columns and the results of earlier steps, which lie in registers that stay in the cache.
What a step must know of the tile before, the state of an average or the last values of a window, is kept from tile to
tile. Every value has the bits of the column that would be stored: the arithmetic is the indicators' own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from alpharay.backtest.bits import (
    WORD_BITS,
    WordArray,
    above_level_word,
    above_word,
    below_level_word,
    below_word,
    known_word,
)
from alpharay.backtest.rules import CodeArray
from alpharay.indicators.kernel import kernel
from alpharay.indicators.smoothing import advance_tile
from alpharay.indicators.windows import combine_extremes, combine_means, grow_extremes, grow_means, window_levels
from alpharay.market.candles import FloatArray, IntArray

TILE_WORDS = 16
TILE_BARS = TILE_WORDS * WORD_BITS

ADD, SUBTRACT, MULTIPLY, DIVIDE, SHARE, AVERAGE, MEAN, HIGHEST, LOWEST, COMPARE = range(10)
"""What a step does."""

STORED, REGISTER, NUMBER = range(3)
"""Where a step reads: a column of the slab, a register, or one number for all bars."""

OPERATION, TARGET = 0, 1
LEFT_KIND, LEFT, LEFT_LAG = 2, 3, 4
RIGHT_KIND, RIGHT, RIGHT_LAG = 5, 6, 7
FIRST, SECOND, THIRD = 8, 9, 10
KEPT, KEEP = 11, 12
FIELDS = 13
"""The fields of a step. Kinds, places and lags of its two sources; KEPT and KEEP say where and how many of its last
values wait for the next tile. The others depend on the operation:

AVERAGE: how many averages from this step on advance together, place of the state, length; the factor is a number.
MEAN, HIGHEST, LOWEST: length, and the longest of the windows of this source if it is the first of them, else 0.
COMPARE: rows of the bits "above", "below" and "both are numbers"; -1 where nobody asks.
"""


class Steps(NamedTuple):
    """A program over all bars."""

    table: CodeArray
    """(steps, FIELDS)."""
    numbers: FloatArray
    """(steps, 2): the sources that are numbers; the factor of an average; what a share of nothing counts as."""
    registers: int
    history: int
    """Values of the tiles before that a register holds at most."""
    kept: int
    """Numbers kept from tile to tile."""
    averages: int
    longest: int
    """The longest window."""


@njit(cache=True, nogil=True)
def run_steps(values: FloatArray, bars: int, steps: Steps, bits: WordArray) -> None:  # noqa: C901 - one dispatch
    """Run a program over the columns of `values` and write the bit sets of its comparisons."""
    table, numbers, history = steps.table, steps.numbers, steps.history
    words = bits.shape[1]
    registers = np.empty((steps.registers, history + TILE_BARS))
    spare = np.empty((2, TILE_BARS))
    pyramid = np.empty((window_levels(steps.longest), TILE_BARS + steps.longest))
    kept = np.full(steps.kept, np.nan)
    state = np.full(steps.averages, np.nan)
    valid = np.zeros(steps.averages, dtype=np.int64)
    newest = 0
    for first_word in range(0, words, TILE_WORDS):
        count = min(TILE_WORDS, words - first_word)
        start, size = first_word * 64, count * 64
        step = 0
        while step < len(table):
            line = table[step]
            operation = line[OPERATION]
            if operation == AVERAGE:
                together = line[FIRST]
                for place in range(step, step + together):
                    _recall(table[place], kept, registers, history)
                inputs, begin = (values, start) if line[LEFT_KIND] == STORED else (registers, history)
                members = table[step : step + together]
                first, last = line[SECOND], line[SECOND] + together
                advance_tile(
                    inputs, members[:, LEFT], begin, members[:, THIRD], numbers[step : step + together, 0],
                    state[first:last], valid[first:last], registers, members[:, TARGET], history,
                    min(size, bars - start),
                )  # fmt: skip
                for place in range(step, step + together):
                    registers[table[place, TARGET], history + min(size, bars - start) : history + size] = np.nan
                    _keep(table[place], kept, registers, history, size)
                step += together
                continue
            if operation in (MEAN, HIGHEST, LOWEST):
                _recall(line, kept, registers, history)
                out = registers[line[TARGET], history : history + size]
                if line[SECOND] > 0:
                    newest = line[SECOND] - 1
                    if line[LEFT_KIND] == STORED:
                        _open_window(values[line[LEFT]], start, size, newest, pyramid)
                    else:
                        _open_window(registers[line[LEFT]], history, size, newest, pyramid)
                    if operation == MEAN:
                        grow_means(pyramid, newest + size, line[SECOND])
                    else:
                        if operation == LOWEST:
                            _negate(pyramid[0, : newest + size])
                        grow_extremes(pyramid, newest + size, line[SECOND])
                if operation == MEAN:
                    combine_means(pyramid, line[FIRST], newest, out)
                else:
                    combine_extremes(pyramid, line[FIRST], newest, 1.0 if operation == HIGHEST else -1.0, out)
                _keep(line, kept, registers, history, size)
                step += 1
                continue
            left = _source(values, registers, spare[0], line[LEFT_KIND], line[LEFT], line[LEFT_LAG], numbers[step, 0],
                           start, size, history)  # fmt: skip
            if operation == COMPARE:
                above, below, known = line[FIRST], line[SECOND], line[THIRD]
                if line[RIGHT_KIND] == NUMBER:
                    level = numbers[step, 1]
                    if above >= 0:
                        for word in range(count):
                            bits[above, first_word + word] = above_level_word(left, level, word * 64)
                    if below >= 0:
                        for word in range(count):
                            bits[below, first_word + word] = below_level_word(left, level, word * 64)
                    if known >= 0:
                        for word in range(count):
                            bits[known, first_word + word] = known_word(left, left, word * 64)
                else:
                    right = _source(values, registers, spare[1], line[RIGHT_KIND], line[RIGHT], line[RIGHT_LAG], 0.0,
                                    start, size, history)  # fmt: skip
                    if above >= 0:
                        for word in range(count):
                            bits[above, first_word + word] = above_word(left, right, word * 64)
                    if below >= 0:
                        for word in range(count):
                            bits[below, first_word + word] = below_word(left, right, word * 64)
                    if known >= 0:
                        for word in range(count):
                            bits[known, first_word + word] = known_word(left, right, word * 64)
                step += 1
                continue
            _recall(line, kept, registers, history)
            out = registers[line[TARGET], history : history + size]
            if line[RIGHT_KIND] == NUMBER:
                _combine_with_number(operation, left, numbers[step, 1], out)
            else:
                right = _source(values, registers, spare[1], line[RIGHT_KIND], line[RIGHT], line[RIGHT_LAG], 0.0,
                                start, size, history)  # fmt: skip
                if operation == SHARE:
                    _share(left, right, numbers[step, 1], out)
                else:
                    _combine(operation, left, right, out)
            _keep(line, kept, registers, history, size)
            step += 1


@njit(cache=True, nogil=True)
def _source(
    values: FloatArray,
    registers: FloatArray,
    spare: FloatArray,
    kind: int,
    place: int,
    lag: int,
    number: float,
    start: int,
    size: int,
    history: int,
) -> FloatArray:
    """Return a source on the bars from `start`: a view, or `spare` where it is not stored like that."""
    if kind == REGISTER:
        return registers[place, history - lag : history - lag + size]
    if kind == STORED:
        if start >= lag:
            return values[place, start - lag : start - lag + size]
        missing = min(lag - start, size)
        spare[:missing] = np.nan
        spare[missing:size] = values[place, : size - missing]
        return spare[:size]
    spare[:size] = number
    return spare[:size]


@njit(cache=True, nogil=True)
def _recall(line: IntArray, kept: FloatArray, registers: FloatArray, history: int) -> None:
    keep = line[KEEP]
    if keep > 0:
        registers[line[TARGET], history - keep : history] = kept[line[KEPT] : line[KEPT] + keep]


@njit(cache=True, nogil=True)
def _keep(line: IntArray, kept: FloatArray, registers: FloatArray, history: int, size: int) -> None:
    keep = line[KEEP]
    if keep > 0:
        kept[line[KEPT] : line[KEPT] + keep] = registers[line[TARGET], history + size - keep : history + size]


@kernel
def _combine(operation: int, left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    if operation == ADD:
        for i in range(out.shape[0]):
            out[i] = left[i] + right[i]
    elif operation == SUBTRACT:
        for i in range(out.shape[0]):
            out[i] = left[i] - right[i]
    elif operation == MULTIPLY:
        for i in range(out.shape[0]):
            out[i] = left[i] * right[i]
    else:
        for i in range(out.shape[0]):
            out[i] = left[i] / (right[i] if right[i] != 0.0 else np.nan)


@kernel
def _combine_with_number(operation: int, left: FloatArray, number: float, out: FloatArray) -> None:
    if operation == ADD:
        for i in range(out.shape[0]):
            out[i] = left[i] + number
    elif operation == SUBTRACT:
        for i in range(out.shape[0]):
            out[i] = left[i] - number
    elif operation == MULTIPLY:
        for i in range(out.shape[0]):
            out[i] = left[i] * number
    else:
        divisor = number if number != 0.0 else np.nan
        for i in range(out.shape[0]):
            out[i] = left[i] / divisor


@kernel
def _share(part: FloatArray, whole: FloatArray, when_zero: float, out: FloatArray) -> None:
    for i in range(out.shape[0]):
        out[i] = part[i] / whole[i] if whole[i] != 0.0 else when_zero + 0.0 * part[i]


@kernel
def _negate(values: FloatArray) -> None:
    for i in range(values.shape[0]):
        values[i] = -values[i]


@kernel
def _open_window(row: FloatArray, begin: int, size: int, before: int, pyramid: FloatArray) -> None:
    """Write the `size` values from `begin` and those `before` them; there are none before the first."""
    missing = max(before - begin, 0)
    pyramid[0, :missing] = np.nan
    pyramid[0, missing : before + size] = row[begin - before + missing : begin + size]
