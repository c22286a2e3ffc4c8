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
from alpharay.market.candles import FloatArray

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
LEFT_SCALE, RIGHT_SCALE = 2, 3
NUMBERS = 4
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
    """(steps, 4): the sources that are numbers, or the factor of an average first, or what a share of nothing counts as
    second; then what each source is multiplied with."""
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
    registers = np.empty((steps.registers + 2, history + TILE_BARS))
    spare = steps.registers
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
            operation, target = table[step, OPERATION], table[step, TARGET]
            if operation == AVERAGE:
                last_step = step + table[step, FIRST]
                for place in range(step, last_step):
                    _recall(table, place, kept, registers, history)
                inputs, begin = (values, start) if table[step, LEFT_KIND] == STORED else (registers, history)
                members = table[step:last_step]
                first, last = table[step, SECOND], table[step, SECOND] + len(members)
                real = min(size, bars - start)
                advance_tile(
                    inputs, members[:, LEFT], begin, members[:, THIRD], numbers[step:last_step, 0],
                    state[first:last], valid[first:last], registers, members[:, TARGET], history, real,
                )  # fmt: skip
                for place in range(step, last_step):
                    registers[table[place, TARGET], history + real : history + size] = np.nan
                    _keep(table, place, kept, registers, history, size)
                step = last_step
                continue
            if operation in (MEAN, HIGHEST, LOWEST):
                _recall(table, step, kept, registers, history)
                out = registers[target, history : history + size]
                longest = table[step, SECOND]
                if longest > 0:
                    newest = longest - 1
                    if table[step, LEFT_KIND] == STORED:
                        _open_window(values[table[step, LEFT]], start, size, newest, pyramid)
                    else:
                        _open_window(registers[table[step, LEFT]], history, size, newest, pyramid)
                    if operation == MEAN:
                        grow_means(pyramid, newest + size, longest)
                    else:
                        if operation == LOWEST:
                            _negate(pyramid[0, : newest + size])
                        grow_extremes(pyramid, newest + size, longest)
                if operation == MEAN:
                    combine_means(pyramid, table[step, FIRST], newest, out)
                else:
                    side = 1.0 if operation == HIGHEST else -1.0
                    combine_extremes(pyramid, table[step, FIRST], newest, side, out)
                _keep(table, step, kept, registers, history, size)
                step += 1
                continue
            left = _source(
                values, registers, spare, table[step, LEFT_KIND], table[step, LEFT], table[step, LEFT_LAG],
                numbers[step, 0], start, size, history,
            )  # fmt: skip
            to_number = table[step, RIGHT_KIND] == NUMBER
            if to_number:
                right = left
            else:
                right = _source(
                    values, registers, spare + 1, table[step, RIGHT_KIND], table[step, RIGHT], table[step, RIGHT_LAG],
                    0.0, start, size, history,
                )  # fmt: skip
            if operation != COMPARE:
                if table[step, KEEP] > 0:
                    _recall(table, step, kept, registers, history)
                out = registers[target, history : history + size]
                if operation == SHARE:
                    _share(left, right, numbers[step, 1], out)
                elif to_number:
                    _combine_with_number(operation, left, numbers[step, LEFT_SCALE], numbers[step, 1], out)
                else:
                    _combine(operation, left, numbers[step, LEFT_SCALE], right, numbers[step, RIGHT_SCALE], out)
                if table[step, KEEP] > 0:
                    _keep(table, step, kept, registers, history, size)
                step += 1
                continue
            if numbers[step, LEFT_SCALE] != 1.0:
                scaled = registers[spare, history : history + size]
                _combine_with_number(MULTIPLY, left, 1.0, numbers[step, LEFT_SCALE], scaled)
                left = scaled
            if numbers[step, RIGHT_SCALE] != 1.0:
                scaled = registers[spare + 1, history : history + size]
                _combine_with_number(MULTIPLY, right, 1.0, numbers[step, RIGHT_SCALE], scaled)
                right = scaled
            above, below, known = table[step, FIRST], table[step, SECOND], table[step, THIRD]
            level = numbers[step, 1]
            if above >= 0 and to_number:
                for word in range(count):
                    bits[above, first_word + word] = above_level_word(left, level, word * 64)
            elif above >= 0:
                for word in range(count):
                    bits[above, first_word + word] = above_word(left, right, word * 64)
            if below >= 0 and to_number:
                for word in range(count):
                    bits[below, first_word + word] = below_level_word(left, level, word * 64)
            elif below >= 0:
                for word in range(count):
                    bits[below, first_word + word] = below_word(left, right, word * 64)
            if known >= 0:
                for word in range(count):
                    bits[known, first_word + word] = known_word(left, right, word * 64)
            step += 1


@njit(cache=True, nogil=True)
def _source(
    values: FloatArray,
    registers: FloatArray,
    spare: int,
    kind: int,
    place: int,
    lag: int,
    number: float,
    start: int,
    size: int,
    history: int,
) -> FloatArray:
    """Return a source on the bars from `start`: a view, or a spare register where it is not stored like that."""
    if kind == REGISTER:
        return registers[place, history - lag : history - lag + size]
    if kind == STORED and start >= lag:
        return values[place, start - lag : start - lag + size]
    out = registers[spare, history : history + size]
    if kind == STORED:
        missing = min(lag - start, size)
        out[:missing] = np.nan
        out[missing:] = values[place, : size - missing]
    else:
        out[:] = number
    return out


@njit(cache=True, nogil=True)
def _recall(table: CodeArray, step: int, kept: FloatArray, registers: FloatArray, history: int) -> None:
    keep, first = table[step, KEEP], table[step, KEPT]
    if keep > 0:
        registers[table[step, TARGET], history - keep : history] = kept[first : first + keep]


@njit(cache=True, nogil=True)
def _keep(table: CodeArray, step: int, kept: FloatArray, registers: FloatArray, history: int, size: int) -> None:
    keep, first = table[step, KEEP], table[step, KEPT]
    if keep > 0:
        end = history + size
        kept[first : first + keep] = registers[table[step, TARGET], end - keep : end]


@kernel
def _combine(
    operation: int, left: FloatArray, left_scale: float, right: FloatArray, right_scale: float, out: FloatArray
) -> None:
    # A scale of one changes no bit.
    if operation == ADD:
        for i in range(out.shape[0]):
            out[i] = left[i] * left_scale + right[i] * right_scale
    elif operation == SUBTRACT:
        for i in range(out.shape[0]):
            out[i] = left[i] * left_scale - right[i] * right_scale
    elif operation == MULTIPLY:
        for i in range(out.shape[0]):
            out[i] = (left[i] * left_scale) * (right[i] * right_scale)
    else:
        for i in range(out.shape[0]):
            divisor = right[i] * right_scale
            out[i] = left[i] * left_scale / (divisor if divisor != 0.0 else np.nan)


@kernel
def _combine_with_number(operation: int, left: FloatArray, scale: float, number: float, out: FloatArray) -> None:
    if operation == ADD:
        for i in range(out.shape[0]):
            out[i] = left[i] * scale + number
    elif operation == SUBTRACT:
        for i in range(out.shape[0]):
            out[i] = left[i] * scale - number
    elif operation == MULTIPLY:
        for i in range(out.shape[0]):
            out[i] = left[i] * scale * number
    else:
        divisor = number if number != 0.0 else np.nan
        for i in range(out.shape[0]):
            out[i] = left[i] * scale / divisor


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
