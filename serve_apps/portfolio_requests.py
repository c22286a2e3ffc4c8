"""The bodies that the portfolio service takes, as typed values; what is wrong with them is said field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from alpharay.market.symbol import resolve_symbol
from alpharay.signals.refusal import refuse
from alpharay.store.order_placement import OrderWish
from alpharay.store.trading_halts import PAPER
from serve_apps.web.decoded_body import decode_body

MOST_MONEY = 1e12
MOST_ASSETS = 20
MOST_OBSERVATIONS = 2_000
LARGEST_TIME_MS = 2**53
"""As far as every JSON reader counts exactly."""

Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="BTC/USD; BTC means the default quote")]
Account = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
OrderId = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$", description="made by the client: the same again is one order"),
]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, msgspec.Meta(ge=0.0, le=1_000.0)]
Multiple = Annotated[float, msgspec.Meta(ge=0.0, le=10.0, description="of the account's equity")]
Trades = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Price = Annotated[float, msgspec.Meta(ge=1e-8, le=MOST_MONEY)]

_ORDER_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class RecordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strategy's unseen closed trades; mean win and loss as fractions of what was invested, both positive."""

    wins: Trades
    losses: Trades
    average_win: Rate
    average_loss: Rate


class FixedFractionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lose `risk` of the equity at a stop that is `stop_distance` of the price away."""

    risk: Share
    stop_distance: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
    maximum: Multiple = 1.0


class KellyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fraction of Kelly's bet, shrunk by how little the record tells."""

    record: RecordBody
    fraction: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.25
    maximum: Multiple = 1.0


class VolatilityTargetBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A size whose volatility is `target`; both over the same time."""

    target: Rate
    volatility: Rate
    maximum: Multiple = 1.0


class BlendBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TradeStream's 0.4/0.3/0.3 of Kelly, volatility target and confidence; `volatility` is a year's."""

    record: RecordBody
    confidence: Share
    volatility: Rate
    risk_budget: Share = 0.005
    kelly_fraction: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.25
    maximum: Multiple = 2.0


class SizeMethods(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Methods that size one trade."""

    fixed_fraction: FixedFractionBody | None = None
    fractional_kelly: KellyBody | None = None
    volatility_target: VolatilityTargetBody | None = None
    blended: BlendBody | None = None


class RiskParityBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several symbols and their share of the risk, equal without `budgets`; rows are in the symbols' order."""

    symbols: Annotated[list[Symbol], msgspec.Meta(min_length=1, max_length=MOST_ASSETS)]
    covariance: Annotated[
        list[
            Annotated[
                list[Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]],
                msgspec.Meta(min_length=1, max_length=MOST_ASSETS),
            ]
        ],
        msgspec.Meta(min_length=1, max_length=MOST_ASSETS),
    ]
    budgets: (
        Annotated[
            list[Annotated[float, msgspec.Meta(gt=0.0, le=1e6)]], msgspec.Meta(min_length=1, max_length=MOST_ASSETS)
        ]
        | None
    ) = None


class SizeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /size`: the methods that shall size the trade, or the portfolio; with `equity` in money too."""

    methods: SizeMethods = SizeMethods()
    risk_parity: RiskParityBody | None = None
    equity: Annotated[float, msgspec.Meta(gt=0.0, le=MOST_MONEY)] | None = None


class MarginalRiskRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /risk/marginal`: a trade of a `fraction` of the equity, or of a `notional` in its currency.

    `level` is that of the values at risk, `observations` the returns that they rest on, and a stop is `stop_deviations`
    standard deviations of a candle away. A symbol without a group is in that of what it trades: BTC of BTC/USD.
    """

    symbol: Symbol
    side: Literal["buy", "sell"]
    account: Account = PAPER
    fraction: Multiple | None = None
    notional: Annotated[float, msgspec.Meta(ge=0.0, le=MOST_MONEY)] | None = None
    level: Annotated[float, msgspec.Meta(ge=0.5, le=0.9999)] = 0.99
    observations: Annotated[int, msgspec.Meta(ge=2, le=MOST_OBSERVATIONS)] = 500
    stop_deviations: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] = 2.0
    groups: Annotated[
        dict[Symbol, Annotated[str, msgspec.Meta(min_length=1, max_length=64)]], msgspec.Meta(max_length=MOST_ASSETS)
    ] = {}


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /orders`: its size is a `fraction` of the equity, or by one of the `methods`."""

    order_id: OrderId
    symbol: Symbol
    side: Literal["buy", "sell"]
    account: Account = PAPER
    fraction: Multiple | None = None
    methods: SizeMethods | None = None
    limit_price: Price | None = None
    expires_ms: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_TIME_MS)] | None = None
    dry_run: bool = True


