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
from alpharay.backtest.borrowed import borrowed
from alpharay.backtest.rules import CodeArray
from alpharay.indicators.kernel import kernel
from alpharay.indicators.smoothing import advance_tile
from alpharay.indicators.windows import combine_extremes, combine_means, grow_extremes, grow_means, window_levels
from alpharay.market.candles import FloatArray, IntArray

TILE_WORDS = 16
TILE_BARS = TILE_WORDS * WORD_BITS

PADDING = 8
"""Values between registers: a line of the cache, so that the same bars of two do not lie a power of two apart."""

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
    bits: int
    """Bit sets that its comparisons write."""


class TileMemory(NamedTuple):
    """What a program works in, and what it knows of the tiles before."""

    registers: FloatArray
    pyramid: FloatArray
    kept: FloatArray
    state: FloatArray
    valid: IntArray


@njit(cache=True, nogil=True)
def open_tiles(steps: Steps) -> TileMemory:
    """Return the memory of a program that has seen no tile."""
    rows, width = steps.registers + 2, steps.history + TILE_BARS + PADDING
    memory = np.empty(rows * width + PADDING)
    # Whole vectors of a register are then whole lines of the cache.
    first = -memory.ctypes.data % (PADDING * memory.itemsize) // memory.itemsize
    return TileMemory(
        memory[first : first + rows * width].reshape(rows, width),
        np.empty((window_levels(steps.longest), TILE_BARS + steps.longest)),
        np.full(steps.kept, np.nan),
        np.full(steps.averages, np.nan),
        np.zeros(steps.averages, dtype=np.int64),
    )


