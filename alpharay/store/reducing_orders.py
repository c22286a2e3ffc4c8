"""How much of a position an order may still bring towards zero, by what is booked and what is on its way."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.portfolio.ledger import ZERO, Side
from alpharay.portfolio.orders import UNDER_WAY, Order, OrderStatus

SENT: tuple[OrderStatus, ...] = tuple(status for status in UNDER_WAY if status != "intended")


def reducible_quantity(
    connection: Connection[TupleRow],
    account_id: str,
    symbol: str,
    side: Side,
    *,
    counting: Sequence[OrderStatus] = UNDER_WAY,
    without: str = "",
) -> Decimal:
    """Return what an order on `side` may trade without opening a position: 0 where there is none to reduce.

    What orders of the same side have left is taken off, those whose status is `counting`, but for the one `without`.
    """
    row = connection.execute(
        "SELECT (SELECT coalesce(sum(quantity), 0) FROM ledger_lots WHERE account_id = %(account)s "
        "AND symbol = %(symbol)s), (SELECT coalesce(sum(quantity - filled_quantity), 0) FROM orders "
        "WHERE account_id = %(account)s AND symbol = %(symbol)s AND side = %(side)s AND status = ANY(%(counting)s) "
        "AND order_id <> %(without)s)",
        {"account": account_id, "symbol": symbol, "side": side, "counting": list(counting), "without": without},
    ).fetchone()
    assert row is not None, "two sums are one row"
    held, same_way = Decimal(row[0]), Decimal(row[1])
    return max((held if side == "sell" else -held) - same_way, ZERO)


def reduces(connection: Connection[TupleRow], order: Order) -> bool:
    """Return whether an order can only bring its position towards zero, whatever else was sent fills first."""
    room = reducible_quantity(
        connection, order.account_id, order.symbol, order.side, counting=SENT, without=order.order_id
    )
    return order.quantity <= room
