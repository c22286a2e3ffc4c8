"""A strategy as people name it: of the catalogue, in a file of their own, or stored under an id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alpharay.strategies.strategy import Strategy

_STORED_ID = re.compile(r"[0-9a-f]{4,64}")


def is_stored_id(name: str) -> bool:
    """Tell whether a name can only be the beginning of a stored strategy's id."""
    return _STORED_ID.fullmatch(name) is not None


def strategy_of(name: str) -> Strategy:
    """Return the one strategy that `MACD_CROSSOVER`, `my_rules.py` or `my_rules.py:PULLBACK` names.

    Raises ValueError when it is unknown, or when a file holds several and none is named.
    """
    from alpharay.strategies.loading import strategies_from

    path, colon, chosen = name.partition(".py:")
    found = strategies_from(f"{path}.py" if colon else name)
    names = ", ".join(strategy.name for strategy in found)
    named = [strategy for strategy in found if strategy.name == chosen.upper()] if colon else list(found)
    if not named:
        raise ValueError(f"{path}.py has no strategy {chosen}; it has {names}")
    if len(named) > 1:
        hint = f": name one, such as {name}:{found[0].name}" if name.endswith(".py") else ""
        raise ValueError(f"a backtest is of one strategy, was {len(found)} ({names}){hint}")
    return named[0]
