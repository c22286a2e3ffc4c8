"""The body of an order from a signal: the signal itself, or the id of a stored one, and how much of it to trade."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from alpharay.market.timeframe import timeframe_ms
from alpharay.portfolio.orders import LONGEST_ID
from alpharay.signals.refusal import RefusedError, refuse
from alpharay.store.signals import StoredSignal
from alpharay.store.trading_halts import PAPER
from serve_apps.portfolio_requests import (
    LARGEST_TIME_MS,
    Account,
    Multiple,
    OrderRequest,
    Price,
    SizeMethods,
    Symbol,
    read_symbol,
)
from serve_apps.web.decoded_body import decode_body

LONGEST_WAIT_S = 5.0
"""With what the rest takes less than the edges' time limit."""

SignalId = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$", description="one signal is one order of an account"),
]
Time = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_TIME_MS)]


class SignalBody(msgspec.Struct, frozen=True, kw_only=True):
    """A signal, as `POST /generate_signal` answers it or the topic `signals` carries it; what else it says is free."""

    signal_id: SignalId
    action: Literal["BUY", "SELL", "HOLD"]
    symbol: Symbol
    exchange: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    timeframe: Annotated[str, msgspec.Meta(min_length=1, max_length=8)]
    candle_time: Time | datetime
    confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None
    suggested_fraction: Multiple | None = None


class SignalOrderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /orders/from-signal`.

    Its size is a `fraction` of the equity, or by one of the `methods`, or what the signal suggests. With `dry_run`
    nothing is stored, and the answer says how it would be filled and booked. Without, `wait_seconds` is how long the
    answer may wait for its fills.
    """

    signal: SignalBody | None = None
    signal_id: SignalId | None = None
    account: Account = PAPER
    fraction: Multiple | None = None
    methods: SizeMethods | None = None
    limit_price: Price | None = None
    expires_ms: Time | None = None
    dry_run: bool = True
    wait_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=LONGEST_WAIT_S)] = 0.0


SIGNAL_ORDER_EXAMPLE = (
    '{"signal": {"signal_id": "s-1", "action": "BUY", "symbol": "BTC/USD", "exchange": "simulated", "timeframe": "1m", '
    '"candle_time": 1700000000000, "confidence": 0.4, "suggested_fraction": 0.05}, "dry_run": true}'
)

_decoder = msgspec.json.Decoder(SignalOrderRequest)


def read_signal_order(body: bytes, default_quote: str) -> SignalOrderRequest:
    """Return the request with its symbol resolved; raises RefusedError."""
    asked = decode_body(body, _decoder, SIGNAL_ORDER_EXAMPLE)
    hint = f"send a body such as {SIGNAL_ORDER_EXAMPLE}"
    if (asked.signal is None) == (asked.signal_id is None):
        raise refuse("missing_field", "either signal or signal_id is required", field="signal", hint=hint)
    if asked.fraction is not None and asked.methods is not None:
        raise refuse("invalid_field", "fraction and methods exclude each other", field="fraction", value=asked.fraction)
    if asked.signal is None:
        return asked
    symbol = read_symbol(asked.signal.symbol, "signal.symbol", default_quote)
    try:
        timeframe_ms(asked.signal.timeframe)
    except ValueError as error:
        raise refuse(
            "invalid_field", str(error), field="signal.timeframe", value=asked.signal.timeframe, hint=hint
        ) from None
    return msgspec.structs.replace(asked, signal=msgspec.structs.replace(asked.signal, symbol=symbol))


def stored_body(signal: StoredSignal) -> SignalBody:
    """Return a stored signal as the body that it would have been."""
    return msgspec.convert(
        {name: getattr(signal, name) for name in SignalBody.__struct_fields__ if hasattr(signal, name)}, SignalBody
    )


def candle_ms(signal: SignalBody) -> int:
    """Return the open time of the candle that a signal rests on, UTC ms; raises RefusedError for no time of a day."""
    if isinstance(signal.candle_time, int):
        return signal.candle_time
    if signal.candle_time.tzinfo is None:
        raise refuse(
            "invalid_field",
            f"signal.candle_time must say its time zone, was {signal.candle_time.isoformat()}",
            field="signal.candle_time",
            value=signal.candle_time.isoformat(),
        )
    return int(signal.candle_time.timestamp() * 1000)


def order_request(asked: SignalOrderRequest, signal: SignalBody, *, repeated: bool) -> OrderRequest:
    """Return the order that a BUY or SELL asks for: one id for one signal and account; raises RefusedError.

    One that is `repeated` was sized when it was made, and needs no size any more.
    """
    fraction = asked.fraction
    if fraction is None and asked.methods is None:
        fraction = 0.0 if repeated else signal.suggested_fraction
    if fraction is None and asked.methods is None:
        raise refuse(
            "missing_field",
            "fraction or methods is required: the signal suggests no size",
            field="fraction",
            hint=f"send a body such as {SIGNAL_ORDER_EXAMPLE}",
        )
    return OrderRequest(
        order_id=signal_order_id(asked.account, signal.signal_id),
        symbol=signal.symbol,
        side="buy" if signal.action == "BUY" else "sell",
        account=asked.account,
        fraction=fraction,
        methods=asked.methods,
        limit_price=asked.limit_price,
        expires_ms=asked.expires_ms,
        dry_run=asked.dry_run,
    )


def signal_order_id(account: str, signal_id: str) -> str:
    """Return the id of the one order that an account makes of a signal."""
    plain = f"{account}:{signal_id}"
    return plain if len(plain) <= LONGEST_ID else f"signal:{hashlib.sha256(plain.encode()).hexdigest()[:40]}"


def unknown_signal(signal_id: str) -> RefusedError:
    """Return the refusal of an id that no stored signal has."""
    return refuse(
        "unknown_signal",
        f"signal {signal_id!r} is not stored",
        field="signal_id",
        value=signal_id,
        hint="send the whole answer as `signal`: it is stored some moments after it was given",
    )
