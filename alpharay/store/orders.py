"""Orders in PostgreSQL: made once under the client's id, moved step by step, their fills booked with each step.

Every change of an order puts a message into the outbox in the same transaction. The database refuses steps that are
none, a changed body, and more fills than were ordered.
"""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.messages import FillMessage, OrderMessage
from alpharay.bus.topics import FILLS, ORDERS
from alpharay.portfolio.ledger import Fill, settlement_currency
from alpharay.portfolio.orders import ENDED, BrokerOrder, Order, OrderState, OrderStatus
from alpharay.store.accounts import account_named
from alpharay.store.ledger import book_fill
from alpharay.store.outbox import add_to_outbox
from alpharay.store.trading_halts import require_trading
from alpharay.telemetry.origin import Origin, current_origin

_STATE = """
SELECT order_id, account_id, symbol, side, quantity, kind, limit_price, expires_ms,
       status, revision, filled_quantity, reason, cancel_wanted
FROM orders
"""


class OrderConflictError(ValueError):
    """The id belongs to another order; make a new id."""


class UnknownOrderError(LookupError):
    """There is no order of that id."""


def intend(
    connection: Connection[TupleRow], order: Order, *, correlation_id: str | None = None, assessed: bool = False
) -> OrderState:
    """Store an order for its account's executor and return it as it stands.

    The same order again, however often, is one order. One that was `assessed` in this transaction was held to
    `trading_terms` there; any other is taken for one that opens a position. Raises OrderConflictError when the id
    belongs to another one, TradingHaltedError while the account or all are halted, UnknownAccountError, and ValueError
    when the symbol is not settled in the account's currency.
    """
    known = find_order(connection, order.order_id)
    if known is None:
        if not assessed:
            require_trading(connection, order.account_id)
        account = account_named(connection, order.account_id)
        if settlement_currency(order.symbol) != account.currency:
            raise ValueError(f"symbol of account {order.account_id} must settle in {account.currency}: {order.symbol}")
        origin = current_origin()
        added = connection.execute(
            "INSERT INTO orders (order_id, account_id, symbol, side, quantity, kind, limit_price, expires_ms, "
            "correlation_id, traceparent) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                order.order_id,
                order.account_id,
                order.symbol,
                order.side,
                order.quantity,
                order.kind,
                order.limit_price,
                order.expires_ms,
                correlation_id if correlation_id is not None or origin is None else origin.correlation_id,
                None if origin is None else origin.traceparent,
            ),
        )
        # Somebody else may have stored it since it was looked for.
        known = order_state(connection, order.order_id)
        if added.rowcount == 1:
            _tell(connection, known)
    if known.order != order:
        raise OrderConflictError(f"order_id {order.order_id!r} belongs to {known.order}, was asked for as {order}")
    return known


def find_order(connection: Connection[TupleRow], order_id: str) -> OrderState | None:
    """Return an order as it stands, or None when the id is unknown."""
    row = connection.execute(f"{_STATE} WHERE order_id = %s", (order_id,)).fetchone()
    return None if row is None else _state(row)


def order_state(connection: Connection[TupleRow], order_id: str) -> OrderState:
    """Return an order as it stands; raises UnknownOrderError."""
    found = find_order(connection, order_id)
    if found is None:
        raise UnknownOrderError(f"order {order_id!r} is unknown")
    return found


def order_origin(connection: Connection[TupleRow], order_id: str) -> Origin:
    """Return what caused an order; one that nobody told of is its own cause."""
    row = connection.execute(
        "SELECT correlation_id, traceparent FROM orders WHERE order_id = %s", (order_id,)
    ).fetchone()
    return Origin(order_id) if row is None else Origin(row[0] or order_id, row[1])


