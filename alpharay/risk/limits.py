"""Whether a trade may be made, and how much of it: every limit's own answer, and the smallest of them.

Pure: what is held, what is under way and the limits go in, an assessment comes out. Three rules run through all:

* Orders under way count as if the market filled the worst of them.
* A trade may always bring a position towards zero, whatever else is broken; only the rate of orders can stop it.
* A limit that is passed already (prices move) never has to be repaired, but nothing may be opened on top of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

NOTHING: Mapping[str, float] = MappingProxyType({})
NO_GROUPS: Mapping[str, str] = MappingProxyType({})

ROUNDING = 1e-9
"""Share of a trade that rounding may take without calling it reduced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """What an account may do; None is no limit.

    Parameters
    ----------
    position : float or None
        Largest position in one symbol, as a share of equity.
    concentration : float or None
        Largest sum of positions, long and short, in one group of symbols that move together, as a share of equity.
    gross : float or None
        Largest sum of all positions, long and short, as a multiple of equity.
    net : float or None
        Largest long less short, and short less long, as a multiple of equity.
    daily_loss : float or None
        Loss since the day's start, as a share of the equity then, from which on nothing is opened.
    drawdown : float or None
        The same since the highest equity.
    orders_per_second : int or None
        Orders in one second, this one included.
    """

    position: float | None = 0.2
    concentration: float | None = 0.4
    gross: float | None = 1.0
    net: float | None = 1.0
    daily_loss: float | None = 0.05
    drawdown: float | None = 0.1
    orders_per_second: int | None = 5

    def __post_init__(self) -> None:
        for name in ("position", "concentration", "gross", "net", "orders_per_second"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < math.inf:
                raise ValueError(f"{name} of the limits must be at least 0 and finite, was {value}")
        for name in ("daily_loss", "drawdown"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value <= 1.0:
                raise ValueError(f"{name} of the limits must be in (0, 1], was {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioState:
    """What an account holds and has under way, in its own currency, at one moment.

    Parameters
    ----------
    equity, day_start_equity, peak_equity : float
        Now, at the start of the UTC day, and the highest ever.
    positions : Mapping
        Market value by symbol, below zero when short.
    open_buys, open_sells : Mapping
        Value of the orders that are not filled yet, by symbol, at least 0.
    groups : Mapping
        The group of a symbol; one that is missing is a group of its own.
    orders_last_second : int
        Orders sent within the last second.
    """

    equity: float
    day_start_equity: float
    peak_equity: float
    positions: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    open_buys: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    open_sells: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    groups: Mapping[str, str] = field(default_factory=lambda: NO_GROUPS)
    orders_last_second: int = 0

    def __post_init__(self) -> None:
        for name in ("equity", "day_start_equity", "peak_equity"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, was {getattr(self, name)}")
        for name in ("positions", "open_buys", "open_sells"):
            for symbol, value in getattr(self, name).items():
                if not math.isfinite(value) or (name != "positions" and value < 0.0):
                    raise ValueError(f"{name} of {symbol} must be finite, and orders at least 0, was {value}")
        if self.orders_last_second < 0:
            raise ValueError(f"orders_last_second must be at least 0, was {self.orders_last_second}")

    @property
    def symbols(self) -> frozenset[str]:
        """All symbols that are held or may be."""
        return frozenset(self.positions) | frozenset(self.open_buys) | frozenset(self.open_sells)

    def group(self, symbol: str) -> str:
        """Return the group of a symbol."""
        return self.groups.get(symbol, symbol)

    def worst(self, symbol: str) -> float:
        """Return the largest size that the position in a symbol may reach by the orders under way."""
        held = self.positions.get(symbol, 0.0)
        return max(abs(held + self.open_buys.get(symbol, 0.0)), abs(held - self.open_sells.get(symbol, 0.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedTrade:
    """An order that somebody wants: its value in the account's currency, below zero to sell.

    `minimum_notional` is the smallest order that the exchange takes; what only reduces a position may be smaller.
    """

    symbol: str
    notional: float
    minimum_notional: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.notional) or self.notional == 0.0:
            raise ValueError(f"notional of a trade must be finite and not 0, was {self.notional}")
        if not 0.0 <= self.minimum_notional < math.inf:
            raise ValueError(f"minimum_notional must be at least 0 and finite, was {self.minimum_notional}")


@dataclass(frozen=True, slots=True)
class OpeningHalt:
    """Why positions may only be reduced; `share` of what opens one passes: 0, or the size of a breaker's trial."""

    reason: str
    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share < 1.0:
            raise ValueError(f"share of a halt must be in [0, 1), was {self.share}")


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """What one limit says of a trade.

    Parameters
    ----------
    limit : str
        Its name in `RiskLimits`, or "equity", "minimum_notional" or "halt".
    maximum, used : float
        The limit and how much of it was used before the trade: money, a share for losses, orders for their rate.
    headroom : float
        What is left of it, at least 0, in the same unit.
    allowed : float
        Value of the trade that it allows, at least 0 and at most the whole trade.
    reason : str or None
        Why it does not allow all of it.
    """

    limit: str
    maximum: float
    used: float
    headroom: float
    allowed: float
    reason: str | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """The answer: how much of the trade may be made (signed as the trade), and what each limit said."""

    decision: Literal["allowed", "reduced", "refused"]
    notional: float
    checks: tuple[LimitCheck, ...]

    @property
    def binding(self) -> tuple[LimitCheck, ...]:
        """The limits that allow the least, none when all of the trade is allowed."""
        least = min((check.allowed for check in self.checks), default=math.inf)
        return tuple(check for check in self.checks if check.reason is not None and check.allowed <= least)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not all of it, one sentence a limit that objects."""
        return tuple(check.reason for check in self.checks if check.reason is not None)


def assess(
    limits: RiskLimits, state: PortfolioState, trade: ProposedTrade, halt: OpeningHalt | None = None
) -> Assessment:
    """Return how much of `trade` all limits, and a `halt` of what opens positions, allow, with headroom and reason.

    The same inputs give the same answer; nothing is reserved by it. The state must contain every order under way.
    """
    wanted, side = abs(trade.notional), math.copysign(1.0, trade.notional)
    same_way = state.open_buys if side > 0.0 else state.open_sells
    # What brings the position towards zero, after the orders that do so already.
    reducing = min(max(-side * state.positions.get(trade.symbol, 0.0) - same_way.get(trade.symbol, 0.0), 0.0), wanted)
    checks = [_equity_check(state, wanted, reducing)]
    group = state.group(trade.symbol)
    sets: tuple[tuple[str, float | None, Iterable[str]], ...] = (
        ("position", limits.position, (trade.symbol,)),
        ("concentration", limits.concentration, (name for name in state.symbols if state.group(name) == group)),
        ("gross", limits.gross, state.symbols),
    )
    for name, share, symbols in sets:
        if share is not None:
            checks.append(_size_check(name, share, symbols, state, trade, reducing))
    if limits.net is not None:
        checks.append(_net_check(limits.net, state, trade, reducing))
    for name, share, before in (
        ("daily_loss", limits.daily_loss, state.day_start_equity),
        ("drawdown", limits.drawdown, state.peak_equity),
    ):
        if share is not None:
            checks.append(_loss_check(name, share, before, state.equity, wanted, reducing))
    if limits.orders_per_second is not None:
        checks.append(_rate_check(limits.orders_per_second, state.orders_last_second, wanted))
    if halt is not None:
        checks.append(_halt_check(halt, wanted, reducing))
    allowed = min(check.allowed for check in checks)
    if allowed < trade.minimum_notional and allowed > reducing * (1.0 + ROUNDING):
        checks.append(_minimum_check(trade.minimum_notional, allowed, reducing))
        allowed = checks[-1].allowed
    if allowed >= wanted * (1.0 - ROUNDING):
        return Assessment("allowed", trade.notional, tuple(checks))
    return Assessment("reduced" if allowed > 0.0 else "refused", side * allowed, tuple(checks))


def _equity_check(state: PortfolioState, wanted: float, reducing: float) -> LimitCheck:
    allowed = wanted if state.equity > 0.0 else reducing
    reason = f"equity must be above 0 to open a position, was {state.equity:,.2f}" if allowed < wanted else None
    return LimitCheck("equity", 0.0, state.equity, max(state.equity, 0.0), allowed, reason)


def _size_check(
    name: str, share: float, symbols: Iterable[str], state: PortfolioState, trade: ProposedTrade, reducing: float
) -> LimitCheck:
    """Check the sum of positions, long and short, over some symbols that contain the trade's."""
    wanted, side = abs(trade.notional), math.copysign(1.0, trade.notional)
    maximum = share * max(state.equity, 0.0)
    others = sum(state.worst(symbol) for symbol in symbols if symbol != trade.symbol)
    used = others + state.worst(trade.symbol)
    same_way, other_way = (state.open_buys, state.open_sells) if side > 0.0 else (state.open_sells, state.open_buys)
    # In the trade's direction: where the position stands once all orders of that direction are filled.
    ahead = side * state.positions.get(trade.symbol, 0.0) + same_way.get(trade.symbol, 0.0)
    behind = abs(side * state.positions.get(trade.symbol, 0.0) - other_way.get(trade.symbol, 0.0))
    room = maximum - others
    # If the rest alone is too much, crossing zero would not help.
    allowed = max(room - ahead, reducing) if room >= behind else reducing
    return _check(name, maximum, used, min(max(allowed, 0.0), wanted), wanted, share)


def _net_check(share: float, state: PortfolioState, trade: ProposedTrade, reducing: float) -> LimitCheck:
    wanted, side = abs(trade.notional), math.copysign(1.0, trade.notional)
    maximum = share * max(state.equity, 0.0)
    same_way = state.open_buys if side > 0.0 else state.open_sells
    ahead = side * sum(state.positions.values()) + sum(same_way.values())
    allowed = min(max(maximum - ahead, reducing, 0.0), wanted)
    return _check("net", maximum, ahead, allowed, wanted, share)


def _check(name: str, maximum: float, used: float, allowed: float, wanted: float, share: float) -> LimitCheck:
    reason = None
    if allowed < wanted * (1.0 - ROUNDING):
        reason = (
            f"{name} may be {maximum:,.2f} ({share:g} of equity), {used:,.2f} is used: "
            f"{allowed:,.2f} of {wanted:,.2f} is allowed"
        )
    return LimitCheck(name, maximum, used, max(maximum - used, 0.0), allowed, reason)


def _loss_check(name: str, share: float, before: float, equity: float, wanted: float, reducing: float) -> LimitCheck:
    lost = max(1.0 - equity / before, 0.0) if before > 0.0 else 0.0
    if lost < share:
        return LimitCheck(name, share, lost, share - lost, wanted, None)
    reason = f"{name.replace('_', ' ')} is {lost:.2%}, nothing is opened from {share:.2%} on"
    return LimitCheck(name, share, lost, 0.0, reducing, reason if reducing < wanted else None)


def _rate_check(most: int, sent: int, wanted: float) -> LimitCheck:
    if sent < most:
        return LimitCheck("orders_per_second", most, sent, most - sent, wanted, None)
    reason = f"orders per second may be {most}, {sent} were sent: try again in a second"
    return LimitCheck("orders_per_second", most, sent, 0.0, 0.0, reason)


def _halt_check(halt: OpeningHalt, wanted: float, reducing: float) -> LimitCheck:
    allowed = reducing + halt.share * (wanted - reducing)
    less = allowed < wanted * (1.0 - ROUNDING)
    reason = f"{halt.reason}: {allowed:,.2f} of {wanted:,.2f} is allowed" if less else None
    return LimitCheck("halt", halt.share, 0.0, halt.share, allowed, reason)


def _minimum_check(minimum: float, allowed: float, reducing: float) -> LimitCheck:
    reason = f"an order must be worth {minimum:,.2f} at least, {allowed:,.2f} was left of it"
    return LimitCheck("minimum_notional", minimum, allowed, 0.0, reducing, reason)
