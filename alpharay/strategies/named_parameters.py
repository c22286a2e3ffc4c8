"""A strategy's parameters as people type them: `fast=5,slow=20`."""

from __future__ import annotations

from collections.abc import Mapping

from alpharay.strategies.strategy import Integer, Strategy


def named_parameters(
    strategy: Strategy, text: str | None, values: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return `values`, or the defaults, with what `text` says changed.

    Raises ValueError naming a parameter that the strategy does not have or a value that it cannot have.
    """
    found: dict[str, float] = {**strategy.defaults, **(values or {})}
    whole = {parameter.name for parameter in strategy.parameters if isinstance(parameter, Integer)}
    for item in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, value = (part.strip() for part in item.partition("="))
        if name not in found:
            known = ", ".join(found) or "none"
            raise ValueError(f"strategy {strategy.name} has no parameter {name!r}; it has {known}")
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"{name} must be a number, was {value!r}") from None
        found[name] = int(number) if name in whole and number.is_integer() else number
    strategy.check(found)
    return found
