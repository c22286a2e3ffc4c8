"""From intent to booked fills: what the one executor of an account does, again and again.

An order is released in two steps. First it is marked `sending`, which is committed. Then a second transaction locks the
lease and, to share, the kill switch, hands the order to the broker, and commits the broker's answer with the fills
booked. A halt therefore waits for the one order that is being handed over, at most the broker's timeout, and when it
has committed nothing more goes out. A crash in between leaves an order in `sending`; whoever holds the lease next asks
the broker for it by its id. Only an order that the broker has never had is released again, under the same id.

Before anything is released the circuit breaker reads how the account stands, and after it, how the broker has answered.
While it is open, or a halt is of what opens positions alone, orders that only reduce one are released past the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.portfolio.broker import Broker, BrokerUnavailableError
from alpharay.portfolio.orders import Order, OrderState
from alpharay.risk.circuit_breaker import Reading
from alpharay.store.account_breaker import Outcome, give_trial, note_outcomes, watch_account
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.executor_leases import ExecutorLease, hold_lease
from alpharay.store.orders import order_origin, orders_with, record, step
from alpharay.store.reducing_orders import reduces
from alpharay.store.trading_halts import TradingHaltedError, trading_terms
from alpharay.telemetry.origin import caused_by
from alpharay.telemetry.spans import span

MOST_ORDERS = 1_000
"""Orders of one kind that a round goes through, oldest first."""

HAND_OVER_S = 15
"""The server ends a transaction whose executor says nothing for so long: a stopped process cannot block a halt."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a round has done, in orders.

    Parameters
    ----------
    released : int
        Handed to the broker and answered.
    settled : int
        Found in `sending` and looked up.
    changed : int
        Open ones that have filled further or ended.
    expired : int
        Cancelled because their time was over before they were sent.
    withdrawn : int
        Cancelled because the circuit breaker opened before they were sent.
    failed : int
        Left as they are because the broker did not answer, or not about them; the log says why.
    halted : str or None
        Why an order that waits was not released.
    """

    released: int = 0
    settled: int = 0
    changed: int = 0
    expired: int = 0
    withdrawn: int = 0
    failed: int = 0
    halted: str | None = None


def execute_round(
    pool: DatabasePool,
    broker: Broker,
    lease: ExecutorLease,
    *,
    now_ms: int | None = None,
    reading: Callable[[Connection[TupleRow]], Reading] | None = None,
) -> Round:
    """Go once through an account's orders: settle, follow, expire, release.

    `reading` says how the account stands, for its circuit breaker; without, that is as it was left. Raises
    LeaseLostError when another executor has the account (what this one was doing is then not committed), and psycopg's
    errors while the database cannot be reached: no database, no order.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    account_id = lease.account_id
    with pool.connection() as connection:
        hold_lease(connection, lease)
        unanswered = orders_with(connection, account_id, ("sending",), limit=MOST_ORDERS)
        followed = orders_with(connection, account_id, ("open", "partially_filled"), limit=MOST_ORDERS)
    settled = [_settle(pool, broker, lease, state) for state in unanswered]
    changed = [_follow(pool, broker, lease, state, now_ms) for state in followed]
    expired = in_transaction(pool, lambda connection: _expire(connection, lease, now_ms))
    withdrawn = 0
    if reading is not None:
        withdrawn = in_transaction(pool, lambda connection: watch_account(connection, lease, reading, now_ms=now_ms))
    outcomes, halted = _release_all(pool, broker, lease, now_ms)
    if outcomes:
        in_transaction(pool, lambda connection: note_outcomes(connection, lease, outcomes, now_ms=now_ms))
    return Round(
        released=sum(one.answered for one in outcomes),
        settled=settled.count(True),
        changed=changed.count(True),
        expired=expired,
        withdrawn=withdrawn,
        failed=settled.count(None) + changed.count(None) + sum(not one.answered for one in outcomes),
        halted=halted,
    )


def _release_all(
    pool: DatabasePool, broker: Broker, lease: ExecutorLease, now_ms: int
) -> tuple[list[Outcome], str | None]:
    """Release waiting orders until there is none, one fails, or trading is halted; return outcomes and the halt."""
    outcomes: list[Outcome] = []
    try:
        while len(outcomes) < MOST_ORDERS:
            order = in_transaction(pool, lambda connection: _mark_sending(connection, lease, now_ms))
            if order is None:
                break
            outcomes.append(_hand_over(pool, broker, lease, order))
            if not outcomes[-1].answered:
                # The broker is away or confused: the next order would only become another one to look up.
                break
    except TradingHaltedError as error:
        return outcomes, str(error)
    return outcomes, None


