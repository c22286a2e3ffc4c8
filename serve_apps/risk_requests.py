"""The bodies that the risk service takes, as typed values; what is wrong with them is said field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from alpharay.market.symbol import resolve_symbol
from alpharay.risk.limits import PortfolioState, ProposedTrade, RiskLimits
from alpharay.signals.refusal import refuse
from alpharay.store.trading_halts import ALL_ACCOUNTS, PAPER
from serve_apps.web.decoded_body import decode_body

MOST_MONEY = 1e15
"""Sums of so much, a thousand times, are still exact to a cent or so, and far from infinity."""

MOST_POSITIONS = 1_000

Money = Annotated[float, msgspec.Meta(ge=-MOST_MONEY, le=MOST_MONEY)]
Size = Annotated[float, msgspec.Meta(ge=0.0, le=MOST_MONEY)]
Positions = Annotated[dict[str, Money], msgspec.Meta(max_length=MOST_POSITIONS)]
Sizes = Annotated[dict[str, Size], msgspec.Meta(max_length=MOST_POSITIONS)]
Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="BTC/USD; BTC means the default quote")]
Account = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9_-]{0,63}|\*)$")]
Text = Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=500)]
EventId = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$", description="made by the client: the same again has one effect"),
]


class TradeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order that somebody wants: its value in the account's currency, below zero to sell."""

    symbol: Symbol
    notional: Money
    minimum_notional: Size = 0.0


class StateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the account holds and has under way; the equity of the day's start and the highest are today's if absent."""

    equity: Money
    day_start_equity: Money | None = None
    peak_equity: Money | None = None
    positions: Positions = {}
    open_buys: Sizes = {}
    open_sells: Sizes = {}
    groups: Annotated[
        dict[str, Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=MOST_POSITIONS)
    ] = {}
    orders_last_second: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class LimitsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits beside the account's stored ones: of two the narrower counts."""

    position: float | None = None
    concentration: float | None = None
    gross: float | None = None
    net: float | None = None
    daily_loss: float | None = None
    drawdown: float | None = None
    orders_per_second: int | None = None


class AssessRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /assess`."""

    trade: TradeBody
    state: StateBody
    account: Account = PAPER
    limits: LimitsBody | None = None


class VarRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /var`: `weights` (shares of equity), or `positions` (money) with the `equity`."""

    weights: (
        Annotated[dict[str, Annotated[float, msgspec.Meta(ge=-1_000, le=1_000)]], msgspec.Meta(max_length=100)] | None
    ) = None
    positions: Annotated[dict[str, Money], msgspec.Meta(max_length=100)] | None = None
    equity: Annotated[float, msgspec.Meta(gt=0.0, le=MOST_MONEY)] | None = None
    level: Annotated[float, msgspec.Meta(ge=0.5, le=0.9999)] = 0.99
    observations: Annotated[int, msgspec.Meta(ge=2, le=1_000)] = 500
    timeframe: Annotated[str, msgspec.Meta(max_length=8)] | None = None
    exchange: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class SwitchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /resume`; without an account it is for all of them."""

    actor: Text
    reason: Text
    account: Account = ALL_ACCOUNTS
    event_id: EventId | None = None


