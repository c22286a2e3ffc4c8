"""The register of indicators: what each needs, how long it warms up, and whether it depends on where its input starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from alpharay.market.candles import VALUE_COLUMNS, FloatArray

Memory = Literal["window", "recursive"]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One registered indicator.

    `function(*inputs, *parameters)` takes float arrays of equal length and numbers, and returns a new float array of
    that length, NaN where it is not defined. `inputs` names the candle columns used unless the caller gives others.
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

    def __call__(self, *arguments: FloatArray | float) -> FloatArray:
        """Compute the indicator."""
        return self.function(*arguments)


INDICATORS: dict[str, Indicator] = {}


def indicator(
    *, inputs: tuple[str, ...], warm_up: Callable[..., int], memory: Memory = "window"
) -> Callable[[Callable[..., FloatArray]], Callable[..., FloatArray]]:
    """Register a function as an indicator under its own name; its first arguments are `inputs`, the rest parameters.

    A parameter annotated `int` takes whole numbers only.
    """
    unknown = [name for name in inputs if name not in VALUE_COLUMNS]
    if unknown:
        raise ValueError(f"inputs must be candle columns {VALUE_COLUMNS}, was {unknown}")

    def register(function: Callable[..., FloatArray]) -> Callable[..., FloatArray]:
        name = function.__name__
        if name in INDICATORS:
            raise ValueError(f"indicator {name!r} is registered twice")
        signature = inspect.signature(function)
        parameters = tuple(signature.parameters)[len(inputs) :]
        annotations = {key: str(value.annotation) for key, value in signature.parameters.items()}
        integers = frozenset(key for key in parameters if annotations[key] in ("int", "<class 'int'>"))
        INDICATORS[name] = Indicator(name, function, inputs, parameters, integers, warm_up, memory)
        return function

    return register
