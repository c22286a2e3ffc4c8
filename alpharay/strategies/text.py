"""Rules as a person reads them: `sma(fast) crosses above sma(slow) and rsi(14) < oversold`."""

from __future__ import annotations

from collections.abc import Mapping

from alpharay.indicators.registry import INDICATORS
from alpharay.strategies.expression import (
    And,
    Applied,
    Arithmetic,
    Column,
    Comparison,
    Crosses,
    Level,
    Node,
    Not,
    Or,
    Parameter,
    Previous,
    Scalar,
    TimeOfCandle,
)

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _ATOM = range(7)
"""How tightly each kind of node binds; a part that binds less than its place asks for stands in brackets."""


def rule_text(node: Node, parameters: Mapping[str, float] | None = None) -> str:
    """Return a condition or a series as text; with `parameters`, their numbers stand in place of their names."""
    return _text(node, parameters or {}, _OR)


def scalar_text(scalar: Scalar, parameters: Mapping[str, float] | None = None) -> str:
    """Return a number, or the name of a parameter (its number, where `parameters` has it)."""
    if isinstance(scalar, Parameter):
        if parameters is None or scalar.name not in parameters:
            return scalar.name
        scalar = parameters[scalar.name]
    return f"{scalar:.10g}"


def _text(node: Node, parameters: Mapping[str, float], place: int) -> str:
    text, binding = _bound_text(node, parameters)
    return f"({text})" if binding < place else text


def _bound_text(node: Node, parameters: Mapping[str, float]) -> tuple[str, int]:  # noqa: C901 - one case a node
    def part(child: Node, place: int) -> str:
        return _text(child, parameters, place)

    match node:
        case Level(value=value):
            return scalar_text(value, parameters), _ATOM
        case Column(name=name):
            return name, _ATOM
        case TimeOfCandle(part=name):
            return name, _ATOM
        case Applied():
            return _applied_text(node, parameters), _ATOM
        case Previous(of=of, bars=bars):
            return f"previous({part(of, _OR)}{'' if bars == 1 else f', {bars}'})", _ATOM
        case Arithmetic(operator=operator, left=left, right=right):
            binding = _SUM if operator in "+-" else _PRODUCT
            # a - (b - c) keeps its brackets, (a - b) - c needs none.
            return f"{part(left, binding)} {operator} {part(right, binding + 1)}", binding
        case Comparison(operator=operator, left=left, right=right):
            return f"{part(left, _SUM)} {operator} {part(right, _SUM)}", _COMPARISON
        case Crosses(direction=direction, left=left, right=right):
            return f"{part(left, _SUM)} crosses {direction} {part(right, _SUM)}", _COMPARISON
        case Not(condition=condition):
            return f"not {part(condition, _COMPARISON)}", _NOT
        case And(left=first, right=second):
            return f"{part(first, _AND)} and {part(second, _AND)}", _AND
        case Or(left=first, right=second):
            # `and` binds tighter, but not every reader knows.
            sides = (part(side, _OR if isinstance(side, Or) else _NOT) for side in (first, second))
            return " or ".join(sides), _OR
    raise TypeError(f"no text for {type(node).__name__}")


def _applied_text(node: Applied, parameters: Mapping[str, float]) -> str:
    arguments = [scalar_text(item, parameters) for item in node.parameters]
    usual = tuple(Column(name) for name in INDICATORS[node.indicator].inputs)
    if node.inputs != usual:
        inputs = ", ".join(_text(item, parameters, _OR) for item in node.inputs)
        arguments.append(f"of {inputs}" if len(node.inputs) == 1 else f"of ({inputs})")
    return f"{node.indicator}({', '.join(arguments)})" if arguments else node.indicator
