"""Ask the processor for memory before it is needed."""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.extending import intrinsic

_NAME = "llvm.prefetch.p0"


@intrinsic
def prefetch(typing_context: Any, array: Any, offset: Any) -> Any:  # noqa: ARG001
    """Start to load the element `offset` elements into a contiguous array; any offset is allowed, nothing is read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = builder.module.globals.get(_NAME)
        if function is None:
            signature_of_it = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
            function = ir.Function(builder.module, signature_of_it, _NAME)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        # For reading, into the first cache, data.
        builder.call(function, [address, *(ir.Constant(number, value) for value in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