def newest_orders(
    connection: Connection[TupleRow], account_id: str, *, statuses: tuple[OrderStatus, ...] = (), limit: int = 100
) -> list[OrderState]:
    """Return an account's newest orders, newest first, of some statuses or of all."""
    rows = connection.execute(
        f"{_STATE} WHERE account_id = %(account)s AND (%(statuses)s::text[] = '{{}}' OR status = ANY(%(statuses)s)) "
        "ORDER BY sequence DESC LIMIT %(limit)s",
        {"account": account_id, "statuses": list(statuses), "limit": limit},
    ).fetchall()
    return [_state(row) for row in rows]


def orders_with(
    connection: Connection[TupleRow], account_id: str, statuses: tuple[OrderStatus, ...], *, limit: int = 100
) -> list[OrderState]:
    """Return an account's orders of some statuses, oldest first."""
    rows = connection.execute(
        f"{_STATE} WHERE account_id = %s AND status = ANY(%s) ORDER BY sequence LIMIT %s",
        (account_id, list(statuses), limit),
    ).fetchall()
    return [_state(row) for row in rows]


def fills_of(connection: Connection[TupleRow], order_id: str) -> list[Fill]:
    """Return the booked fills of an order, oldest first."""
    rows = connection.execute(
        "SELECT fill_id, symbol, side, quantity, price, fee, time_ms FROM order_fills JOIN ledger_fills "
        "USING (account_id, fill_id) WHERE order_id = %s ORDER BY time_ms, fill_id",
        (order_id,),
    ).fetchall()
    return [
        Fill(fill_id=row[0], symbol=row[1], side=row[2], quantity=row[3], price=row[4], fee=row[5], time_ms=row[6])
        for row in rows
    ]


def newest_fills(
    connection: Connection[TupleRow], account_id: str, *, limit: int = 100
) -> list[tuple[str | None, Fill]]:
    """Return an account's newest fills, newest first, each with its order's id; None for one that had no order."""
    rows = connection.execute(
        "SELECT order_id, fill_id, symbol, side, quantity, price, fee, time_ms FROM ledger_fills "
        "LEFT JOIN order_fills USING (account_id, fill_id) WHERE account_id = %s "
        "ORDER BY time_ms DESC, fill_id DESC LIMIT %s",
        (account_id, limit),
    ).fetchall()
    return [
        (
            row[0],
            Fill(fill_id=row[1], symbol=row[2], side=row[3], quantity=row[4], price=row[5], fee=row[6], time_ms=row[7]),
        )
        for row in rows
    ]


def want_cancelled(connection: Connection[TupleRow], order_id: str) -> OrderState:
    """Ask for an order to be cancelled and return it: at once when it was not sent, else its executor does it.

    An order that has ended stays as it is. Raises UnknownOrderError. Works while trading is halted.
    """
    state = _locked(connection, order_id)
    if state.status in ENDED or state.cancel_wanted:
        return state
    _note_origin(connection)
    if state.status == "intended":
        return step(connection, order_id, "cancelled", reason="cancelled before it was sent")
    connection.execute("UPDATE orders SET cancel_wanted = true WHERE order_id = %s", (order_id,))
    return order_state(connection, order_id)


def step(
    connection: Connection[TupleRow], order_id: str, status: OrderStatus, *, reason: str | None = None
) -> OrderState:
    """Move an order to a status without fills and return it; the database refuses what is no step."""
    connection.execute("UPDATE orders SET status = %s, reason = %s WHERE order_id = %s", (status, reason, order_id))
    state = order_state(connection, order_id)
    _tell(connection, state)
    return state


