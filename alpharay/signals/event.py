"""What a stream of signals tells: a market's decision at each newly closed candle, and where a client stands in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec

from alpharay.signals.conclusion import Conclusion
from alpharay.signals.decision import Action
from alpharay.signals.opinion import Component
from alpharay.signals.snapshot import MarketView, utc

_MINUTE_MS = 60_000


class SignalEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an event `signal`; times are UTC."""

    action: Action
    confidence: float
    reason: str
    suggested_fraction: float
    components: tuple[Component, ...]
    symbol: str
    exchange: str
    timeframe: str
    candle_time: datetime
    candle_close_time: datetime
    candle_close: float
    data_age_seconds: float
    generated_at: datetime


def signal_event(
    view: MarketView,
    conclusion: Conclusion,
    *,
    data_age_seconds: float,
    trading_age_seconds: float | None,
    generated_at: datetime,
) -> SignalEvent:
    """Return what a market's view comes to as an event."""
    return SignalEvent(
        action=conclusion.decision.action,
        confidence=conclusion.decision.confidence,
        reason=conclusion.decision.reason,
        suggested_fraction=conclusion.fraction,
        components=conclusion.components(data_age_seconds, trading_age_seconds),
        symbol=view.symbol,
        exchange=view.exchange,
        timeframe=view.timeframe,
        candle_time=utc(view.candle_time),
        candle_close_time=utc(view.close_time),
        candle_close=view.close,
        data_age_seconds=data_age_seconds,
        generated_at=generated_at,
    )


class StreamPosition:
    """Which candle of each market a client has been told of; as text it is the id of an event.

    It is whole in every id, so any replica goes on where another one ended.
    """

    def __init__(self, markets: Sequence[tuple[str, str, str]], last_event_id: str | None = None) -> None:
        self._markets = hashlib.sha256(repr(list(markets)).encode()).hexdigest()[:8]
        self._minutes = [0] * len(markets)
        known, *minutes = (last_event_id or "").split(".")
        # The id of another stream, or no id at all, is no position in this one.
        if known == self._markets and len(minutes) == len(markets) and all(map(_is_number, minutes)):
            self._minutes = [int(minute) for minute in minutes]

    def is_new(self, place: int, candle_time: int) -> bool:
        """Tell whether the client has not been told of a market's candle."""
        return self._minutes[place] != candle_time // _MINUTE_MS

    def advance(self, place: int, candle_time: int) -> None:
        """Note that the client is told of a market's candle."""
        self._minutes[place] = candle_time // _MINUTE_MS

    def __str__(self) -> str:
        return ".".join([self._markets, *map(str, self._minutes)])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