def _mark_sending(connection: Connection[TupleRow], lease: ExecutorLease, now_ms: int) -> Order | None:
    """Mark the oldest order that waits and may go as `sending` and return it; None when none waits.

    Raises TradingHaltedError when all that wait are halted.
    """
    hold_lease(connection, lease)
    account_id = lease.account_id
    if not orders_with(connection, account_id, ("intended",), limit=1):
        return None
    # To change it: a trial that is given counts.
    terms = trading_terms(connection, account_id, lock="UPDATE")
    waiting = orders_with(connection, account_id, ("intended",), limit=1 if terms.halt is None else MOST_ORDERS)
    for state in waiting:
        order = state.order
        # Locked: whoever cancels it was before, or waits and then finds it sent.
        locked = connection.execute(
            "SELECT 1 FROM orders WHERE order_id = %s AND status = 'intended' FOR UPDATE", (order.order_id,)
        ).fetchone()
        if locked is None:
            continue
        if terms.halt is None or reduces(connection, order):
            return step(connection, order.order_id, "sending").order
        if terms.halt.share > 0.0 and give_trial(connection, terms.switch, now_ms):
            return step(connection, order.order_id, "sending").order
    if waiting and terms.halt is not None:
        raise TradingHaltedError(f"{terms.halt.reason}: only what reduces a position is released")
    return None


def _hand_over(pool: DatabasePool, broker: Broker, lease: ExecutorLease, order: Order) -> Outcome:
    """Hand an order to the broker and record the answer, all before the kill switch can change.

    Never repeated by itself: after any error the order is in `sending`, to be looked up. Raises TradingHaltedError
    when the switch has changed since the order was marked.
    """
    reducing = False
    try:
        with pool.connection() as connection:
            connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{HAND_OVER_S}s'")
            hold_lease(connection, lease)
            terms = trading_terms(connection, lease.account_id)
            reducing = terms.halt is not None and reduces(connection, order)
            # A half-open breaker has given this order its trial when it was marked.
            if terms.halt is not None and terms.halt.share == 0.0 and not reducing:
                raise TradingHaltedError(f"{terms.halt.reason}: only what reduces a position is released")
            with _on(connection, order.order_id, "release order"):
                state = record(connection, broker.submit(order))
                log.info("executor.order_answered", order_id=order.order_id, status=state.status)
    except (BrokerUnavailableError, ValueError, psycopg.IntegrityError) as error:
        log.warning("executor.order_unanswered", order_id=order.order_id, error=str(error))
        return Outcome(answered=False, succeeded=False, reducing=reducing)
    return Outcome(answered=True, succeeded=state.status != "rejected", reducing=reducing)


def _settle(pool: DatabasePool, broker: Broker, lease: ExecutorLease, state: OrderState) -> bool | None:
    """Ask the broker for an order whose answer never came: record what it has, or let it be released anew."""
    order_id = state.order.order_id
    try:
        with pool.connection() as connection:
            hold_lease(connection, lease)
            with _on(connection, order_id, "settle order"):
                found = broker.look_up(order_id)
                if found is not None:
                    record(connection, found)
                elif state.cancel_wanted:
                    step(connection, order_id, "cancelled", reason="cancelled before the broker had it")
                else:
                    step(connection, order_id, "intended", reason="the broker has never had it")
    except (BrokerUnavailableError, ValueError, psycopg.IntegrityError) as error:
        log.warning("executor.order_not_settled", order_id=order_id, error=str(error))
        return None
    return True


def _follow(pool: DatabasePool, broker: Broker, lease: ExecutorLease, state: OrderState, now_ms: int) -> bool | None:
    """Record what has happened to an order at the broker; cancel it there when that is wanted or its time is over."""
    order = state.order
    over = order.expires_ms is not None and order.expires_ms <= now_ms
    try:
        with pool.connection() as connection:
            hold_lease(connection, lease)
            ends = state.cancel_wanted or over
            found = broker.cancel(order.order_id) if ends else broker.look_up(order.order_id)
            if found is not None:
                with _on(connection, order.order_id, "follow order"):
                    return record(connection, found).revision > state.revision
    except (BrokerUnavailableError, ValueError, psycopg.IntegrityError) as error:
        log.warning("executor.order_not_followed", order_id=order.order_id, error=str(error))
        return None
    log.warning("executor.order_forgotten_by_broker", order_id=order.order_id)
    return None


def _expire(connection: Connection[TupleRow], lease: ExecutorLease, now_ms: int) -> int:
    """Cancel the orders whose time was over before they were sent; return how many."""
    hold_lease(connection, lease)
    rows = connection.execute(
        "SELECT order_id FROM orders WHERE account_id = %s AND status = 'intended' AND expires_ms <= %s "
        "ORDER BY sequence LIMIT %s FOR UPDATE",
        (lease.account_id, now_ms, MOST_ORDERS),
    ).fetchall()
    for (order_id,) in rows:
        step(connection, order_id, "cancelled", reason="expired before it was sent")
    return len(rows)


@contextmanager
def _on(connection: Connection[TupleRow], order_id: str, work: str) -> Iterator[None]:
    """Work on an order is caused by what caused the order: its lines, messages and spans tell so."""
    with caused_by(order_origin(connection, order_id)), span(work, attributes={"alpharay.order_id": order_id}):
        yield
