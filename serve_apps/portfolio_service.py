"""Accounts, sizes and orders: every answer about an account is read from the database, no order passes without it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, get_args

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.frictions import Frictions
from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.portfolio.orders import OrderStatus
from alpharay.portfolio.sizing import Sizing
from alpharay.signals.refusal import RefusedError, refuse
from alpharay.store.account_prices import AccountStanding, PriceSource, account_standing
from alpharay.store.account_returns import AccountReturns, RiskUnknownError, account_returns
from alpharay.store.accounts import Account
from alpharay.store.database import is_connection_loss
from alpharay.store.equity_marks import equity_history
from alpharay.store.orders import (
    OrderConflictError,
    UnknownOrderError,
    newest_fills,
    newest_orders,
    order_state,
    want_cancelled,
)
from alpharay.store.priced_orders import PricedPlacement, PriceUnusableError, place_at_newest_prices
from alpharay.store.selected_strategies import selected_markets
from alpharay.store.trading_halts import ALL_ACCOUNTS, TradingHaltedError, TradingSwitch, UnknownAccountError
from serve_apps.background_copy import BackgroundCopy
from serve_apps.portfolio_answers import (
    equity_answer,
    order_answer,
    performance_answer,
    placement_answer,
    positions_answer,
)
from serve_apps.portfolio_requests import (
    OrderRequest,
    read_marginal_risk,
    read_order,
    read_order_id,
    read_size,
    read_symbol,
    wish_of,
)
from serve_apps.portfolio_risk import marginal_answer, risk_answer
from serve_apps.portfolio_sizes import sized, sizes_by

STATUSES: tuple[OrderStatus, ...] = get_args(OrderStatus)

Result = TypeVar("Result")


class Transactions(Protocol):
    """Runs work in one transaction and returns after its commit."""

    def __call__(self, work: Callable[[Connection[TupleRow]], Result]) -> Result:
        """Return what the work has returned."""
        ...


@dataclass(frozen=True, slots=True)
class AccountsCopy:
    """All accounts and switches as they were read last."""

    accounts: Mapping[str, Account]
    switches: Mapping[str, TradingSwitch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Whose closes are the prices, and how old one may be for an order, in time frames."""

    exchange: str
    timeframe: str
    oldest_timeframes: float

    @property
    def oldest_ms(self) -> int:
        """The same in milliseconds."""
        return int(self.oldest_timeframes * timeframe_ms(self.timeframe))


