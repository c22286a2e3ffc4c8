"""Strategies to JSON and back: what Kafka and PostgreSQL carry and what the signal service evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alpharay.strategies.expression import (
    And,
    Applied,
    Arithmetic,
    Column,
    Comparison,
    Condition,
    Crosses,
    Level,
    Not,
    Or,
    OrderConstraint,
    Parameter,
    Previous,
    Scalar,
    Series,
    TimeOfCandle,
)
from alpharay.strategies.strategy import Integer, ParameterRange, Real, Strategy

Json = dict[str, Any]

MAX_DEPTH = 200
"""Levels of JSON in one strategy: what comes from outside may not exhaust the stack of whoever evaluates it."""

_ARITHMETIC = ("+", "-", "*", "/")
_COMPARISON = (">", "<", ">=", "<=")


def strategy_to_json(strategy: Strategy) -> Json:
    """Return the strategy as plain JSON values."""
    json: Json = {
        "name": strategy.name,
        "description": strategy.description,
        "parameters": [_range_to_json(parameter) for parameter in strategy.parameters],
        "constraints": [[constraint.smaller, constraint.larger] for constraint in strategy.constraints],
        "enter": _condition_to_json(strategy.enter),
        "exit": _condition_to_json(strategy.exit),
    }
    if strategy.enter_short is not None and strategy.exit_short is not None:
        json["enter_short"] = _condition_to_json(strategy.enter_short)
        json["exit_short"] = _condition_to_json(strategy.exit_short)
    # Absent for the usual 0, so that the identity of a strategy without one is what it always was.
    if strategy.minimum_holding != 0:
        bars = strategy.minimum_holding
        json["minimum_holding"] = _scalar_to_json(bars if isinstance(bars, Parameter) else int(bars))
    return json


def strategy_from_json(json: Mapping[str, Any]) -> Strategy:
    """Return the strategy that `strategy_to_json` wrote; raises ValueError naming what it cannot read."""
    if _is_deeper_than(json, MAX_DEPTH):
        raise ValueError(f"strategy JSON is nested too deeply: {MAX_DEPTH} levels are read")
    try:
        return Strategy(
            name=str(json["name"]),
            description=str(json["description"]),
            parameters=tuple(_range_from_json(parameter) for parameter in json["parameters"]),
            constraints=tuple(OrderConstraint(smaller, larger) for smaller, larger in json["constraints"]),
            enter=_condition_from_json(json["enter"]),
            exit=_condition_from_json(json["exit"]),
            enter_short=_condition_from_json(json["enter_short"]) if "enter_short" in json else None,
            exit_short=_condition_from_json(json["exit_short"]) if "exit_short" in json else None,
            minimum_holding=_scalar_from_json(json.get("minimum_holding", 0)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"strategy JSON lacks or misplaces {error}") from error


def _is_deeper_than(json: object, levels: int) -> bool:
    layer = [json]
    for _ in range(levels):
        layer = [
            child
            for item in layer
            if isinstance(item, Mapping | list)
            for child in (item.values() if isinstance(item, Mapping) else item)
        ]
        if not layer:
            return False
    return True


def _range_to_json(parameter: ParameterRange) -> Json:
    return {
        "kind": "integer" if isinstance(parameter, Integer) else "real",
        "name": parameter.name,
        "low": parameter.low,
        "high": parameter.high,
        "default": parameter.default,
    }


def _range_from_json(json: Json) -> ParameterRange:
    if json["kind"] == "integer":
        return Integer(json["name"], int(json["low"]), int(json["high"]), int(json["default"]))
    if json["kind"] == "real":
        return Real(json["name"], float(json["low"]), float(json["high"]), float(json["default"]))
    raise ValueError(f"kind of parameter must be integer or real, was {json['kind']!r}")


def _scalar_to_json(scalar: Scalar) -> float | Json:
    return {"parameter": scalar.name} if isinstance(scalar, Parameter) else scalar


def _scalar_from_json(json: float | Json) -> Scalar:
    if isinstance(json, dict):
        return Parameter(str(json["parameter"]))
    if isinstance(json, bool) or not isinstance(json, int | float):
        raise TypeError(f"a number or a parameter, was {json!r}")
    return json


def _series_to_json(node: Series) -> Json:
    match node:
        case Level(value=value):
            return {"level": _scalar_to_json(value)}
        case Column(name=name):
            return {"column": name}
        case TimeOfCandle(part=part):
            return {"time": part}
        case Applied(indicator=indicator, inputs=inputs, parameters=parameters):
            return {
                "indicator": indicator,
                "inputs": [_series_to_json(item) for item in inputs],
                "parameters": [_scalar_to_json(item) for item in parameters],
            }
        case Arithmetic(operator=operator, left=left, right=right):
            return {"operator": operator, "left": _series_to_json(left), "right": _series_to_json(right)}
        case Previous(of=of, bars=bars):
            return {"previous": _series_to_json(of), "bars": bars}
    raise TypeError(f"no JSON form for series {type(node).__name__}")


def _series_from_json(json: Json) -> Series:
    if "level" in json:
        return Level(_scalar_from_json(json["level"]))
    if "column" in json:
        return Column(json["column"])
    if "time" in json:
        return TimeOfCandle(json["time"])
    if "indicator" in json:
        return Applied(
            json["indicator"],
            tuple(_series_from_json(item) for item in json["inputs"]),
            tuple(_scalar_from_json(item) for item in json["parameters"]),
        )
    if "previous" in json:
        return Previous(_series_from_json(json["previous"]), int(json["bars"]))
    if json["operator"] in _ARITHMETIC:
        return Arithmetic(json["operator"], _series_from_json(json["left"]), _series_from_json(json["right"]))
    raise ValueError(f"operator between series must be one of {_ARITHMETIC}, was {json['operator']!r}")


def _condition_to_json(node: Condition) -> Json:
    match node:
        case Comparison(operator=operator, left=left, right=right):
            return {"compare": operator, "left": _series_to_json(left), "right": _series_to_json(right)}
        case Crosses(direction=direction, left=left, right=right):
            return {"crosses": direction, "left": _series_to_json(left), "right": _series_to_json(right)}
        case Not(condition=condition):
            return {"not": _condition_to_json(condition)}
        case And(left=first, right=second):
            return {"and": [_condition_to_json(first), _condition_to_json(second)]}
        case Or(left=first, right=second):
            return {"or": [_condition_to_json(first), _condition_to_json(second)]}
    raise TypeError(f"no JSON form for condition {type(node).__name__}")


def _condition_from_json(json: Json) -> Condition:
    if "not" in json:
        return Not(_condition_from_json(json["not"]))
    if "and" in json or "or" in json:
        kind, parts = ("and", json["and"]) if "and" in json else ("or", json["or"])
        left, right = (_condition_from_json(part) for part in parts)
        return And(left, right) if kind == "and" else Or(left, right)
    left_series, right_series = _series_from_json(json["left"]), _series_from_json(json["right"])
    if "crosses" in json:
        if json["crosses"] not in ("above", "below"):
            raise ValueError(f"crosses must be above or below, was {json['crosses']!r}")
        return Crosses(json["crosses"], left_series, right_series)
    if json["compare"] not in _COMPARISON:
        raise ValueError(f"compare must be one of {_COMPARISON}, was {json['compare']!r}")
    return Comparison(json["compare"], left_series, right_series)
