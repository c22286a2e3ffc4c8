"""What a client asks, read strictly: every mistake names the field and the value."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any

import msgspec

from alpharay.market.symbol import resolve_symbol
from alpharay.market.timeframe import timeframe_ms
from alpharay.signals.refusal import RefusedError, as_json, refuse

MOST_REQUESTS = 100
"""Requests in one batch."""

EXAMPLE = '{"symbol": "SOL", "price": 100.0}'

Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="SOL (in the default quote) or SOL/USD")]
Price = Annotated[float, msgspec.Meta(gt=0, description="the price the client sees now, in the quote currency")]
Timeframe = Annotated[str, msgspec.Meta(max_length=8, description="such as 1m, 1h, 1d; the best known one if absent")]
Exchange = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="the one with the most evidence if absent")
]
SignalId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="made by the client: the same request under the same id has the same answer for a day",
    ),
]


class SignalRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /generate_signal`."""

    symbol: Symbol
    price: Price
    timeframe: Timeframe | None = None
    exchange: Exchange | None = None
    signal_id: SignalId | None = None


class MarketRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which market is asked about; the body of `POST /ml/predict`."""

    symbol: Symbol
    timeframe: Timeframe | None = None
    exchange: Exchange | None = None


class SignalBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /generate_signals`: each of its requests is answered or refused on its own."""

    requests: Annotated[
        list[msgspec.Raw],
        msgspec.Meta(min_length=1, max_length=MOST_REQUESTS, description="bodies of /generate_signal"),
    ]


_decoder = msgspec.json.Decoder(SignalRequest)
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING_FIELD = re.compile(r"required field `(?P<name>.*)`")
_PATH = re.compile(r" - at `\$\.?(?P<name>[^`]*)`$")


def read_request(body: bytes, default_quote: str) -> SignalRequest:
    """Return the request in a JSON body, its symbol resolved; raises RefusedError."""
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(body, error) from None
    if not math.isfinite(request.price):
        raise _bad_price(request.price)
    symbol = _checked_symbol(request.symbol, request.timeframe, default_quote)
    return request if symbol == request.symbol else msgspec.structs.replace(request, symbol=symbol)


def read_market(symbol: str, timeframe: str | None, exchange: str | None, default_quote: str) -> MarketRequest:
    """Return the market that a path and a query ask about, its symbol resolved; raises RefusedError."""
    return MarketRequest(
        symbol=_checked_symbol(symbol, timeframe, default_quote), timeframe=timeframe, exchange=exchange
    )


def _checked_symbol(symbol: str, timeframe: str | None, default_quote: str) -> str:
    """Return the symbol in full; raises RefusedError for one, or for a time frame, that cannot be."""
    if timeframe is not None:
        try:
            timeframe_ms(timeframe)
        except ValueError as error:
            raise refuse("invalid_field", str(error), field="timeframe", value=timeframe) from None
    try:
        return resolve_symbol(symbol, default_quote)
    except ValueError as error:
        raise refuse("invalid_field", str(error), field="symbol", value=symbol) from None


def _bad_price(value: object) -> RefusedError:
    return refuse(
        "invalid_field",
        f"price must be a finite number above 0, was {as_json(value)}",
        field="price",
        value=as_json(value),
        hint=f"send a body such as {EXAMPLE}",
    )


def _explained(body: bytes, error: Exception) -> RefusedError:
    """Return why a body that could not be decoded was refused."""
    hint = f"send a body such as {EXAMPLE}"
    fields = _fields(body)
    if fields is None:
        return refuse("invalid_json", f"the body must be JSON: {error}", value=_readable(body), hint=hint)
    if not isinstance(fields, dict):
        return refuse("invalid_json", "the body must be a JSON object", value=_readable(body), hint=hint)
    price = fields.get("price")
    if isinstance(price, float) and not math.isfinite(price):
        return _bad_price(price)
    text = str(error)
    unknown = _UNKNOWN_FIELD.search(text)
    if unknown is not None:
        name = unknown["name"]
        known = ", ".join(SignalRequest.__struct_fields__)
        message = f"unknown field {name[:100]!r}; known are {known}"
        return refuse("unknown_field", message, field=name[:100], value=fields.get(name), hint=hint)
    missing = _MISSING_FIELD.search(text)
    if missing is not None:
        return refuse("missing_field", f"{missing['name']} is required", field=missing["name"], hint=hint)
    path = _PATH.search(text)
    if path is None:
        return refuse("invalid_json", f"the body must be JSON: {error}", value=_readable(body), hint=hint)
    name = path["name"]
    value = fields.get(name)
    if name == "price":
        return _bad_price(value)
    message = f"{name}: {_PATH.sub('', text)}, was {as_json(value)}"
    return refuse("invalid_field", message, field=name, value=value, hint=hint)


def _fields(body: bytes) -> Any:
    """Return the body as Python reads it (NaN and infinities too), or None when that is not JSON either."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _readable(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace")
