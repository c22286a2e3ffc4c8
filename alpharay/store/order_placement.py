"""From a wish to an order: sized, held to the account's limits with all that is under way, and stored for its executor.

All of it is one transaction that holds the kill switch to share and the account's book: two wishes at once are assessed
one after the other, each with what the other has taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.frictions import Frictions
from alpharay.portfolio.ledger import Side
from alpharay.portfolio.order_proposal import OrderProposal, propose_order
from alpharay.portfolio.orders import UNDER_WAY, Order, OrderState
from alpharay.risk.limits import PortfolioState
from alpharay.store.account_equity import equity_now, mark_equity
from alpharay.store.accounts import account_named
from alpharay.store.ledger import book_of
from alpharay.store.orders import OrderConflictError, find_order, intend, orders_with
from alpharay.store.reducing_orders import reducible_quantity
from alpharay.store.trading_halts import trading_terms

MOST_UNDER_WAY = 1_000
"""Orders under way that an account may have; more are not counted, so no more are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWish:
    """What somebody wants, before it is an order.

    Parameters
    ----------
    order_id : str
        Made by the client; the same id again is answered with the order that it has made.
    account_id, symbol : str
    side : {"buy", "sell"}
    fraction : float
        Of the account's equity, at least 0, as a `Sizing` says.
    limit_price : Decimal or None
        Of a limit order; None is a market order.
    expires_ms : int or None
        As `Order.expires_ms`.
    """

    order_id: str
    account_id: str
    symbol: str
    side: Side
    fraction: float
    limit_price: Decimal | None = None
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """What became of a wish.

    `state` is None when no order was made, and the proposal says why; `proposal` is None when it was made before.
    """

    proposal: OrderProposal | None
    state: OrderState | None


def place_order(
    connection: Connection[TupleRow],
    wish: OrderWish,
    prices: Mapping[str, Decimal],
    *,
    now_ms: int,
    frictions: Frictions | None = None,
    groups: Mapping[str, str] | None = None,
    dry_run: bool = False,
    correlation_id: str | None = None,
) -> Placement:
    """Size, assess and store an order; with `dry_run` all of that is done and then undone.

    `prices` are the newest of what is held, under way and wanted; how old they may be is the caller's to say. `groups`
    are those of the concentration limit. While only what opens positions is halted, an order is held to what reduces
    its position. Raises TradingHaltedError when nothing may move, UnknownAccountError, OrderConflictError when the id
    belongs to an order of another account, symbol, side or limit, and ValueError when a price is missing.
    """
    with connection.transaction(force_rollback=dry_run):
        known = find_order(connection, wish.order_id)
        if known is None:
            terms = trading_terms(connection, wish.account_id)
            account_named(connection, wish.account_id)
            connection.execute("SELECT 1 FROM ledger_balances WHERE account_id = %s FOR UPDATE", (wish.account_id,))
            # A rival with the same id may have been first.
            known = find_order(connection, wish.order_id)
        if known is not None:
            return Placement(None, _same(known, wish))
        state = portfolio_state(connection, wish.account_id, prices, now_ms=now_ms, groups=groups)
        price = wish.limit_price or _price(prices, wish.symbol)
        proposal = propose_order(
            wish.symbol,
            wish.side,
            wish.fraction,
            float(price),
            state=state,
            limits=terms.switch.limits,
            frictions=frictions,
            halt=terms.halt,
        )
        if terms.halt is not None and terms.halt.share == 0.0:
            # In values a limit price, or rounding, could make it more than is held.
            room = reducible_quantity(connection, wish.account_id, wish.symbol, wish.side)
            proposal = replace(proposal, quantity=min(proposal.quantity, room))
        if proposal.quantity == 0:
            return Placement(proposal, None)
        order = Order(
            order_id=wish.order_id,
            account_id=wish.account_id,
            symbol=wish.symbol,
            side=wish.side,
            quantity=proposal.quantity,
            kind="market" if wish.limit_price is None else "limit",
            limit_price=wish.limit_price,
            expires_ms=wish.expires_ms,
        )
        return Placement(proposal, intend(connection, order, correlation_id=correlation_id, assessed=True))


def portfolio_state(
    connection: Connection[TupleRow],
    account_id: str,
    prices: Mapping[str, Decimal],
    *,
    now_ms: int,
    groups: Mapping[str, str] | None = None,
    keep_mark: bool = True,
) -> PortfolioState:
    """Return what an account holds and has under way at `prices`, as limits need it; keeps the mark of its equity.

    Raises ValueError when something has no price, or too much is under way to be counted.
    """
    book = book_of(connection, account_id)
    mark = (mark_equity if keep_mark else equity_now)(connection, account_id, book, prices, time_ms=now_ms)
    under_way = orders_with(connection, account_id, UNDER_WAY, limit=MOST_UNDER_WAY)
    if len(under_way) == MOST_UNDER_WAY:
        raise ValueError(f"account {account_id} must have fewer than {MOST_UNDER_WAY} orders under way: cancel some")
    open_values: dict[Side, dict[str, float]] = {"buy": defaultdict(float), "sell": defaultdict(float)}
    for one in under_way:
        left = one.order.quantity - one.filled_quantity
        price = one.order.limit_price or _price(prices, one.order.symbol)
        open_values[one.order.side][one.order.symbol] += float(left * price)
    sent = connection.execute(
        "SELECT count(*) FROM orders WHERE account_id = %s AND created_at > clock_timestamp() - interval '1 s'",
        (account_id,),
    ).fetchone()
    assert sent is not None, "a count is one row"
    return PortfolioState(
        equity=float(mark.equity),
        day_start_equity=float(mark.day_start),
        peak_equity=float(mark.peak),
        positions={symbol: float(held.quantity * prices[symbol]) for symbol, held in book.positions.items()},
        open_buys=dict(open_values["buy"]),
        open_sells=dict(open_values["sell"]),
        groups=dict(groups or {}),
        orders_last_second=int(sent[0]),
    )


def _price(prices: Mapping[str, Decimal], symbol: str) -> Decimal:
    price = prices.get(symbol)
    if price is None or not (price.is_finite() and price > 0):
        raise ValueError(f"the price of {symbol} must be above 0 to size an order, was {price}")
    return price


def _same(known: OrderState, wish: OrderWish) -> OrderState:
    made = known.order
    if (made.account_id, made.symbol, made.side, made.limit_price, made.expires_ms) != (
        wish.account_id,
        wish.symbol,
        wish.side,
        wish.limit_price,
        wish.expires_ms,
    ):
        raise OrderConflictError(f"order_id {wish.order_id!r} belongs to {made}, was asked for as {wish}")
    return known
