"""How trading stands for the account that signals are for: switches at every reading, positions every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.risk.limits import PortfolioState
from alpharay.signals.trading_state import TradingState
from alpharay.store.order_placement import portfolio_state
from alpharay.store.trading_halts import ALL_ACCOUNTS, opening_halt, trading_switches

POSITIONS_EVERY_S = 2.0


class SignalTrading:
    """Reads the state of trading; one thread uses it.

    `closes` tells the newest price of each symbol that is known, `now_ms` the time of the marks.
    """

    def __init__(
        self,
        account: str,
        closes: Callable[[], Mapping[str, Decimal]],
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._closes = closes
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._positions_read_at = -POSITIONS_EVERY_S
        self._portfolio: PortfolioState | None = None
        self._state = TradingState(account=account)

    def refresh(self, connection: Connection[TupleRow]) -> TradingState:
        """Return the state as it is now; the same object when nothing changed."""
        account = self._state.account
        switches = trading_switches(connection)
        own = switches.get(account)
        both = [switch for switch in (switches.get(ALL_ACCOUNTS), own) if switch is not None]
        if own is None:
            self._portfolio = None
        elif self._monotonic() - self._positions_read_at >= POSITIONS_EVERY_S:
            self._portfolio = self._read_portfolio(connection)
            self._positions_read_at = self._monotonic()
        state = TradingState(
            account=account,
            halts=tuple(reason for switch in both if (reason := switch.refusal()) is not None),
            opening=opening_halt(both),
            limits=None if own is None else own.limits,
            portfolio=self._portfolio,
        )
        if state != self._state:
            self._state = state
        return self._state

    def _read_portfolio(self, connection: Connection[TupleRow]) -> PortfolioState | None:
        """Return what the account holds; None when it has no book, or a price of it is missing."""
        try:
            state = portfolio_state(
                connection, self._state.account, self._closes(), now_ms=self._now_ms(), keep_mark=False
            )
        except (ValueError, LookupError):
            return None
        # How many orders are sent in a second is asked when one is placed, not when one is suggested.
        return replace(state, orders_last_second=0)