EXAMPLES: Mapping[type[msgspec.Struct], str] = {
    SizeRequest: '{"methods": {"fixed_fraction": {"risk": 0.01, "stop_distance": 0.05}}, "equity": 10000.0}',
    MarginalRiskRequest: '{"symbol": "ETH/USD", "side": "buy", "fraction": 0.05}',
    OrderRequest: '{"order_id": "desk-1", "symbol": "BTC/USD", "side": "buy", "fraction": 0.05, "dry_run": true}',
}

_size_decoder = msgspec.json.Decoder(SizeRequest)
_marginal_decoder = msgspec.json.Decoder(MarginalRiskRequest)
_order_decoder = msgspec.json.Decoder(OrderRequest)


def read_size(body: bytes) -> SizeRequest:
    """Return the request; raises RefusedError."""
    asked = decode_body(body, _size_decoder, EXAMPLES[SizeRequest])
    if asked.methods == SizeMethods() and asked.risk_parity is None:
        names = ", ".join((*SizeMethods.__struct_fields__, "or risk_parity beside them"))
        raise refuse(
            "missing_field",
            f"methods must name at least one: {names}",
            field="methods",
            hint=f"send a body such as {EXAMPLES[SizeRequest]}",
        )
    return asked


def read_order(body: bytes, default_quote: str) -> OrderRequest:
    """Return the request with its symbol resolved; raises RefusedError."""
    asked = decode_body(body, _order_decoder, EXAMPLES[OrderRequest])
    hint = f"send a body such as {EXAMPLES[OrderRequest]}"
    if (asked.fraction is None) == (asked.methods is None):
        raise refuse("missing_field", "either fraction or methods is required", field="fraction", hint=hint)
    if asked.methods is not None:
        named = [name for name in SizeMethods.__struct_fields__ if getattr(asked.methods, name) is not None]
        if len(named) != 1:
            raise refuse(
                "invalid_field", "methods of an order must name exactly one", field="methods", value=named, hint=hint
            )
    return msgspec.structs.replace(asked, symbol=read_symbol(asked.symbol, "symbol", default_quote))


def read_marginal_risk(body: bytes, default_quote: str) -> MarginalRiskRequest:
    """Return the request with its symbols resolved; raises RefusedError."""
    asked = decode_body(body, _marginal_decoder, EXAMPLES[MarginalRiskRequest])
    if (asked.fraction is None) == (asked.notional is None):
        raise refuse(
            "missing_field",
            "either fraction or notional is required",
            field="fraction",
            hint=f"send a body such as {EXAMPLES[MarginalRiskRequest]}",
        )
    groups = {read_symbol(name, "groups", default_quote): group for name, group in asked.groups.items()}
    return msgspec.structs.replace(asked, symbol=read_symbol(asked.symbol, "symbol", default_quote), groups=groups)


def read_symbol(text: str, field: str, default_quote: str) -> str:
    """Return a symbol in the unified form; raises RefusedError."""
    try:
        return resolve_symbol(text, default_quote)
    except ValueError as error:
        raise refuse("invalid_field", str(error), field=field, value=text) from None


def read_order_id(text: str) -> str:
    """Return the id of an order as it stands in a path; raises RefusedError."""
    if _ORDER_ID.fullmatch(text) is None:
        raise refuse(
            "invalid_field",
            f"order_id must have 1 to 64 letters, digits or ._:-, was {text[:100]!r}",
            field="order_id",
            value=text,
        )
    return text


def wish_of(asked: OrderRequest, fraction: float) -> OrderWish:
    """Return what is asked, at a size, as the placement takes it."""
    return OrderWish(
        order_id=asked.order_id,
        account_id=asked.account,
        symbol=asked.symbol,
        side=asked.side,
        fraction=fraction,
        limit_price=None if asked.limit_price is None else Decimal(repr(asked.limit_price)),
        expires_ms=asked.expires_ms,
    )