@njit(cache=True, nogil=True)
def run_tile(  # noqa: C901 - one dispatch
    values: FloatArray, bars: int, steps: Steps, memory: TileMemory, first_word: int, bits: WordArray, place: int
) -> None:
    """Run a program over the next tile of the columns of `values`; its comparisons go to `bits` from `place` on."""
    table, numbers, history = borrowed(steps.table), borrowed(steps.numbers), steps.history
    registers, pyramid, kept = borrowed(memory.registers), borrowed(memory.pyramid), borrowed(memory.kept)
    state, valid = borrowed(memory.state), borrowed(memory.valid)
    values, bits = borrowed(values), borrowed(bits)
    # Places in flat memory instead of slices: a slice counts a reference, which costs as much as many of its values.
    stored, work, width = values.reshape(-1), registers.reshape(-1), registers.shape[1]
    spare = steps.registers
    newest = 0
    count = min(TILE_WORDS, values.shape[1] // WORD_BITS - first_word)
    start, size = first_word * WORD_BITS, count * WORD_BITS
    step = 0
    while step < len(table):
        operation, target = table[step, OPERATION], table[step, TARGET]
        if operation == AVERAGE:
            last_step = step + table[step, FIRST]
            for member in range(step, last_step):
                if table[member, KEEP] > 0:
                    _recall(table, member, kept, work, width, history)
            inputs, begin = (values, start) if table[step, LEFT_KIND] == STORED else (registers, history)
            members = table[step:last_step]
            first, last = table[step, SECOND], table[step, SECOND] + len(members)
            real = min(size, bars - start)
            advance_tile(
                inputs, members[:, LEFT], begin, members[:, THIRD], numbers[step:last_step, 0],
                state[first:last], valid[first:last], registers, members[:, TARGET], history, real,
            )  # fmt: skip
            for member in range(step, last_step):
                if real < size:
                    registers[table[member, TARGET], history + real : history + size] = np.nan
                if table[member, KEEP] > 0:
                    _keep(table, member, kept, work, width, history + size)
            step = last_step
            continue
        if operation in (MEAN, HIGHEST, LOWEST):
            if table[step, KEEP] > 0:
                _recall(table, step, kept, work, width, history)
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
            if table[step, KEEP] > 0:
                _keep(table, step, kept, work, width, history + size)
            step += 1
            continue
        left_kind, left = _source(
            values, registers, spare, table[step, LEFT_KIND], table[step, LEFT], table[step, LEFT_LAG],
            numbers[step, 0], start, size, history,
        )  # fmt: skip
        to_number = table[step, RIGHT_KIND] == NUMBER
        right_kind, right = left_kind, left
        if not to_number:
            right_kind, right = _source(
                values, registers, spare + 1, table[step, RIGHT_KIND], table[step, RIGHT], table[step, RIGHT_LAG],
                0.0, start, size, history,
            )  # fmt: skip
        left_scale, right_scale, number = numbers[step, LEFT_SCALE], numbers[step, RIGHT_SCALE], numbers[step, 1]
        if operation == COMPARE:
            above, below, known = table[step, FIRST], table[step, SECOND], table[step, THIRD]
            if left_scale != 1.0:
                scaled = spare * width + history
                if left_kind == STORED:
                    _combine_with_number(MULTIPLY, stored, left, 1.0, left_scale, work, scaled, size)
                else:
                    _combine_with_number(MULTIPLY, work, left, 1.0, left_scale, work, scaled, size)
                left_kind, left = REGISTER, scaled
            if right_scale != 1.0:
                scaled = (spare + 1) * width + history
                if right_kind == STORED:
                    _combine_with_number(MULTIPLY, stored, right, 1.0, right_scale, work, scaled, size)
                else:
                    _combine_with_number(MULTIPLY, work, right, 1.0, right_scale, work, scaled, size)
                right_kind, right = REGISTER, scaled
            if to_number and left_kind == STORED:
                _compare_with_number(stored, left, number, above, below, known, bits, place, count)
            elif to_number:
                _compare_with_number(work, left, number, above, below, known, bits, place, count)
            elif left_kind == STORED and right_kind == STORED:
                _compare(stored, left, stored, right, above, below, known, bits, place, count)
            elif left_kind == STORED:
                _compare(stored, left, work, right, above, below, known, bits, place, count)
            elif right_kind == STORED:
                _compare(work, left, stored, right, above, below, known, bits, place, count)
            else:
                _compare(work, left, work, right, above, below, known, bits, place, count)
            step += 1
            continue
        if table[step, KEEP] > 0:
            _recall(table, step, kept, work, width, history)
        out_place = target * width + history
        if to_number and operation != SHARE and left_kind == STORED:
            _combine_with_number(operation, stored, left, left_scale, number, work, out_place, size)
        elif to_number and operation != SHARE:
            _combine_with_number(operation, work, left, left_scale, number, work, out_place, size)
        elif left_kind == STORED and right_kind == STORED:
            _combine(operation, stored, left, left_scale, stored, right, right_scale, number, work, out_place, size)
        elif left_kind == STORED:
            _combine(operation, stored, left, left_scale, work, right, right_scale, number, work, out_place, size)
        elif right_kind == STORED:
            _combine(operation, work, left, left_scale, stored, right, right_scale, number, work, out_place, size)
        else:
            _combine(operation, work, left, left_scale, work, right, right_scale, number, work, out_place, size)
        if table[step, KEEP] > 0:
            _keep(table, step, kept, work, width, history + size)
        step += 1


@njit(cache=True, nogil=True, inline="always")
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
) -> tuple[int, int]:
    """Return where a source begins on the bars from `start`, STORED or REGISTER and its place in that memory.

    What is not stored like that is written to a spare register: rare, so by a function of its own. A slice here would
    count references for all.
    """
    if kind == REGISTER:
        return REGISTER, place * registers.shape[1] + history - lag
    if kind == STORED and start >= lag:
        return STORED, place * values.shape[1] + start - lag
    _write_source(values, registers, spare, kind, place, lag, number, start, size, history)
    return REGISTER, spare * registers.shape[1] + history


@njit(cache=True, nogil=True)
def _write_source(
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
) -> None:
    """Write one number, or a column from before its first bar on, to a spare register."""
    out = registers[spare, history : history + size]
    if kind == STORED:
        missing = min(lag - start, size)
        out[:missing] = np.nan
        out[missing:] = values[place, : size - missing]
    else:
        out[:] = number


@njit(cache=True, nogil=True, inline="always")
def _recall(table: CodeArray, step: int, kept: FloatArray, work: FloatArray, width: int, history: int) -> None:
    # Loops: assigning a slice costs more than the few values.
    keep, first = table[step, KEEP], table[step, KEPT]
    place = table[step, TARGET] * width + history - keep
    for index in range(keep):
        work[np.uint64(place + index)] = kept[np.uint64(first + index)]


