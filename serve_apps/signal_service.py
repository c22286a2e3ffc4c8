"""Answer signal requests from memory: no database, no broker and no exchange is waited for."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from alpharay.bus.background_publisher import BackgroundPublisher
from alpharay.bus.messages import SignalMessage
from alpharay.bus.topics import SIGNALS
from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.signals.answer import Limits, SignalAnswer, answer, check_age, check_price, find_market
from alpharay.signals.event import SignalEvent, signal_event
from alpharay.signals.opinion import DEGRADED
from alpharay.signals.refusal import Refusal, RefusedError, refuse
from alpharay.signals.request import EXAMPLE, MarketRequest, SignalBatch, SignalRequest, read_market, read_request
from alpharay.signals.snapshot import MarketView, utc
from alpharay.signals.trading_state import TradingState
from alpharay.store.remembered_answers import MemoryUnavailableError, RememberedAnswers
from alpharay.telemetry.identifiers import new_identifier
from serve_apps.background_copy import BackgroundCopy
from serve_apps.signal_conclusions import Conclusions
from serve_apps.signal_refresh import SnapshotRefresher
from serve_apps.web.decoded_body import decode_body


class Answered(NamedTuple):
    """One answer as it goes out, and what the log says about it."""

    body: bytes
    symbol: str
    action: str
    replayed: bool


class KeptAnswer(msgspec.Struct, frozen=True):
    """What the log says of an answer that is given again; an older version of the service may have made it."""

    symbol: str
    action: str


BATCH_EXAMPLE = f'{{"requests": [{EXAMPLE}]}}'

_encoder = msgspec.json.Encoder()
_batch_decoder = msgspec.json.Decoder(SignalBatch)
_kept_decoder = msgspec.json.Decoder(KeptAnswer)


class SignalService:
    """What the HTTP side asks: answers, readiness, status."""

    def __init__(
        self,
        refresher: SnapshotRefresher,
        trading: BackgroundCopy[TradingState],
        clock: ExchangeClock,
        answers: RememberedAnswers,
        publisher: BackgroundPublisher | None,
        *,
        limits: Limits,
        default_quote: str,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.refresher = refresher
        self.conclusions = Conclusions(trading)
        self.publisher = publisher
        self.limits = limits
        self._clock = clock
        self._answers = answers
        self._default_quote = default_quote
        self._now_ms = now_ms

    async def generate_many(self, body: bytes, request_id: str) -> list[Answered | Refusal]:
        """Answer each request in a JSON body, or refuse it on its own, in their order; raises RefusedError."""
        batch = decode_body(body, _batch_decoder, BATCH_EXAMPLE)

        async def one(asked: bytes) -> Answered | Refusal:
            try:
                return await self.generate(asked, request_id)
            except RefusedError as error:
                return error.refusal

        # Together, since those with an id of the client wait for the memory of answers.
        return await asyncio.gather(*(one(bytes(asked)) for asked in batch.requests))

    def view(self, request: SignalRequest | MarketRequest) -> MarketView:
        """Return the newest view of the market that is asked about; raises RefusedError."""
        if not self.refresher.ready:
            raise refuse(
                "not_ready",
                "the first snapshot is not loaded yet",
                hint="check /health/ready and that PostgreSQL runs (`alpharay stack status`)",
                retry_after_s=2,
            )
        return find_market(self.refresher.snapshot, request)

    def data_age_s(self, view: MarketView) -> float:
        """Return the age of a market's newest candle in seconds; raises RefusedError when it is too old to speak."""
        return check_age(view, self._clock.now_ms(view.exchange), self.limits)

    def market(self, symbol: str, timeframe: str | None, exchange: str | None) -> MarketRequest:
        """Return what a path and a query ask about; raises RefusedError."""
        return read_market(symbol, timeframe, exchange, self._default_quote)

    def event(self, request: MarketRequest) -> SignalEvent:
        """Return a market's newest decision for a stream; raises RefusedError. It is not published."""
        view = self.view(request)
        age = self.data_age_s(view)
        conclusion, trading_age = self.conclusions.of(view)
        return signal_event(
            view,
            conclusion,
            data_age_seconds=age,
            trading_age_seconds=trading_age,
            generated_at=utc(self._now_ms()),
        )

    def newest_candle(self, request: MarketRequest) -> int | None:
        """Return the open time of a market's newest closed candle; None when it is not known any more."""
        view = self.refresher.snapshot.find(request.symbol, request.exchange, request.timeframe)
        return None if view is None else view.candle_time

    async def generate(self, body: bytes, request_id: str) -> Answered:
        """Answer the request in a JSON body; raises RefusedError."""
        request = read_request(body, self._default_quote)
        if request.signal_id is None:
            view, made = self._answer(request, new_identifier(), request_id)
            self._publish(view, made)
            return Answered(_encoder.encode(made), view.symbol, made.action, replayed=False)
        try:
            return await self._generate_once(request, request.signal_id, request_id)
        except MemoryUnavailableError:
            raise refuse(
                "memory_unavailable",
                "whether this signal_id was answered before cannot be known: the memory of answers does not reply",
                field="signal_id",
                value=request.signal_id,
                hint="try again, or leave signal_id out",
                retry_after_s=1,
            ) from None

    async def _generate_once(self, request: SignalRequest, signal_id: str, request_id: str) -> Answered:
        """Answer a request under the client's id: the first answer is the answer."""
        asked = _encoder.encode(request)
        known = await self._answers.recall(signal_id)
        if known is None:
            view, made = self._answer(request, signal_id, request_id)
            mine = _encoder.encode(made)
            known = await self._answers.remember(signal_id, asked, mine)
            # A rival request with the same id may have been first; then its answer counts, and it publishes.
            if known.request == asked and known.answer == mine:
                self._publish(view, made)
                return Answered(known.answer, view.symbol, made.action, replayed=False)
        if known.request != asked:
            raise refuse(
                "signal_id_reused",
                f"signal_id {signal_id!r} has answered another request: {known.request.decode()}",
                field="signal_id",
                value=signal_id,
                hint="make a new id for a new request",
            )
        before = _kept_decoder.decode(known.answer)
        return Answered(known.answer, before.symbol, before.action, replayed=True)

    def _answer(self, request: SignalRequest, signal_id: str, request_id: str) -> tuple[MarketView, SignalAnswer]:
        view = self.view(request)
        age = self.data_age_s(view)
        check_price(view, request.price, self.limits)
        conclusion, trading_age = self.conclusions.of(view)
        made = answer(
            view,
            conclusion,
            request,
            data_age_seconds=age,
            trading_age_seconds=trading_age,
            signal_id=signal_id,
            request_id=request_id,
            generated_at=utc(self._now_ms()),
        )
        return view, made

    def _publish(self, view: MarketView, made: SignalAnswer) -> None:
        if self.publisher is None:
            return
        message = SignalMessage(
            signal_id=made.signal_id,
            request_id=made.request_id,
            exchange=view.exchange,
            symbol=view.symbol,
            timeframe=view.timeframe,
            action=made.action,
            confidence=made.confidence,
            price=made.price,
            candle_time=view.candle_time,
            candle_close=view.close,
            strategy_ids=view.strategy_ids,
            generated_at=int(made.generated_at.timestamp() * 1000.0),
            exchange_time=view.close_time + round(made.data_age_seconds * 1000.0),
            strategy_sides=view.strategy_sides,
        )
        self.publisher.offer(SIGNALS, message, key=view.symbol, correlation_id=made.request_id)

    def status(self) -> dict[str, Any]:
        """Return what the service knows and how fresh it is, for people and monitors."""
        refresher, publisher = self.refresher, self.publisher
        markets = [self._market_status(view) for view in refresher.snapshot.views()]
        return {
            "ready": refresher.ready,
            "time": datetime.now(UTC),
            "process_id": os.getpid(),
            "snapshot": {
                "age_seconds": refresher.age_s(),
                "refresh_failures": refresher.failures,
                "last_error": refresher.last_error,
            },
            "symbols": list(refresher.snapshot.symbols()),
            "strategies": sum(len(view.strategies) for view in refresher.snapshot.views()),
            "markets": markets,
            "trading": self._trading_status(),
            "limits": self.limits,
            "answers_shared_between_replicas": self._answers.is_shared,
            "publisher": None
            if publisher is None
            else {
                "published": publisher.published,
                "waiting": publisher.waiting,
                "dropped": publisher.dropped,
                "failures": publisher.failures,
            },
        }

    def _trading_status(self) -> dict[str, Any]:
        trading = self.conclusions.trading
        state = trading.held
        return {
            "account": state.account,
            "halts": [*state.halts, *((state.opening.reason,) if state.opening is not None else ())],
            "positions_known": state.portfolio is not None,
            "age_seconds": trading.age_s(),
            "refresh_failures": trading.failures,
            "last_error": trading.last_error,
        }

    def _market_status(self, view: MarketView) -> dict[str, Any]:
        fresh = True
        age: float | None = None
        try:
            age = self.data_age_s(view)
        except RefusedError:
            fresh = False
        return {
            "symbol": view.symbol,
            "exchange": view.exchange,
            "timeframe": view.timeframe,
            "candle_time": utc(view.candle_time),
            "candle_close": view.close,
            "data_age_seconds": age,
            "fresh": fresh,
            "candles": view.candles,
            "strategies": len(view.strategies),
            "model": view.model.model_id,
            "action": self.conclusions.of(view)[0].decision.action,
            "degraded": sorted({flag for one in view.opinions if DEGRADED in one.flags for flag in one.flags}),
            "problems": list(view.problems),
        }
