"""What the options of a search mean that are lists or belong to the rules: time frames, minimum holding."""

from __future__ import annotations

from collections.abc import Sequence

from alpharay.market.timeframe import timeframe_ms
from alpharay.strategies.strategy import Strategy, with_minimum_holding


def parsed_timeframes(text: str | None) -> tuple[str, ...]:
    """Return the time frames of `15m,1h`; none of None. Raises ValueError naming one that is unknown or given twice."""
    names = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    for name in names:
        timeframe_ms(name)
    if len(set(names)) < len(names):
        raise ValueError(f"timeframes must be different, was {text}")
    return names


def with_holding(strategies: Sequence[Strategy], text: str | None) -> tuple[Strategy, ...]:
    """Return the strategies with a minimum holding that the search chooses, of `0,48` bars; None leaves them.

    It becomes a part of the rules, so that requests and stored strategies carry it. Raises ValueError when these are
    not two numbers in order, or a strategy has a minimum holding already.
    """
    if text is None:
        return tuple(strategies)
    try:
        low, high = (int(part) for part in text.split(","))
    except ValueError:
        low, high = 0, -1
    if not 0 <= low <= high:
        raise ValueError(f"minimum_holding must be two numbers of bars in order, as 0,48, was {text!r}")
    return tuple(with_minimum_holding(strategy, low, high, low) for strategy in strategies)
