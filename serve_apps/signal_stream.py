"""Signals as server-sent events: the newest state first, then an event at each newly closed candle of a market.

No queue stands between a replica and a client: who is slow gets the newest state of each market when it comes to read.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from alpharay.signals.event import SignalEvent, StreamPosition
from alpharay.signals.refusal import Refusal, RefusedError, refuse
from alpharay.signals.request import MarketRequest
from serve_apps.edges.call import call_of
from serve_apps.web.errors import error_response

MOST_STREAMS = 8
"""Of a replica: half of the requests in flight at which another replica is asked for, so streams alone ask for none."""
MOST_OF_A_CLIENT = 4
MOST_SYMBOLS = 50
LONGEST_STREAM_S = 3_600.0
HEARTBEAT_S = 15.0
POLL_S = 0.25
RETRY_MS = 2_000
"""When a client that was cut off comes back, by the protocol's own `retry`."""

EVENT_STREAM = "text/event-stream"


class StreamPlaces:
    """How many streams a replica has open, and whether it goes on with them.

    `closing` tells whether the replica is about to end: then open streams end too, and no new one begins.
    """

    def __init__(self, closing: Callable[[], bool] = lambda: False, *, longest_s: float = LONGEST_STREAM_S) -> None:
        self.closing = closing
        self.longest_s = longest_s
        self._clients: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Open streams."""
        return self._clients.total()

    def enter(self, client: str) -> None:
        """Take a place; raises RefusedError when there is none."""
        problem = None
        if self.closing():
            problem = "this replica is ending"
        elif self.open >= MOST_STREAMS:
            problem = f"this replica has {MOST_STREAMS} streams open, which is the most"
        elif self._clients[client] >= MOST_OF_A_CLIENT:
            problem = f"{client} has {MOST_OF_A_CLIENT} streams open here, which is the most"
        if problem is not None:
            raise refuse(
                "too_many_streams", problem, hint="ask for all symbols in one stream, or try again", retry_after_s=2
            )
        self._clients[client] += 1

    def leave(self, client: str) -> None:
        """Give the place back."""
        self._clients[client] -= 1
        # Without its zero: clients come and go for as long as the replica lives.
        self._clients += Counter()


class SignalStream(Response):
    """Holds a place for as long as it answers; the place is given back however that ends."""

    media_type = EVENT_STREAM

    def __init__(self, places: StreamPlaces, events: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._places = places
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        client = _client_of(scope)
        try:
            self._places.enter(client)
        except RefusedError as error:
            await error_response(error.refusal)(scope, receive, send)
            return
        try:
            # No proxy on the way shall collect what is meant to be read now.
            headers = {"X-Accel-Buffering": "no"}
            await StreamingResponse(self._events, media_type=EVENT_STREAM, headers=headers)(scope, receive, send)
        finally:
            self._places.leave(client)


async def signal_events(
    markets: Sequence[MarketRequest],
    position: StreamPosition,
    newest: Callable[[MarketRequest], int | None],
    event: Callable[[MarketRequest], SignalEvent],
    places: StreamPlaces,
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[bytes]:
    """Yield the events of some markets until the stream has lasted long enough or the replica ends.

    `newest` tells the open time of a market's newest closed candle, None when it is gone, and `event` what to tell of
    it; a RefusedError of `event` is told as an event `refused`.
    """
    began = told_at = monotonic()
    yield f"retry: {RETRY_MS}\n\n".encode()
    while True:
        for place, market in enumerate(markets):
            candle_time = newest(market)
            if candle_time is None or not position.is_new(place, candle_time):
                continue
            position.advance(place, candle_time)
            told_at = monotonic()
            try:
                yield _event("signal", event(market), position)
            except RefusedError as error:
                yield _event("refused", _told(market, error.refusal), position)
        now = monotonic()
        if places.closing() or now - began >= places.longest_s:
            yield b'event: end\ndata: {"reason":"come back with Last-Event-ID"}\n\n'
            return
        if now - told_at >= HEARTBEAT_S:
            told_at = now
            yield b": heartbeat\n\n"
        await asyncio.sleep(min(POLL_S, places.longest_s))


def _event(kind: str, data: object, position: StreamPosition) -> bytes:
    # JSON has no line ends of its own: one line of data.
    return b"event: %b\nid: %b\ndata: %b\n\n" % (kind.encode(), str(position).encode(), msgspec.json.encode(data))


def _told(market: MarketRequest, refusal: Refusal) -> dict[str, object]:
    return {
        "symbol": market.symbol,
        "exchange": market.exchange,
        "timeframe": market.timeframe,
        "error": {"code": refusal.code, "message": refusal.message, "hint": refusal.hint},
    }


def _client_of(scope: Scope) -> str:
    with suppress(KeyError):
        client = call_of(scope).client
        if client is not None:
            return client.name
    return "this client"