def record(connection: Connection[TupleRow], found: BrokerOrder) -> OrderState:
    """Book the fills of an order that are new, move it to where the broker has it, and return it.

    Fills and status are of one transaction, so an order that is filled is booked. What is recorded already changes
    nothing. Raises ValueError when the broker's answer is not about this order: nothing may be committed then.
    """
    before = _locked(connection, found.order_id)
    _check(before.order, found)
    for fill in found.fills:
        if book_fill(connection, before.order.account_id, fill):
            connection.execute(
                "INSERT INTO order_fills (account_id, fill_id, order_id, correlation_id) VALUES (%s, %s, %s, %s)",
                (
                    before.order.account_id,
                    fill.fill_id,
                    found.order_id,
                    order_origin(connection, found.order_id).correlation_id,
                ),
            )
            _tell_fill(connection, before.order, fill)
    if (before.status, before.filled_quantity) == (found.status, found.filled_quantity):
        return before
    connection.execute(
        "UPDATE orders SET status = %s, filled_quantity = %s, reason = %s WHERE order_id = %s",
        (found.status, found.filled_quantity, found.reason, found.order_id),
    )
    after = order_state(connection, found.order_id)
    _tell(connection, after)
    return after


def _check(order: Order, found: BrokerOrder) -> None:
    for fill in found.fills:
        if (fill.symbol, fill.side) != (order.symbol, order.side):
            raise ValueError(f"fill {fill.fill_id} of order {order.order_id} must be to {order}, was {fill}")
    if found.filled_quantity > order.quantity:
        raise ValueError(f"at most {order.quantity} of order {order.order_id} can fill, was {found.filled_quantity}")


def _locked(connection: Connection[TupleRow], order_id: str) -> OrderState:
    row = connection.execute(f"{_STATE} WHERE order_id = %s FOR UPDATE", (order_id,)).fetchone()
    if row is None:
        raise UnknownOrderError(f"order {order_id!r} is unknown")
    return _state(row)


def _tell(connection: Connection[TupleRow], state: OrderState) -> None:
    order = state.order
    message = OrderMessage(
        order_id=order.order_id,
        revision=state.revision,
        account_id=order.account_id,
        symbol=order.symbol,
        side=order.side,
        kind=order.kind,
        quantity=f"{order.quantity:f}",
        limit_price=None if order.limit_price is None else f"{order.limit_price:f}",
        status=state.status,
        filled_quantity=f"{state.filled_quantity:f}",
        reason=state.reason,
    )
    add_to_outbox(
        connection,
        ORDERS,
        message,
        message_id=f"order:{order.order_id}:{state.revision}",
        key=order.symbol,
        correlation_id=order_origin(connection, order.order_id).correlation_id,
    )


def _tell_fill(connection: Connection[TupleRow], order: Order, fill: Fill) -> None:
    message = FillMessage(
        account_id=order.account_id,
        fill_id=fill.fill_id,
        order_id=order.order_id,
        symbol=fill.symbol,
        side=fill.side,
        quantity=f"{fill.quantity:f}",
        price=f"{fill.price:f}",
        fee=f"{fill.fee:f}",
        time_ms=fill.time_ms,
    )
    add_to_outbox(
        connection,
        FILLS,
        message,
        message_id=f"fill:{order.account_id}:{fill.fill_id}",
        key=order.symbol,
        correlation_id=order_origin(connection, order.order_id).correlation_id,
    )


def _note_origin(connection: Connection[TupleRow]) -> None:
    """Have the steps that this transaction takes tell of its request, which need not be the order's own."""
    origin = current_origin()
    if origin is not None:
        connection.execute("SELECT set_config('alpharay.correlation_id', %s, true)", (origin.correlation_id,))


def _state(row: TupleRow) -> OrderState:
    order_id, account_id, symbol, side, quantity, kind, limit_price, expires_ms = row[:8]
    order = Order(
        order_id=order_id,
        account_id=account_id,
        symbol=symbol,
        side=side,
        quantity=quantity,
        kind=kind,
        limit_price=limit_price,
        expires_ms=expires_ms,
    )
    status, revision, filled, reason, cancel_wanted = row[8:]
    return OrderState(
        order=order,
        status=status,
        revision=revision,
        filled_quantity=filled,
        reason=reason,
        cancel_wanted=cancel_wanted,
    )