class PortfolioService:
    """What the HTTP side asks.

    The copy of the accounts tells whether the database answers: while it does not, a request is refused at once instead
    of waiting for it.
    """

    def __init__(
        self,
        accounts: BackgroundCopy[AccountsCopy],
        transaction: Transactions,
        clock: ExchangeClock,
        prices: Prices,
        *,
        default_quote: str,
        frictions: Frictions | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.accounts = accounts
        self.prices = prices
        self._transaction = transaction
        self._clock = clock
        self.default_quote = default_quote
        self._frictions = frictions
        self._now_ms = now_ms

    @property
    def problem(self) -> str | None:
        """What keeps the service from answering all that it is asked; None when nothing does."""
        if not self.accounts.ready:
            return "the accounts are not loaded yet"
        if self.accounts.last_error is not None:
            return f"the database does not answer: {self.accounts.last_error}"
        if self._clock.now_ms(self.prices.exchange) is None:
            return f"the clock of exchange {self.prices.exchange!r} did not answer yet"
        return None

    def size(self, body: bytes) -> Any:
        """Return the sizes that are asked for; no database is needed."""
        return sized(read_size(body), self.default_quote)

    def positions(self, account: str) -> Any:
        """Return what an account holds, at the newest closes with their ages."""
        return positions_answer(self._standing(account), account, self.prices.oldest_ms)

    def performance(self, account: str) -> Any:
        """Return an account's return, drawdown and today's loss, by its marks and the newest closes."""
        return performance_answer(self._standing(account), account)

    def equity(self, account: str, start_ms: int | None, end_ms: int | None, points: int) -> Any:
        """Return an account's equity over time, its drawdowns and the deepest of them, of the last day unless told."""
        self.check_known(account)
        end = self._now_ms() + 1 if end_ms is None else end_ms
        start = max(end - DAY_MS, 0) if start_ms is None else start_ms
        if start >= end:
            raise refuse("invalid_field", f"from must be before to ({end}), was {start}", field="from", value=start)
        return equity_answer(
            self.stored(partial(equity_history, account_id=account, start_ms=start, end_ms=end, most_points=points)),
            account,
            start,
            end,
        )

    def risk(self, account: str, level: float, observations: int, stop_deviations: float) -> Any:
        """Return an account's exposure, heat and value at risk at the newest closes, and whose they are."""
        found = self._returns(account, observations)
        return risk_answer(found, account, level=level, stop_deviations=stop_deviations)

    def marginal_risk(self, body: bytes) -> Any:
        """Return what one more trade does to an account's risk; nothing is ordered."""
        asked = read_marginal_risk(body, self.default_quote)
        return marginal_answer(self._returns(asked.account, asked.observations, asked.symbol), asked)

    def selected(self, exchange: str | None, symbol: str | None, timeframe: str | None, limit: int) -> Any:
        """Return which strategies speak for each market, with what weight and why, as selection decided last."""
        name = None if symbol is None else read_symbol(symbol, "symbol", self.default_quote)
        for field, text in (("exchange", exchange), ("timeframe", timeframe)):
            if text is not None and not text.isprintable():
                raise refuse("invalid_field", f"{field} must be printable", field=field, value=text)
        asked = partial(selected_markets, exchange=exchange, symbol=name, timeframe=timeframe, limit=limit)
        return {"markets": self.stored(asked)}

    def orders(self, account: str, status: str | None, limit: int) -> Any:
        """Return an account's newest orders, of one status or of all."""
        statuses = tuple(one for one in STATUSES if one == status)
        if status is not None and not statuses:
            raise refuse(
                "invalid_field",
                f"status must be one of {', '.join(STATUSES)}, was {status[:50]!r}",
                field="status",
                value=status,
            )
        self.check_known(account)
        found = self.stored(partial(newest_orders, account_id=account, statuses=statuses, limit=limit))
        return {"account": account, "orders": [order_answer(one) for one in found]}

    def order(self, order_id: str) -> Any:
        """Return an order as it stands."""
        return order_answer(self._order(partial(order_state, order_id=read_order_id(order_id)), order_id))

    def cancel(self, order_id: str) -> Any:
        """Ask for an order to be cancelled; works while trading is halted."""
        return order_answer(self._order(partial(want_cancelled, order_id=read_order_id(order_id)), order_id))

    def fills(self, account: str, limit: int) -> Any:
        """Return an account's newest fills."""
        self.check_known(account)
        found = self.stored(partial(newest_fills, account_id=account, limit=limit))
        return {"account": account, "fills": [{"order_id": order_id, "fill": fill} for order_id, fill in found]}

    def place(self, body: bytes, correlation_id: str) -> Any:
        """Size, assess and store an order, or only say what would become of it; the same id again is one order."""
        asked = read_order(body, self.default_quote)
        made, size = self.placed(asked, correlation_id)
        return placement_answer(made, asked, size)

    def placed(self, asked: OrderRequest, correlation_id: str) -> tuple[PricedPlacement, Sizing | None]:
        """Return what became of an order that is asked for, and its size where a method was; as `place`."""
        size: Sizing | None = None
        if asked.methods is not None:
            (size,) = sizes_by(asked.methods).values()
        fraction = asked.fraction if size is None else size.fraction
        assert fraction is not None, "the request has either a fraction or methods"
        self.check_known(asked.account)
        place = partial(
            place_at_newest_prices,
            wish=wish_of(asked, fraction),
            source=self.source(),
            oldest_ms=self.prices.oldest_ms,
            now_ms=self._now_ms(),
            frictions=self._frictions,
            dry_run=asked.dry_run,
            correlation_id=correlation_id,
        )
        try:
            made = self.stored(place)
        except TradingHaltedError as error:
            raise refuse(
                "trading_halted",
                str(error),
                field="account",
                value=asked.account,
                hint="who has turned the switch is told by /halts of the risk service",
            ) from None
        except PriceUnusableError as error:
            raise refuse(
                "stale_data",
                str(error),
                field="symbol",
                value=error.symbol,
                hint="check that the ingestion runs; orders pass again with the next candle",
                retry_after_s=min(max(timeframe_ms(self.prices.timeframe) // 1000, 1), 60),
            ) from None
        except OrderConflictError as error:
            raise refuse(
                "order_id_reused", str(error), field="order_id", value=asked.order_id, hint="make a new order_id"
            ) from None
        except ValueError as error:
            raise refuse("order_impossible", str(error), field="symbol", value=asked.symbol) from None
        return made, size

    def status(self) -> dict[str, Any]:
        """Return what the service knows and how fresh it is, for people and monitors."""
        copy = self.accounts.held
        return {
            "ready": self.problem is None,
            "problem": self.problem,
            "process_id": os.getpid(),
            "prices": self.prices,
            "accounts": {
                "age_seconds": self.accounts.age_s(),
                "refresh_failures": self.accounts.failures,
                "last_error": self.accounts.last_error,
                "known": list(copy.accounts.values()),
                "halted": sorted(one.account for one in copy.switches.values() if one.opening_refusal() is not None),
            },
        }

    def _standing(self, account: str) -> AccountStanding:
        self.check_known(account)
        return self.stored(partial(account_standing, account_id=account, source=self.source(), now_ms=self._now_ms()))

    def _returns(self, account: str, observations: int, *beside: str) -> AccountReturns:
        self.check_known(account)
        ask = partial(
            account_returns,
            account_id=account,
            source=self.source(),
            now_ms=self._now_ms(),
            observations=observations,
            beside=beside,
        )
        try:
            return self.stored(ask)
        except RiskUnknownError as error:
            raise refuse(
                "risk_unknown", str(error), field="account", value=account, hint="check that the ingestion runs"
            ) from None

    def source(self) -> PriceSource:
        """Return whose closes are the prices, and that exchange's time; refuses while its clock is not known."""
        now_ms = self._clock.now_ms(self.prices.exchange)
        if now_ms is None:
            raise refuse(
                "stale_data",
                f"the age of prices is unknown: the clock of exchange {self.prices.exchange!r} did not answer",
                field="exchange",
                value=self.prices.exchange,
                hint="check that the exchange runs (`alpharay stack status`)",
                retry_after_s=5,
            )
        return PriceSource(self.prices.exchange, self.prices.timeframe, now_ms)

    def _order(self, ask: Callable[[Connection[TupleRow]], Any], order_id: str) -> Any:
        try:
            return self.stored(ask)
        except UnknownOrderError as error:
            raise refuse("unknown_order", str(error), field="order_id", value=order_id) from None

    def check_known(self, account: str) -> None:
        """Refuse an account that the copy does not know; before the first copy nothing is known."""
        if self.accounts.ready and account not in self.accounts.held.accounts:
            raise _unknown_account(account, self.accounts.held.accounts)

    def stored(self, work: Callable[[Connection[TupleRow]], Result]) -> Result:
        """Run work in a transaction; refuses at once while the database is known to be away."""
        if not self.accounts.ready or self.accounts.last_error is not None:
            raise _database_away()
        try:
            return self._transaction(work)
        except UnknownAccountError as error:
            raise refuse("unknown_account", str(error), field="account") from None
        except Exception as error:
            if is_connection_loss(error) or isinstance(error, psycopg.errors.QueryCanceled):
                raise _database_away() from error
            raise


def _database_away() -> RefusedError:
    return refuse(
        "database_unavailable",
        "the database did not answer: whether an order was stored is not known",
        hint="send the same again, an order with the same order_id: it has one effect; /ready tells",
        retry_after_s=1,
    )


def _unknown_account(account: str, known: Mapping[str, Account]) -> RefusedError:
    names = ", ".join(sorted(name for name in known if name != ALL_ACCOUNTS)[:20]) or "none: open one first"
    return refuse(
        "unknown_account",
        f"account {account[:64]!r} is unknown; known are {names}",
        field="account",
        value=account,
    )
