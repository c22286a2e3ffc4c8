"""A signal walked to a booked order: sized, held to halts and limits, stored, released, filled, in the ledger.

One signal is one order of an account, however often it is asked for: its id follows from both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from alpharay.market.timeframe import timeframe_ms
from alpharay.portfolio.orders import ENDED
from alpharay.portfolio.paper_fills import PaperTerms
from alpharay.signals.refusal import refuse
from alpharay.store.order_bookings import OrderBooking, expected_booking, filled_quantity, order_booking
from alpharay.store.orders import OrderState, find_order, order_state
from alpharay.store.signals import stored_signal
from serve_apps.portfolio_answers import order_answer, placement_answer
from serve_apps.portfolio_service import PortfolioService
from serve_apps.signal_order_requests import (
    SignalBody,
    SignalOrderRequest,
    candle_ms,
    order_request,
    read_signal_order,
    signal_order_id,
    stored_body,
    unknown_signal,
)

LOOK_EVERY_S = 0.1


class SignalOrders:
    """Places the orders of signals through the portfolio service; `terms` are those of the paper broker."""

    def __init__(
        self,
        service: PortfolioService,
        terms: PaperTerms,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._service = service
        self._terms = terms
        self._monotonic = monotonic
        self._sleep = sleep

    def place(self, body: bytes, correlation_id: str) -> Any:
        """Walk a signal as far as it goes, or say how far it would; the same signal again is told as it stands."""
        asked = read_signal_order(body, self._service.default_quote)
        self._service.check_known(asked.account)
        signal = self._signal(asked)
        told = {
            "signal_id": signal.signal_id,
            "action": signal.action,
            "confidence": signal.confidence,
            "candle_time": candle_ms(signal),
        }
        order_id = signal_order_id(asked.account, signal.signal_id)
        made = self._service.stored(partial(find_order, order_id=order_id))
        if made is None:
            if signal.action == "HOLD":
                return {**told, "decision": "hold", "order": None, "stored": False, "dry_run": asked.dry_run}
            self._check_signal(signal)
        wanted = order_request(asked, signal, repeated=made is not None)
        placed, size = self._service.placed(wanted, correlation_id)
        answer = {**told, **placement_answer(placed, wanted, size)}
        state = placed.placement.state
        if state is None:
            return answer
        if asked.dry_run and not answer["stored"]:
            expect = partial(expected_booking, order=state.order, source=self._service.source(), terms=self._terms)
            return {**answer, "expected": _booked(self._service.stored(expect), state)}
        state = self._awaited(state, asked.wait_seconds)
        booking = self._service.stored(partial(order_booking, order=state.order))
        return {**answer, "order": order_answer(state), "booked": _booked(booking, state)}

    def _signal(self, asked: SignalOrderRequest) -> SignalBody:
        if asked.signal is not None:
            return asked.signal
        assert asked.signal_id is not None, "a request has a signal or its id"
        found = self._service.stored(partial(stored_signal, signal_id=asked.signal_id))
        if found is None:
            raise unknown_signal(asked.signal_id)
        return stored_body(found)

    def _check_signal(self, signal: SignalBody) -> None:
        """Refuse a signal of another exchange, or one that is too old to act on."""
        source = self._service.source()
        if signal.exchange != source.exchange:
            raise refuse(
                "invalid_field",
                f"signal.exchange must be {source.exchange!r}, whose prices orders are held to, "
                f"was {signal.exchange[:50]!r}",
                field="signal.exchange",
                value=signal.exchange,
            )
        length = timeframe_ms(signal.timeframe)
        oldest_ms = self._service.prices.oldest_timeframes * length
        age_ms = source.now_ms - candle_ms(signal) - length
        if age_ms > oldest_ms:
            raise refuse(
                "stale_data",
                f"the candle of signal {signal.signal_id} closed {age_ms / 1000:.0f} s ago, "
                f"at most {oldest_ms / 1000:.0f} s serve",
                field="signal.candle_time",
                value=candle_ms(signal),
                hint="ask for a new signal",
                retry_after_s=1,
            )

    def _awaited(self, state: OrderState, wait_s: float) -> OrderState:
        """Return the order once it has ended, or as it stands after `wait_s`."""
        until = self._monotonic() + wait_s
        look = partial(order_state, order_id=state.order.order_id)
        while state.status not in ENDED and self._monotonic() < until:
            self._sleep(LOOK_EVERY_S)
            state = self._service.stored(look)
        return state


def _booked(booking: OrderBooking, state: OrderState) -> dict[str, Any]:
    """Return fills with their entries, and what the account has of the symbol and in cash after them."""
    symbol = state.order.symbol
    return {
        "filled_quantity": filled_quantity(booking),
        "fills": booking.fills,
        "entries": booking.entries,
        "position": booking.book.position(symbol).quantity,
        "cash": booking.book.cash,
    }
