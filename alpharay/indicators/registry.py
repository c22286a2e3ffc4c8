"""The register of indicators: what each needs, how long it warms up, and whether its start matters."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, ParamSpec

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import VALUE_COLUMNS, FloatArray, IntArray

Memory = Literal["window", "recursive"]
Arguments = ParamSpec("Arguments")

LONGEST_WINDOW = 10_000_000
"""Whole-number parameters end here: nineteen years of minutes, and tables of weights still fit in memory."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """One registered indicator.

    `function(*inputs, *parameters)` takes float arrays of equal length and numbers, and returns a new float
    array of that length, NaN where it is not defined. `inputs` names the candle columns used unless the
    caller gives others.
    """

    name: str
    function: Callable[..., FloatArray]
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    integer_parameters: frozenset[str]
    warm_up: Callable[..., int]
    """Parameters -> number of leading bars without a value."""
    memory: Memory
    """`window`: the same bits from any earlier start. `recursive`: depends on its first bar by definition."""
    batch: Callable[..., FloatArray] | None = None
    """Many parameter sets in one pass, where that is quicker: `batch(*inputs, parameters, out=None)` takes floats
    of shape (sets, parameters) and writes and returns shape (sets, bars), each row the same bits as `function`
    gives."""
    takes_rows: bool = False
    """Whether the inputs of `batch` may have a row for each set, too: shape (sets, bars)."""

    def __call__(self, *arguments: FloatArray | float) -> FloatArray:
        """Compute the indicator."""
        return self.function(*arguments)


INDICATORS: dict[str, Indicator] = {}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two indicators of the same inputs and parameters that one pass works out, where a population needs both."""

    names: tuple[str, str]
    batch: Callable[..., None]
    """`batch(*inputs, parameters, first_out, second_out)` writes the rows that `Indicator.batch` of each would."""


PAIRS: dict[str, Pair] = {}
"""The pair of each indicator that belongs to one."""


def pair_of(first: str, second: str, batch: Callable[..., None]) -> None:
    """Register a `Pair` of registered indicators."""
    PAIRS[first] = PAIRS[second] = Pair((first, second), batch)


def indicator(
    *,
    inputs: tuple[str, ...],
    warm_up: Callable[..., int],
    memory: Memory = "window",
    batch: Callable[..., None] | None = None,
    takes_rows: bool = False,
) -> Callable[[Callable[Arguments, FloatArray]], Callable[Arguments, FloatArray]]:
    """Register a function as an indicator under its own name; first come its inputs, then its parameters.

    A parameter annotated `int` takes whole numbers from 1 to `LONGEST_WINDOW`, also as floats. The function receives
    contiguous float arrays of equal length and checked parameters; what does not fit raises ValueError.
    `batch(*inputs, parameters, out)` writes the rows of many parameter sets to `out`: see `Indicator.batch`.
    """
    unknown = [name for name in inputs if name not in VALUE_COLUMNS]
    if unknown:
        raise ValueError(f"inputs must be candle columns {VALUE_COLUMNS}, was {unknown}")

    def register(function: Callable[Arguments, FloatArray]) -> Callable[Arguments, FloatArray]:
        name = function.__name__
        if name in INDICATORS:
            raise ValueError(f"indicator {name!r} is registered twice")
        signature = inspect.signature(function)
        parameters = tuple(signature.parameters)[len(inputs) :]
        annotations = {key: str(value.annotation) for key, value in signature.parameters.items()}
        integers = frozenset(key for key in parameters if annotations[key] in ("int", "<class 'int'>"))

        @functools.wraps(function)
        def checked(*arguments: Arguments.args, **named: Arguments.kwargs) -> FloatArray:
            bound = signature.bind(*arguments, **named).arguments
            columns = _columns(name, {key: bound[key] for key in tuple(signature.parameters)[: len(inputs)]})
            numbers = [_number(name, key, bound[key], whole=key in integers) for key in parameters]
            return function(*columns, *numbers)  # type: ignore[arg-type, call-arg]

        def checked_batch(*arguments: npt.ArrayLike, out: FloatArray | None = None) -> FloatArray:
            assert batch is not None
            columns = _columns(name, dict(zip(inputs, arguments[:-1], strict=True)), rows=takes_rows)
            sets = np.asarray(arguments[-1], dtype=np.float64)
            if sets.ndim != 2 or sets.shape[1] != len(parameters):
                raise ValueError(f"{name}: parameters must have the shape (sets, {len(parameters)}), was {sets.shape}")
            for column, key in enumerate(parameters):
                for value in np.unique(sets[:, column]):
                    _number(name, key, value, whole=key in integers)
            if out is None:
                out = np.empty((len(sets), columns[0].shape[-1]))
            if len(sets):
                batch(*columns, sets, out)
            return out

        INDICATORS[name] = Indicator(
            name,
            checked,
            inputs,
            parameters,
            integers,
            warm_up,
            memory,
            None if batch is None else checked_batch,
            takes_rows,
        )
        return checked

    return register


def whole(numbers: npt.ArrayLike) -> IntArray:
    """Return whole numbers that came as floats, a column of a batch's parameters say, as integers."""
    return np.asarray(numbers, dtype=np.int64)


def _columns(name: str, columns: dict[str, npt.ArrayLike], *, rows: bool = False) -> list[FloatArray]:
    arrays = [np.asarray(values, dtype=np.float64) for values in columns.values()]
    # Rows of a wider table are taken as they are: only what lies in a row has to be contiguous.
    arrays = [a if a.ndim == 2 and a.strides[1] == 8 else np.ascontiguousarray(a) for a in arrays]
    if any(array.shape != arrays[0].shape or array.ndim > 1 + rows for array in arrays):
        shapes = ", ".join(f"{key} {array.shape}" for key, array in zip(columns, arrays, strict=True))
        raise ValueError(f"{name}: inputs must be one-dimensional and of equal length, was {shapes}")
    return arrays


def _number(name: str, key: str, value: float, *, whole: bool) -> float | int:
    number = float(value)
    if not whole:
        if not math.isfinite(number):
            raise ValueError(f"{name}: {key} must be a finite number, was {value!r}")
        return number
    if not (number.is_integer() and 1 <= number <= LONGEST_WINDOW):
        raise ValueError(f"{name}: {key} must be a whole number from 1 to {LONGEST_WINDOW:,}, was {value!r}")
    return int(number)
