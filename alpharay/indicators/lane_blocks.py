"""A step of an exponential average, and eight averages through eight bars at once, in vector registers."""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
"""Chains that advance together, and the bars of a block."""

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


def _followed(builder: Any, average: Any, factor: Any, value: Any) -> Any:
    """Return average + factor * (value - average), of numbers or of vectors: the product is not rounded.

    That takes a third off the time that each value waits for the one before.
    """
    kind = average.type
    name = f"llvm.fma.{'v8f64' if isinstance(kind, ir.VectorType) else 'f64'}"
    multiply_add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(multiply_add, [factor, builder.fsub(value, average), average])


@intrinsic
def follow(typing_context: Any, average: Any, factor: Any, value: Any) -> Any:  # noqa: ARG001
    """Return average + factor * (value - average), rounded only twice: the same bits as in `advance_block`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return _followed(builder, *arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of as many vectors as they have elements: blocks of 1, 2, 4 … elements change places."""
    width = 1
    while width < LANES:
        of_both = [range(LANES), range(LANES, 2 * LANES)]
        low = [of_both[1][place - width] if place & width else place for place in range(LANES)]
        high = [of_both[1][place] if place & width else place + width for place in range(LANES)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), mask) for mask in (low, high)]
        swapped = list(rows)
        for row in range(LANES):
            if not row & width:
                pair = rows[row], rows[row + width]
                swapped[row], swapped[row + width] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        rows, width = swapped, 2 * width
    return rows


@intrinsic
def advance_block(
    typing_context: Any,  # noqa: ARG001
    values: Any,
    places: Any,
    factors: Any,
    state: Any,
    out: Any,
    out_places: Any,
    bar: Any,  # noqa: ARG001
) -> Any:
    """Do `y = follow(y, factor, value)` for eight lanes on the eight bars from `bar` on.

    Lane i reads `values` and writes `out` from its place in their memory on, which must be of one piece; `places`,
    `factors`, `state` and `out_places` hold eight each, and `state` gets the last values.
    """
    arrays = (values, places, factors, state, out, out_places)
    if any(array.layout != "C" for array in arrays):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = [
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:-1], arguments[:-1], strict=True)
        ]
        bar = arguments[-1]

        def vector_at(memory: Any, place: Any) -> Any:
            return builder.bitcast(builder.gep(memory, [place]), ir.PointerType(_VECTOR))

        def row_at(memory: Any, places: Any, lane: int) -> Any:
            place = builder.load(builder.gep(places, [ir.Constant(bar.type, lane)]))
            return vector_at(memory, builder.add(place, bar))

        memory, places, factors, state, out, out_places = data
        first = ir.Constant(bar.type, 0)
        rows = [builder.load(row_at(memory, places, lane), align=8) for lane in range(LANES)]
        factor = builder.load(vector_at(factors, first), align=8)
        average = builder.load(vector_at(state, first), align=8)
        averages = []
        for value in _transposed(builder, rows):
            average = _followed(builder, average, factor, value)
            averages.append(average)
        builder.store(average, vector_at(state, first), align=8)
        for lane, row in enumerate(_transposed(builder, averages)):
            builder.store(row, row_at(out, out_places, lane), align=8)
        return context.get_dummy_value()

    return types.void(*arrays, types.intp), generate
