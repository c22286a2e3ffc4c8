"""What each market comes to now, worked out once for each newest candle and each change of the state of trading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from alpharay.signals.conclusion import Conclusion, conclude
from alpharay.signals.snapshot import MarketView, Snapshot
from alpharay.signals.trading_state import TradingState
from alpharay.store.database import DatabasePool
from alpharay.store.signal_trading import SignalTrading
from serve_apps.background_copy import BackgroundCopy
from serve_apps.risk_service import OLDEST_SWITCHES_S

TRADING_EVERY_S = 0.25
MOST_KEPT = 10_000
"""Markets whose conclusion is kept."""


@dataclass(frozen=True, slots=True)
class _Kept:
    view: MarketView
    state: TradingState
    fresh: bool
    conclusion: Conclusion


class Conclusions:
    """Concludes from the newest view of a market and the newest copy of the state of trading."""

    def __init__(self, trading: BackgroundCopy[TradingState]) -> None:
        self.trading = trading
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    def of(self, view: MarketView) -> tuple[Conclusion, float | None]:
        """Return what a market comes to, and the age of the state of trading in seconds; None before its first copy."""
        state, age = self.trading.held, self.trading.age_s()
        fresh = age is not None and age <= OLDEST_SWITCHES_S
        key = (view.exchange, view.symbol, view.timeframe)
        kept = self._kept.get(key)
        # By identity: the copies replace what changed and keep what did not.
        if kept is None or kept.view is not view or kept.state is not state or kept.fresh is not fresh:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept[key] = _Kept(view, state, fresh, conclude(view, state, fresh=fresh))
        return kept.conclusion, age


def trading_copy(pool: DatabasePool, account: str, snapshot: Callable[[], Snapshot]) -> BackgroundCopy[TradingState]:
    """Return the copy of how trading stands for an account, valued at the newest closes of the snapshot."""
    trading = SignalTrading(account, partial(_closes, snapshot))

    def read() -> TradingState:
        with pool.connection() as connection:
            return trading.refresh(connection)

    return BackgroundCopy(
        read,
        TradingState(account=account),
        name="signal-trading",
        every_s=TRADING_EVERY_S,
        longest_pause_s=1.0,
    )


def _closes(snapshot: Callable[[], Snapshot]) -> Mapping[str, Decimal]:
    """Return the close of the newest candle of each symbol, whatever its time frame."""
    newest: dict[str, MarketView] = {}
    for view in snapshot().views():
        if view.symbol not in newest or newest[view.symbol].close_time < view.close_time:
            newest[view.symbol] = view
    return {symbol: Decimal(repr(view.close)) for symbol, view in newest.items()}