class HaltRequest(SwitchRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /halt`: scope ALL stops every order, INCREASES those that open positions or add to them."""

    scope: Literal["ALL", "INCREASES"] = "ALL"


class AllLimitsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every limit of an account; null is no limit."""

    position: float | None
    concentration: float | None
    gross: float | None
    net: float | None
    daily_loss: float | None
    drawdown: float | None
    orders_per_second: int | None


class LimitsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /limits/{account}`: all of the account's limits, who sets them and why."""

    limits: AllLimitsBody
    actor: Text
    reason: Text
    event_id: EventId | None = None


EXAMPLES: Mapping[type[msgspec.Struct], str] = {
    AssessRequest: '{"trade": {"symbol": "BTC/USD", "notional": 1000.0}, '
    '"state": {"equity": 10000.0, "positions": {"BTC/USD": 500.0}}}',
    VarRequest: '{"weights": {"BTC/USD": 0.5, "ETH/USD": 0.3}, "level": 0.99}',
    SwitchRequest: '{"actor": "ann", "reason": "prices are right again"}',
    HaltRequest: '{"actor": "ann", "reason": "prices look wrong"}',
    LimitsRequest: '{"actor": "ann", "reason": "a smaller account", "limits": {"position": 0.1, "concentration": 0.2, '
    '"gross": 0.5, "net": 0.5, "daily_loss": 0.02, "drawdown": 0.05, "orders_per_second": 2}}',
}

_assess_decoder = msgspec.json.Decoder(AssessRequest)
_var_decoder = msgspec.json.Decoder(VarRequest)
_resume_decoder = msgspec.json.Decoder(SwitchRequest)
_halt_decoder = msgspec.json.Decoder(HaltRequest)
_limits_decoder = msgspec.json.Decoder(LimitsRequest)


def read_assessment(body: bytes, default_quote: str) -> tuple[AssessRequest, PortfolioState, ProposedTrade]:
    """Return the request, the account's state and the trade, all symbols resolved; raises RefusedError."""
    asked = decode_body(body, _assess_decoder, EXAMPLES[AssessRequest])
    state, trade = asked.state, asked.trade
    try:
        proposed = ProposedTrade(
            symbol=resolve_symbol(trade.symbol, default_quote),
            notional=trade.notional,
            minimum_notional=trade.minimum_notional,
        )
    except ValueError as error:
        raise refuse("invalid_field", str(error), field="trade", value=msgspec.to_builtins(trade)) from None
    held = PortfolioState(
        equity=state.equity,
        day_start_equity=state.equity if state.day_start_equity is None else state.day_start_equity,
        peak_equity=state.equity if state.peak_equity is None else state.peak_equity,
        positions=by_symbol(state.positions, "state.positions", default_quote),
        open_buys=by_symbol(state.open_buys, "state.open_buys", default_quote),
        open_sells=by_symbol(state.open_sells, "state.open_sells", default_quote),
        groups=by_symbol(state.groups, "state.groups", default_quote),
        orders_last_second=state.orders_last_second,
    )
    return asked, held, proposed


def narrower(stored: RiskLimits, asked: LimitsBody | None) -> RiskLimits:
    """Return the narrower of each two limits; raises RefusedError for one that is none."""
    if asked is None:
        return stored
    chosen: dict[str, Any] = {}
    for name in LimitsBody.__struct_fields__:
        known = [value for value in (getattr(stored, name), getattr(asked, name)) if value is not None]
        chosen[name] = min(known, default=None)
    try:
        RiskLimits(**{**chosen, **{name: getattr(asked, name) for name in LimitsBody.__struct_fields__}})
    except ValueError as error:
        raise refuse("invalid_field", str(error), field="limits", value=msgspec.to_builtins(asked)) from None
    return RiskLimits(**chosen)


def read_var(body: bytes, default_quote: str) -> tuple[VarRequest, dict[str, float]]:
    """Return the request and the weights by symbol; raises RefusedError."""
    asked = decode_body(body, _var_decoder, EXAMPLES[VarRequest])
    hint = f"send a body such as {EXAMPLES[VarRequest]}"
    if (asked.weights is None) == (asked.positions is None):
        raise refuse("missing_field", "either weights or positions are required", field="weights", hint=hint)
    if asked.weights is not None:
        weights = by_symbol(asked.weights, "weights", default_quote)
    else:
        if asked.equity is None:
            raise refuse("missing_field", "equity is required with positions", field="equity", hint=hint)
        positions = by_symbol(asked.positions or {}, "positions", default_quote)
        weights = {symbol: value / asked.equity for symbol, value in positions.items()}
    if not weights or not all(math.isfinite(value) for value in weights.values()):
        raise refuse(
            "invalid_field", "weights must name at least one symbol", field="weights", value=weights, hint=hint
        )
    return asked, weights


def read_resume(body: bytes) -> SwitchRequest:
    """Return the request; raises RefusedError."""
    return decode_body(body, _resume_decoder, EXAMPLES[SwitchRequest])


def read_halt(body: bytes) -> HaltRequest:
    """Return the request; raises RefusedError."""
    return decode_body(body, _halt_decoder, EXAMPLES[HaltRequest])


def read_limits(body: bytes) -> tuple[LimitsRequest, RiskLimits]:
    """Return the request and the limits; raises RefusedError."""
    asked = decode_body(body, _limits_decoder, EXAMPLES[LimitsRequest])
    try:
        return asked, RiskLimits(**msgspec.structs.asdict(asked.limits))
    except ValueError as error:
        raise refuse("invalid_field", str(error), field="limits", value=msgspec.to_builtins(asked.limits)) from None


def by_symbol(values: Mapping[str, Any], field: str, default_quote: str) -> dict[str, Any]:
    """Return a mapping with its symbols resolved; raises RefusedError for no symbol, or one that comes twice."""
    resolved: dict[str, Any] = {}
    for text, value in values.items():
        try:
            symbol = resolve_symbol(text, default_quote)
        except ValueError as error:
            raise refuse("invalid_field", str(error), field=field, value=text) from None
        if symbol in resolved:
            raise refuse(
                "invalid_field", f"{field} must name each symbol once, was {symbol} twice", field=field, value=text
            )
        resolved[symbol] = value
    return resolved