@njit(cache=True, nogil=True, inline="always")
def _keep(table: CodeArray, step: int, kept: FloatArray, work: FloatArray, width: int, end: int) -> None:
    keep, first = table[step, KEEP], table[step, KEPT]
    place = table[step, TARGET] * width + end - keep
    for index in range(keep):
        kept[np.uint64(first + index)] = work[np.uint64(place + index)]


@kernel
def _compare(
    left: FloatArray,
    left_place: int,
    right: FloatArray,
    right_place: int,
    above: int,
    below: int,
    known: int,
    bits: WordArray,
    place: int,
    count: int,
) -> None:
    """Compare `count` words of bars, to the rows of bits that are asked for, from `place` on."""
    if above >= 0 and below >= 0:
        for word in range(count):
            i, j = left_place + word * WORD_BITS, right_place + word * WORD_BITS
            # Both before either is written: each value is read once.
            higher, lower = above_word(left, i, right, j), below_word(left, i, right, j)
            bits[above, place + word], bits[below, place + word] = higher, lower
    elif above >= 0:
        for word in range(count):
            bits[above, place + word] = above_word(
                left, left_place + word * WORD_BITS, right, right_place + word * WORD_BITS
            )
    elif below >= 0:
        for word in range(count):
            bits[below, place + word] = below_word(
                left, left_place + word * WORD_BITS, right, right_place + word * WORD_BITS
            )
    if known >= 0:
        for word in range(count):
            bits[known, place + word] = known_word(
                left, left_place + word * WORD_BITS, right, right_place + word * WORD_BITS
            )


@kernel
def _compare_with_number(
    left: FloatArray,
    left_place: int,
    level: float,
    above: int,
    below: int,
    known: int,
    bits: WordArray,
    place: int,
    count: int,
) -> None:
    if above >= 0:
        for word in range(count):
            bits[above, place + word] = above_level_word(left, left_place + word * WORD_BITS, level)
    if below >= 0:
        for word in range(count):
            bits[below, place + word] = below_level_word(left, left_place + word * WORD_BITS, level)
    if known >= 0:
        for word in range(count):
            i = left_place + word * WORD_BITS
            bits[known, place + word] = known_word(left, i, left, i)


@kernel
def _combine(
    operation: int,
    left: FloatArray,
    left_place: int,
    left_scale: float,
    right: FloatArray,
    right_place: int,
    right_scale: float,
    when_zero: float,
    out: FloatArray,
    place: int,
    size: int,
) -> None:
    # A scale of one changes no bit. Slices tell the compiler that no index is negative: only then it makes vectors.
    lefts, rights = left[left_place : left_place + size], right[right_place : right_place + size]
    results = out[place : place + size]
    if operation == ADD:
        for i in range(results.shape[0]):
            results[i] = lefts[i] * left_scale + rights[i] * right_scale
    elif operation == SUBTRACT:
        for i in range(results.shape[0]):
            results[i] = lefts[i] * left_scale - rights[i] * right_scale
    elif operation == MULTIPLY:
        for i in range(results.shape[0]):
            results[i] = (lefts[i] * left_scale) * (rights[i] * right_scale)
    elif operation == DIVIDE:
        for i in range(results.shape[0]):
            divisor = rights[i] * right_scale
            results[i] = lefts[i] * left_scale / (divisor if divisor != 0.0 else np.nan)
    else:
        for i in range(results.shape[0]):
            part, whole = lefts[i], rights[i]
            results[i] = part / whole if whole != 0.0 else when_zero + 0.0 * part


@kernel
def _combine_with_number(
    operation: int,
    left: FloatArray,
    left_place: int,
    scale: float,
    number: float,
    out: FloatArray,
    place: int,
    size: int,
) -> None:
    lefts, results = left[left_place : left_place + size], out[place : place + size]
    if operation == ADD:
        for i in range(results.shape[0]):
            results[i] = lefts[i] * scale + number
    elif operation == SUBTRACT:
        for i in range(results.shape[0]):
            results[i] = lefts[i] * scale - number
    elif operation == MULTIPLY:
        for i in range(results.shape[0]):
            results[i] = lefts[i] * scale * number
    else:
        divisor = number if number != 0.0 else np.nan
        for i in range(results.shape[0]):
            results[i] = lefts[i] * scale / divisor


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
