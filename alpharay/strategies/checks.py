"""Two checks of a user's rules: do they look ahead, and how much history do they need.

Both evaluate the same strategy on less data and compare. On the first t candles, the values up to t must be what they
are on all candles: a difference means that a value was made with candles that were still to come. Without the oldest
candles, the newest values may differ: a recursive indicator remembers its start for some while, and one that adds up
all candles for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.evaluation import Signals, rules_and_series
from alpharay.strategies.expression import Applied, Node, Series, children, walk_nodes
from alpharay.strategies.strategy import Strategy
from alpharay.strategies.text import rule_text

Kind = Literal["rule", "indicator"]

PREFIXES = 1_000
"""How many prefixes the search for a look-ahead compares by default."""

ROUNDING = 1e-9
"""Relative difference of an indicator's values that may come from the order of its sums."""

WARM_UPS = (25, 50, 100, 200, 400, 800, 1_600, 3_200)
TOLERANCE = 1e-6
"""Relative difference below which an indicator's values are settled."""

COMPARED_BARS = 100


@dataclass(frozen=True, slots=True)
class LookAhead:
    """One rule or indicator whose value on a bar changes when later candles are known."""

    kind: Kind
    part: str
    """The name of the rule, or the text of the indicator with its parameters' numbers."""
    bar: int
    """The first bar on which it was seen; and that bar's open time, UTC ms."""
    open_time: int
    known_candles: int
    """The value then, with only so many candles known; and now, with all."""
    then: float
    now: float


@dataclass(frozen=True, slots=True)
class LookAheadReport:
    """What one parameter set was found to do on some candles."""

    strategy: str
    parameters: Mapping[str, float]
    candles: int
    prefixes: int
    found: tuple[LookAhead, ...]
    idle: tuple[str, ...]
    """Rules that hold on no bar and indicators without a value: of these, nothing was checked."""


@dataclass(frozen=True, slots=True)
class StartDependence:
    """How a rule or an indicator on the newest bars depends on how many candles stand before them."""

    kind: Kind
    part: str
    differences: tuple[float, ...]
    """One a warm-up. Of an indicator: the largest relative difference to all candles, infinite where only one of the
    two is a number. Of a rule: the share of the bars on which it says something else."""
    needed: int | None
    """The fewest candles from which on it is settled (bisected between two warm-ups); None when more are needed."""


@dataclass(frozen=True, slots=True)
class StartReport:
    """What one parameter set's rules and indicators need of history."""

    strategy: str
    parameters: Mapping[str, float]
    candles: int
    compared_bars: int
    warm_ups: tuple[int, ...]
    parts: tuple[StartDependence, ...]

    def needed(self, kind: Kind) -> int | None:
        """Return the fewest candles from which on every rule, or every indicator, is settled; None when one never is.

        An indicator that adds up all candles is never settled, but a rule that compares it with its own average is.
        """
        most = 0
        for part in self.parts:
            if part.kind == kind:
                if part.needed is None:
                    return None
                most = max(most, part.needed)
        return most


def look_ahead(
    strategy: Strategy, parameters: Mapping[str, float], candles: Candles, *, prefixes: int = PREFIXES
) -> LookAheadReport:
    """Compare the first t candles with all of them, for as many t as `prefixes`, spread evenly (all, if it is enough).

    An indicator that differs only because its input does is not named: the input is. Raises ValueError when there are
    fewer than two candles, and when an indicator fails on a prefix, which it would do in live use too.
    """
    if len(candles) < 2 or prefixes < 1:
        raise ValueError(f"two candles and one prefix are needed at least, was {len(candles)} and {prefixes}")
    nodes = _indicators(strategy)
    said, values = rules_and_series(strategy, parameters, candles, nodes)
    rules = _flags(said)
    seen: dict[tuple[Kind, int], LookAhead] = {}
    stops = np.unique(np.linspace(1, len(candles) - 1, min(prefixes, len(candles) - 1)).astype(np.int64))
    for stop in stops.tolist():
        try:
            part_said, part_values = rules_and_series(strategy, parameters, candles.slice(0, stop), nodes)
        except Exception as error:
            raise ValueError(f"{strategy.name} fails on the first {stop} candles: {error}") from error
        pairs: list[tuple[Kind, int, str, FloatArray, FloatArray]] = [
            ("indicator", place, "", then, now[:stop])
            for place, (then, now) in enumerate(zip(part_values, values, strict=True))
        ]
        pairs += [
            ("rule", place, name, then, rules[name][:stop])
            for place, (name, then) in enumerate(_flags(part_said).items())
        ]
        for kind, place, name, then, now in pairs:
            different = np.flatnonzero(_difference(then, now) > (ROUNDING if kind == "indicator" else 0.0))
            if len(different) == 0:
                continue
            bar = int(different[0])
            if (kind, place) not in seen or bar < seen[kind, place].bar:
                seen[kind, place] = LookAhead(
                    kind, name or rule_text(nodes[place], parameters), bar, int(candles.open_time[bar]), stop,
                    float(then[bar]), float(now[bar]),
                )  # fmt: skip
    guilty = {nodes[place] for kind, place in seen if kind == "indicator"}
    found = [
        finding
        for (kind, place), finding in sorted(seen.items(), key=lambda item: (item[0][0] == "rule", item[0][1]))
        if kind == "rule" or not any(node in guilty for child in children(nodes[place]) for node in walk_nodes(child))
    ]
    idle = [rule_text(node, parameters) for node, column in zip(nodes, values, strict=True) if np.isnan(column).all()]
    idle += [name for name, flags in rules.items() if not flags.any()]
    return LookAheadReport(strategy.name, dict(parameters), len(candles), len(stops), tuple(found), tuple(idle))


