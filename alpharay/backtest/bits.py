"""Flags as bit sets, 64 bars a word, least significant bit first: comparing, and walking from set bit to set bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

WordArray = npt.NDArray[np.uint64]

WORD_BITS = 64


def word_count(bars: int) -> int:
    """Return how many words hold one flag for each bar."""
    return (bars + WORD_BITS - 1) // WORD_BITS


def pack(flags: npt.NDArray[np.bool_]) -> WordArray:
    """Return boolean flags as words; the bits past the last bar are zero."""
    padded = np.zeros(word_count(len(flags)) * WORD_BITS, dtype=np.uint8)
    padded[: len(flags)] = flags
    return np.packbits(padded, bitorder="little").view(np.uint64)


def unpack(words: WordArray, bars: int) -> npt.NDArray[np.bool_]:
    """Return the first `bars` flags of `words`."""
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:bars].astype(np.bool_)


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:  # noqa: ARG001
    """Return the index of the lowest set bit of a word; 64 when none is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@intrinsic
def leading_zeros(typing_context: Any, word: Any) -> Any:  # noqa: ARG001
    """Return the number of zero bits above the highest set bit of a word; 64 when none is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@intrinsic
def set_bits(typing_context: Any, word: Any) -> Any:  # noqa: ARG001
    """Return how many bits of a word are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _vector_at(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Load 64 doubles that start at `index` as one vector; the compiler splits it into the machine's registers."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(ir.DoubleType(), WORD_BITS)
    pointer = builder.bitcast(builder.gep(data, [index]), ir.PointerType(vector))
    return builder.load(pointer, align=8)


def _comparison(operator: str, *, level: bool) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = _vector_at(context, builder, signature.args[0], arguments[0], arguments[1])
        if level:
            vector = ir.VectorType(ir.DoubleType(), WORD_BITS)
            lane = builder.insert_element(
                ir.Constant(vector, ir.Undefined), arguments[2], ir.Constant(ir.IntType(32), 0)
            )
            everywhere = ir.Constant(ir.VectorType(ir.IntType(32), WORD_BITS), [0] * WORD_BITS)
            right = builder.shuffle_vector(lane, ir.Constant(vector, ir.Undefined), everywhere)
        else:
            right = _vector_at(context, builder, signature.args[2], arguments[2], arguments[3])
        return builder.bitcast(builder.fcmp_ordered(operator, left, right), ir.IntType(WORD_BITS))

    return generate


@intrinsic
def above_word(typing_context: Any, left: Any, place: Any, right: Any, right_place: Any) -> Any:  # noqa: ARG001
    """Return the word of left > right for the 64 bars from a place in each; a comparison with NaN is false."""
    return types.uint64(left, types.intp, right, types.intp), _comparison(">", level=False)


@intrinsic
def below_word(typing_context: Any, left: Any, place: Any, right: Any, right_place: Any) -> Any:  # noqa: ARG001
    """Return the word of left < right for the 64 bars from a place in each; a comparison with NaN is false."""
    return types.uint64(left, types.intp, right, types.intp), _comparison("<", level=False)


@intrinsic
def known_word(typing_context: Any, left: Any, place: Any, right: Any, right_place: Any) -> Any:  # noqa: ARG001
    """Return the word of the 64 bars from a place in each on which both are numbers."""
    return types.uint64(left, types.intp, right, types.intp), _comparison("ord", level=False)


@intrinsic
def above_level_word(typing_context: Any, column: Any, place: Any, level: Any) -> Any:  # noqa: ARG001
    """Return the word of column > level for the 64 bars from `place`; a comparison with NaN is false."""
    return types.uint64(column, types.intp, types.float64), _comparison(">", level=True)


@intrinsic
def below_level_word(typing_context: Any, column: Any, place: Any, level: Any) -> Any:  # noqa: ARG001
    """Return the word of column < level for the 64 bars from `place`; a comparison with NaN is false."""
    return types.uint64(column, types.intp, types.float64), _comparison("<", level=True)


@njit(cache=True)
def next_set_bit(words: WordArray, start: int, bars: int) -> int:
    """Return the first bar at or after `start` whose bit is set; `bars` when there is none."""
    if start >= bars:
        return bars
    index = start >> 6
    word = words[index] >> np.uint64(start & 63)
    if word != 0:
        return min(start + int(trailing_zeros(word)), bars)
    index += 1
    while index < len(words):
        if words[index] != 0:
            return min(index * 64 + int(trailing_zeros(words[index])), bars)
        index += 1
    return bars
