"""A broker that trades on paper: orders fill from the stored candles as a market would have filled them.

What it knows is in its own tables and survives every crash. An order may fill from the first candle on that was not
stored when it came, so it never trades on what was known before. A fill that was told stays, whatever a later revision
of its candle says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.portfolio.broker import BrokerUnavailableError
from alpharay.portfolio.ledger import ZERO, Fill
from alpharay.portfolio.orders import BrokerOrder, BrokerStatus, Order
from alpharay.portfolio.paper_fills import PaperTerms, paper_fills, refusal, tier_fee
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles, load_newest_candles
from alpharay.store.database import DatabasePool

TIMEOUT_S = 5.0
TIER_DAYS = 30

_ORDER = """
SELECT client_order_id, account_id, symbol, side, quantity, kind, limit_price, status, reason, next_open_time
FROM paper_orders WHERE account_id = %s AND client_order_id = %s
"""


class PaperBroker:
    """`alpharay.portfolio.broker.Broker` on paper, for one account and the candles of one exchange and time frame."""

    def __init__(
        self, pool: DatabasePool, account_id: str, *, exchange: str, timeframe: str, terms: PaperTerms | None = None
    ) -> None:
        self._pool = pool
        self._account_id = account_id
        self._exchange = exchange
        self._timeframe = timeframe
        self._terms = terms or PaperTerms()
        self.timeout_s = TIMEOUT_S

    def submit(self, order: Order) -> BrokerOrder:
        """Accept an order, or reject it by the frictions' rules; the same id again is answered with what there is."""
        if order.account_id != self._account_id:
            raise ValueError(f"account_id of an order must be {self._account_id}, was {order.account_id}")
        try:
            with self._pool.connection(timeout=self.timeout_s) as connection:
                self._accept(connection, order)
                found = self._seen(connection, order.order_id)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise BrokerUnavailableError(f"the paper broker does not answer: {error}") from error
        assert found is not None, "the order was accepted, here or before"
        return found

    def look_up(self, order_id: str) -> BrokerOrder | None:
        """Return an order after all candles that are stored by now; None when it never came."""
        try:
            with self._pool.connection(timeout=self.timeout_s) as connection:
                return self._seen(connection, order_id)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise BrokerUnavailableError(f"the paper broker does not answer: {error}") from error

    def cancel(self, order_id: str) -> BrokerOrder | None:
        """Cancel what the stored candles have not filled."""
        try:
            with self._pool.connection(timeout=self.timeout_s) as connection:
                found = self._seen(connection, order_id)
                if found is None or found.status not in ("open", "partially_filled"):
                    return found
                connection.execute(
                    "UPDATE paper_orders SET status = 'cancelled', reason = 'cancelled by the client' "
                    "WHERE account_id = %s AND client_order_id = %s",
                    (self._account_id, order_id),
                )
                return self._seen(connection, order_id)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise BrokerUnavailableError(f"the paper broker does not answer: {error}") from error

    def _accept(self, connection: Connection[TupleRow], order: Order) -> None:
        newest = load_newest_candles(connection, self._market(order.symbol), 1)
        if len(newest) == 0:
            reason: str | None = f"no candles of {order.symbol} are stored at {self._exchange} {self._timeframe}"
            next_open_time = 0
        else:
            reason = refusal(order, float(newest.close[-1]), self._terms)
            next_open_time = int(newest.open_time[-1]) + timeframe_ms(self._timeframe)
        connection.execute(
            "INSERT INTO paper_orders (account_id, client_order_id, symbol, side, kind, quantity, limit_price, status, "
            "reason, next_open_time) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                self._account_id,
                order.order_id,
                order.symbol,
                order.side,
                order.kind,
                order.quantity,
                order.limit_price,
                "open" if reason is None else "rejected",
                reason,
                next_open_time,
            ),
        )

    def _seen(self, connection: Connection[TupleRow], order_id: str) -> BrokerOrder | None:
        """Return an order after the candles that are new to it, whose fills are stored."""
        row = connection.execute(f"{_ORDER} FOR UPDATE", (self._account_id, order_id)).fetchone()
        if row is None:
            return None
        order = Order(
            order_id=row[0],
            account_id=row[1],
            symbol=row[2],
            side=row[3],
            quantity=row[4],
            kind=row[5],
            limit_price=row[6],
        )
        status: BrokerStatus = row[7]
        reason, next_open_time = row[8], int(row[9])
        fills = self._fills(connection, order)
        if status not in ("open", "partially_filled"):
            return BrokerOrder(order_id=order_id, status=status, fills=tuple(fills), reason=reason)
        filled = sum((fill.quantity for fill in fills), ZERO)
        bars = load_candles(connection, self._market(order.symbol), start_ms=next_open_time)
        if len(bars) == 0:
            return BrokerOrder(order_id=order_id, status=status, fills=tuple(fills))
        new = paper_fills(order, filled, bars, self._terms, partial(self._fee, connection))
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO paper_fills (account_id, fill_id, client_order_id, quantity, price, fee, time_ms) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    (self._account_id, one.fill_id, order_id, one.quantity, one.price, one.fee, one.time_ms)
                    for one in new
                ],
            )
        fills += new
        filled += sum((fill.quantity for fill in new), ZERO)
        status = "filled" if filled == order.quantity else "partially_filled" if fills else "open"
        connection.execute(
            "UPDATE paper_orders SET status = %s, next_open_time = %s WHERE account_id = %s AND client_order_id = %s",
            (status, int(bars.open_time[-1]) + timeframe_ms(self._timeframe), self._account_id, order_id),
        )
        return BrokerOrder(order_id=order_id, status=status, fills=tuple(fills))

    def _fills(self, connection: Connection[TupleRow], order: Order) -> list[Fill]:
        rows = connection.execute(
            "SELECT fill_id, quantity, price, fee, time_ms FROM paper_fills "
            "WHERE account_id = %s AND client_order_id = %s ORDER BY time_ms, fill_id",
            (self._account_id, order.order_id),
        ).fetchall()
        return [
            Fill(
                fill_id=fill_id,
                symbol=order.symbol,
                side=order.side,
                quantity=quantity,
                price=price,
                fee=fee,
                time_ms=time_ms,
            )
            for fill_id, quantity, price, fee, time_ms in rows
        ]

    def _fee(self, connection: Connection[TupleRow], time_ms: int, new: Sequence[Fill]) -> float:
        """Return the fee by the money traded on the 30 UTC days before the fill's; `new` is not stored yet."""
        tiers = self._terms.frictions.fee_tiers
        if not tiers:
            return self._terms.costs.fee
        day = time_ms // DAY_MS * DAY_MS
        first = day - TIER_DAYS * DAY_MS
        row = connection.execute(
            "SELECT coalesce(sum(quantity * price), 0) FROM paper_fills "
            "WHERE account_id = %s AND time_ms >= %s AND time_ms < %s",
            (self._account_id, first, day),
        ).fetchone()
        assert row is not None, "a sum is one row"
        traded = float(row[0]) + sum(float(one.quantity * one.price) for one in new if first <= one.time_ms < day)
        return tier_fee(self._terms.costs.fee, tiers, traded)

    def _market(self, symbol: str) -> Market:
        return Market(self._exchange, symbol, self._timeframe)