def start_dependence(
    strategy: Strategy,
    parameters: Mapping[str, float],
    candles: Candles,
    *,
    warm_ups: Sequence[int] = WARM_UPS,
    compared_bars: int = COMPARED_BARS,
    tolerance: float = TOLERANCE,
) -> StartReport:
    """Compare the newest bars, evaluated with only so many candles before them, with all candles.

    Warm-ups for which the candles do not suffice are left out. Raises ValueError when none is left.
    """
    most = len(candles) - compared_bars - 1
    used = tuple(sorted({warm_up for warm_up in warm_ups if 0 <= warm_up <= most}))
    if not used or compared_bars < 1:
        raise ValueError(
            f"{len(candles)} candles are too few to compare {compared_bars} bars with a warm-up of {min(warm_ups)}"
        )
    nodes = _indicators(strategy)
    newest = slice(len(candles) - compared_bars, len(candles))
    said, values = rules_and_series(strategy, parameters, candles, nodes)
    whole = [column[newest] for column in (*values, *_flags(said).values())]
    measured: dict[int, FloatArray] = {}

    def differences(warm_up: int) -> FloatArray:
        """Return how each indicator, then each rule, differs from all candles."""
        if warm_up not in measured:
            part = candles.slice(newest.start - warm_up, newest.stop)
            part_said, part_values = rules_and_series(strategy, parameters, part, nodes)
            columns = [column[-compared_bars:] for column in (*part_values, *_flags(part_said).values())]
            pairs = [_difference(then, now) for then, now in zip(columns, whole, strict=True)]
            measured[warm_up] = np.array(
                [pair.max() if place < len(nodes) else pair.mean() for place, pair in enumerate(pairs)]
            )
        return measured[warm_up]

    def needed(place: int) -> int | None:
        limit = tolerance if place < len(nodes) else 0.0
        if differences(used[-1])[place] > limit:
            return None
        low = max((warm_up for warm_up in used if differences(warm_up)[place] > limit), default=-1)
        high = min(warm_up for warm_up in used if warm_up > low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if differences(middle)[place] > limit else (low, middle)
        return high

    names: list[tuple[Kind, str]] = [("indicator", rule_text(node, parameters)) for node in nodes]
    names += [("rule", name) for name in _flags(said)]
    parts = tuple(
        StartDependence(kind, name, tuple(float(differences(warm_up)[place]) for warm_up in used), needed(place))
        for place, (kind, name) in enumerate(names)
    )
    return StartReport(strategy.name, dict(parameters), len(candles), compared_bars, used, parts)


def _indicators(strategy: Strategy) -> list[Series]:
    """Return the distinct indicators of the rules, what is computed from others after these."""
    found: dict[Node, None] = {}
    for rule in strategy.rules:
        for node in reversed(list(walk_nodes(rule))):
            if isinstance(node, Applied):
                found.setdefault(node)
    return [node for node in found if isinstance(node, Applied)]


def _flags(said: Signals) -> dict[str, FloatArray]:
    """Return the rules that are there by their names, as numbers."""
    rules = ((field.name, getattr(said, field.name)) for field in fields(said))
    return {name: flags.astype(np.float64) for name, flags in rules if flags is not None}


def _difference(then: FloatArray, now: FloatArray) -> FloatArray:
    """Return the relative difference of each pair; infinite where only one of the two is a finite number."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        largest = np.maximum(np.abs(then), np.abs(now))
        relative = np.where(then == now, 0.0, np.abs(then - now) / largest)
    return np.where(np.isnan(then) & np.isnan(now), 0.0, np.where(np.isnan(relative), np.inf, relative))
