"""One answer: a market's prepared decision for one request."""

from __future__ import annotations

import difflib
from datetime import datetime

import msgspec

from alpharay.market.timeframe import timeframe_ms
from alpharay.signals.conclusion import Conclusion
from alpharay.signals.decision import Action
from alpharay.signals.opinion import Component
from alpharay.signals.refusal import RefusedError, refuse
from alpharay.signals.request import MarketRequest, SignalRequest
from alpharay.signals.snapshot import MarketView, Snapshot, utc


class SignalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an answer to `POST /generate_signal`; times are UTC."""

    action: Action
    confidence: float
    """In [0, 1]: see `alpharay.signals.combination`."""
    reason: str
    suggested_fraction: float
    """Of the account's equity, at least 0: a suggestion, nothing is placed."""
    components: tuple[Component, ...]
    """What each part says, and its share of the decision."""
    symbol: str
    exchange: str
    timeframe: str
    price: float
    """As the client sent it."""
    candle_time: datetime
    """Open time of the newest closed candle: what the answer rests on."""
    candle_close_time: datetime
    candle_close: float
    data_age_seconds: float
    """The exchange's time now, less the newest candle's close time."""
    strategies: msgspec.Raw
    """The strategies behind it (`StrategyVote`), those of most weight first."""
    signal_id: str
    request_id: str
    generated_at: datetime


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer may rest on."""

    data_age_timeframes: float
    """The oldest that data may be, in time frames of its candles."""
    price_deviation: float
    """How far the client's price may be from the last close, as a fraction of it."""


def find_market(snapshot: Snapshot, request: SignalRequest | MarketRequest) -> MarketView:
    """Return the market that answers; raises RefusedError when nothing is known of it."""
    view = snapshot.find(request.symbol, request.exchange, request.timeframe)
    if view is not None:
        return view
    known = snapshot.markets.get(request.symbol)
    if known is None:
        raise _unknown_symbol(snapshot, request.symbol)
    field = "timeframe" if request.timeframe is not None else "exchange"
    if request.exchange is not None and all(one.exchange != request.exchange for one in known):
        field = "exchange"
    value = getattr(request, field)
    markets = ", ".join(f"{one.exchange} {one.timeframe}" for one in known)
    raise refuse(
        "unknown_market",
        f"no candles of {request.symbol} are stored for {field} {value!r}; there are: {markets}",
        field=field,
        value=value,
        hint=f"leave {field} out, or ingest that market",
    )


def _unknown_symbol(snapshot: Snapshot, symbol: str) -> RefusedError:
    known = snapshot.symbols()
    near = difflib.get_close_matches(symbol, known, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif known:
        hint = f"known are {', '.join(known[:10])}" + (f" and {len(known) - 10} more" if len(known) > 10 else "")
    else:
        hint = "no candles are stored yet: run the ingestion"
    return refuse(
        "unknown_symbol",
        f"no candles of symbol {symbol!r} are stored",
        field="symbol",
        value=symbol,
        hint=hint,
    )


def check_age(view: MarketView, exchange_now_ms: int | None, limits: Limits) -> float:
    """Return the data's age in seconds by the exchange's clock.

    Raises RefusedError when it is above the limit, or unknown because the clock is (None).
    """
    if exchange_now_ms is None:
        raise refuse(
            "stale_data",
            f"the age of {view.symbol} {view.timeframe} is unknown: the clock of exchange "
            f"{view.exchange!r} did not answer",
            field="exchange",
            value=view.exchange,
            hint="check that the exchange runs (`alpharay stack status`)",
            retry_after_s=5,
        )
    age_ms = max(exchange_now_ms - view.close_time, 0)
    allowed_ms = limits.data_age_timeframes * timeframe_ms(view.timeframe)
    if age_ms <= allowed_ms:
        return age_ms / 1000.0
    raise refuse(
        "stale_data",
        f"the newest candle of {view.symbol} {view.timeframe} at {view.exchange} closed at "
        f"{utc(view.close_time).isoformat()}, {age_ms / 1000:.0f} s ago by the exchange's clock; "
        f"at most {allowed_ms / 1000:.0f} s ({limits.data_age_timeframes:g} time frames) are allowed",
        field="symbol",
        value=view.symbol,
        hint="check that the ingestion runs; the answer comes back with the next candle",
        retry_after_s=min(max(timeframe_ms(view.timeframe) // 1000, 1), 60),
    )


def check_price(view: MarketView, price: float, limits: Limits) -> None:
    """Raise RefusedError when the client's price is too far from the last close."""
    if abs(price - view.close) > limits.price_deviation * view.close:
        raise refuse(
            "price_out_of_range",
            f"price {price!r} is {price / view.close - 1.0:+.1%} from the last close {view.close!r} of "
            f"{view.symbol} {view.timeframe}; at most {limits.price_deviation:.0%} is allowed",
            field="price",
            value=price,
            hint=f"check symbol, unit and quote currency; the last close is {view.close!r}",
        )


def answer(
    view: MarketView,
    conclusion: Conclusion,
    request: SignalRequest,
    *,
    data_age_seconds: float,
    trading_age_seconds: float | None,
    signal_id: str,
    request_id: str,
    generated_at: datetime,
) -> SignalAnswer:
    """Return what a market's view comes to as the answer to one request."""
    return SignalAnswer(
        action=conclusion.decision.action,
        confidence=conclusion.decision.confidence,
        reason=conclusion.decision.reason,
        suggested_fraction=conclusion.fraction,
        components=conclusion.components(data_age_seconds, trading_age_seconds),
        symbol=view.symbol,
        exchange=view.exchange,
        timeframe=view.timeframe,
        price=request.price,
        candle_time=utc(view.candle_time),
        candle_close_time=utc(view.close_time),
        candle_close=view.close,
        data_age_seconds=data_age_seconds,
        strategies=view.strategies_json,
        signal_id=signal_id,
        request_id=request_id,
        generated_at=generated_at,
    )
