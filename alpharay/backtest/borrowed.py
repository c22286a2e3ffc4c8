"""Arrays that the compiled code reads and writes without counting references."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def borrowed(typing_context: Any, array: Any) -> Any:  # noqa: ARG001
    """Return a view of an array that keeps nothing alive: whoever takes it must hold the array itself meanwhile.

    A slice of an array counts a reference, and so does an array that is handed to a function: as much as many of its
    values cost. Views of a view like this count none.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        for field in ("meminfo", "parent"):
            setattr(view, field, cgutils.get_null_value(getattr(view, field).type))
        return view._getvalue()  # noqa: SLF001

    if not isinstance(array, types.Array):
        return None
    return array(array), generate
