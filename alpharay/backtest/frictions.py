"""What real accounts meet beyond `Costs`: fee tiers, impact, ticks, lots, minimum orders, funding; all optional."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from alpharay.market.candles import Candles


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeTier:
    """`fee` (fraction of the traded value) from `volume` on: money traded on the 30 UTC days before the fill's day."""

    volume: float
    fee: float

    def __post_init__(self) -> None:
        _check("volume of a fee tier", self.volume, 0.0, math.inf)
        _check("fee of a fee tier", self.fee, 0.0, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareRootImpact:
    """Slippage grows with the root of the share of the bar's volume: + `coefficient` * sqrt(quantity / volume).

    The square-root law of Torre (BARRA Market Impact Model Handbook, 1997); Almgren, Thum, Hauptmann & Li (Direct
    Estimation of Equity Market Impact, 2005) measure an exponent of 0.6. An entry takes at most `participation` of
    the bar's volume; an exit is never cut. Nothing fills on a bar without volume: the order waits for the next one
    that has some, an entry unless its exit rule speaks first.
    """

    coefficient: float = 0.1
    participation: float = 0.1

    def __post_init__(self) -> None:
        _check("coefficient of the impact", self.coefficient, 0.0, math.inf)
        if not 0.0 < self.participation <= 1.0:
            raise ValueError(f"participation of the impact must be in (0, 1], was {self.participation}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """Share of a position's value that it pays every `hours`, by calendar time; below zero it is paid.

    `short` is the borrow rate or what a perpetual's shorts pay, `long` what its longs pay. It accrues to each held
    close and to the open of the exit bar, on the quantity at that price.
    """

    long: float = 0.0
    short: float = 0.0
    hours: float = 8.0

    def __post_init__(self) -> None:
        for name in ("long", "short"):
            rate = getattr(self, name)
            if not -1.0 < rate < 1.0:
                raise ValueError(f"{name} of the funding must be in (-1, 1), was {rate}")
        if not 0.0 < self.hours < math.inf:
            raise ValueError(f"hours of the funding must be above 0, was {self.hours}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frictions:
    """What is None or empty is off; with everything off a backtest equals one without frictions, to rounding.

    starting_capital : money at the start, in quote currency: what lots, orders, volumes and tiers are measured by.
    fee_tiers : by growing volume; below the first, `Costs.fee` holds.
    impact : slippage that grows with the order's share of the bar's volume, on top of `Costs.slippage`.
    tick_size : a fill is rounded to the tick that is worse for the trader.
    lot_size : an entry's quantity is rounded down to a lot; the rest stays cash.
    minimum_notional : an entry worth less (quantity * fill) is not made; an exit always is.
    funding : what a held position pays over time.
    """

    starting_capital: float = 10_000.0
    fee_tiers: tuple[FeeTier, ...] = ()
    impact: SquareRootImpact | None = None
    tick_size: float | None = None
    lot_size: float | None = None
    minimum_notional: float | None = None
    funding: Funding | None = None

    def __post_init__(self) -> None:
        for name in ("starting_capital", "tick_size", "lot_size", "minimum_notional"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, was {value}")
        volumes = [tier.volume for tier in self.fee_tiers]
        if any(later <= earlier for earlier, later in pairwise(volumes)):
            raise ValueError(f"fee_tiers must have growing volumes, was {volumes}")


def _check(name: str, value: float, low: float, end: float) -> None:
    if not low <= value < end:
        raise ValueError(f"{name} must be in [{low}, {end}), was {value}")


def frictions_to_json(frictions: Frictions) -> dict[str, Any]:
    """Return the frictions as JSON values; what is off is absent."""
    fields = {name: value for name, value in asdict(frictions).items() if value is not None and value != ()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def frictions_from_json(json: Mapping[str, Any]) -> Frictions:
    """Return the frictions that `frictions_to_json` wrote; raises ValueError naming the field and its value."""
    known = get_type_hints(Frictions)
    _check_names(json, Frictions, "frictions")
    tiers = json.get("fee_tiers", ())
    for tier in tiers if isinstance(tiers, list | tuple) else ():
        _check_names(tier, FeeTier, "a fee tier")
    for name, kind in (("impact", SquareRootImpact), ("funding", Funding)):
        _check_names(json.get(name), kind, name)
    fields = {}
    for name, value in json.items():
        try:
            fields[name] = msgspec.convert(value, known[name])
        except msgspec.ValidationError as error:
            raise ValueError(f"{name} of the frictions was {value!r}: {error}") from error
    return Frictions(**fields)


def read_frictions(file: Path) -> Frictions:
    """Read frictions from a JSON file; raises ValueError naming the file and what does not fit."""
    try:
        content = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"the frictions' file {file} cannot be read: {error}") from error
    try:
        return frictions_from_json(content)
    except ValueError as error:
        raise ValueError(f"the frictions' file {file}: {error}") from error


def frictions_text(frictions: Frictions) -> str:
    """Return what is on, in words."""
    parts = []
    if frictions.fee_tiers:
        parts.append("fee tiers")
    if frictions.impact is not None:
        parts.append("impact by the bar's volume")
    for name in ("tick_size", "lot_size", "minimum_notional"):
        value = getattr(frictions, name)
        if value is not None:
            parts.append(f"{name.replace('_', ' ')} {value:g}")
    if frictions.funding is not None:
        parts.append("funding")
    account = f"an account of {frictions.starting_capital:,.0f}"
    return f"{account} with {', '.join(parts)}" if parts else account


def with_tick_within(frictions: Frictions | None, candles: Candles) -> Frictions | None:
    """Return the frictions with a tick of at most the lowest price of `candles`: a made series may fall below it."""
    if frictions is None or frictions.tick_size is None or len(candles) == 0:
        return frictions
    return replace(frictions, tick_size=min(frictions.tick_size, float(candles.low.min())))


def _check_names(json: object, kind: type, of: str) -> None:
    names = sorted(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    unknown = {name: value for name, value in json.items() if name not in names} if isinstance(json, Mapping) else {}
    if unknown:
        raise ValueError(f"{of} must have fields of {', '.join(names)}, was {unknown}")
