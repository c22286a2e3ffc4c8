"""An account's circuit breaker as its executor feeds it: how the account stands, and how the broker has answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.risk.circuit_breaker import BreakerState, Reading, admit, breaker_settings, read
from alpharay.risk.circuit_breaker import record as noted
from alpharay.store.account_equity import equity_now
from alpharay.store.account_prices import AccountStanding, PriceSource, account_standing
from alpharay.store.account_volatility import highest_volatility
from alpharay.store.executor_leases import ExecutorLease, hold_lease
from alpharay.store.ledger import book_of
from alpharay.store.orders import orders_with, step
from alpharay.store.reducing_orders import reduces
from alpharay.store.trading_halts import TradingSwitch, change_breaker, trading_switches

ACTOR = "executor"
MOST_WITHDRAWN = 1_000
"""Orders that are cancelled at once when a breaker opens; the next round cancels more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a release ended: whether the broker answered, whether it took the order, and whether that only reduces."""

    answered: bool
    succeeded: bool
    reducing: bool = False


def account_reading(
    connection: Connection[TupleRow], account_id: str, source: PriceSource | None, *, oldest_ms: int, now_ms: int
) -> Reading:
    """Return how an account stands at the newest closes, and how restless what it holds is.

    It is blind when a close of what it holds is missing or too old. `source` is None while the exchange's time is not
    known, and then every price may be too old.
    """
    orders = _made_within_a_second(connection, account_id)
    volatility = None
    if source is None:
        # Only cash is worth the same at any time.
        book = book_of(connection, account_id)
        if book.positions:
            return Reading(loss=0.0, orders=orders, blind="the exchange's clock does not answer")
        mark = equity_now(connection, account_id, book, {}, time_ms=now_ms)
    else:
        standing = account_standing(connection, account_id, source=source, now_ms=now_ms)
        blind = _unseen(standing, source, oldest_ms)
        if blind is not None or standing.equity is None:
            return Reading(loss=0.0, orders=orders, blind=blind)
        mark, held = standing.equity, standing.book.positions
        if held:
            volatility = highest_volatility(connection, source.exchange, held)
    return Reading(loss=mark.day_loss, drawdown=mark.drawdown, orders=orders, volatility=volatility)


def _unseen(standing: AccountStanding, source: PriceSource, oldest_ms: int) -> str | None:
    """Return which price of what is held is missing or too old; None when all are fresh."""
    for symbol in sorted(standing.book.positions):
        dated = standing.prices.get(symbol)
        if dated is None:
            return f"no candles of {symbol} are stored at {source.exchange} {source.timeframe}"
        if dated.age_ms > oldest_ms:
            return (
                f"the newest price of {symbol} was {dated.age_ms / 1000:.0f} s old, "
                f"at most {oldest_ms / 1000:.0f} s serve"
            )
    return None


def watch_account(
    connection: Connection[TupleRow],
    lease: ExecutorLease,
    reading: Callable[[Connection[TupleRow]], Reading],
    *,
    now_ms: int,
) -> int:
    """Let the breaker read how the account stands; return how many orders an open one has cancelled.

    Those are the ones that wait and would open a position: they were sized before it opened, and would be whole where
    only a trial may pass. Raises LeaseLostError.
    """
    hold_lease(connection, lease)
    account_id = lease.account_id
    found = reading(connection)
    settings = breaker_settings(trading_switches(connection)[account_id].limits)
    after = change_breaker(
        connection, account_id, lambda state: read(state, settings, found, now_ms), actor=ACTOR, evidence=asdict(found)
    )
    return _withdraw(connection, account_id, after)


def give_trial(connection: Connection[TupleRow], switch: TradingSwitch, now_ms: int) -> bool:
    """Return whether a half-open breaker gives an order one of its trials, which then counts."""
    settings, given = breaker_settings(switch.limits), False

    def ask(state: BreakerState) -> BreakerState:
        nonlocal given
        admission, after = admit(state, settings, now_ms)
        given = admission.admitted
        return after

    change_breaker(connection, switch.account, ask, actor=ACTOR)
    return given


def note_outcomes(
    connection: Connection[TupleRow], lease: ExecutorLease, outcomes: Sequence[Outcome], *, now_ms: int
) -> int:
    """Tell the breaker how releases have ended; returns as `watch_account`. Raises LeaseLostError."""
    hold_lease(connection, lease)
    account_id = lease.account_id
    settings = breaker_settings(trading_switches(connection)[account_id].limits)

    def told(state: BreakerState) -> BreakerState:
        for one in outcomes:
            # A way out that went well is no trial of a way in.
            if state.phase == "half-open" and one.reducing and one.succeeded:
                continue
            state = noted(state, settings, succeeded=one.succeeded, now_ms=now_ms)
        return state

    failed = sum(not one.succeeded for one in outcomes)
    evidence = {"released": len(outcomes), "failed": failed}
    after = change_breaker(connection, account_id, told, actor=ACTOR, evidence=evidence)
    return _withdraw(connection, account_id, after)


def _withdraw(connection: Connection[TupleRow], account_id: str, breaker: BreakerState) -> int:
    if breaker.phase != "open":
        return 0
    opening = [
        state.order
        for state in orders_with(connection, account_id, ("intended",), limit=MOST_WITHDRAWN)
        if not reduces(connection, state.order)
    ]
    cancelled = 0
    for order in opening:
        locked = connection.execute(
            "SELECT 1 FROM orders WHERE order_id = %s AND status = 'intended' FOR UPDATE", (order.order_id,)
        ).fetchone()
        if locked is not None:
            step(connection, order.order_id, "cancelled", reason=f"the circuit breaker opened: {breaker.reason}")
            cancelled += 1
    return cancelled


def _made_within_a_second(connection: Connection[TupleRow], account_id: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM orders WHERE account_id = %s AND created_at > clock_timestamp() - interval '1 s'",
        (account_id,),
    ).fetchone()
    assert row is not None, "a count is one row"
    return int(row[0])
