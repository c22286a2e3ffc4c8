r"""Job: execute an account's orders, as the one that may.

It takes the account's lease, looks up what an executor before it has left unanswered, releases what waits unless
trading is halted, books the fills, and marks the account's equity at the newest closes once a minute. Every round it
lets the account's circuit breaker see how it stands. A second one waits until the first is gone. There is a broker for
paper only: a live account is refused.

For example:

Execute the paper account until it is stopped, opening it with 100,000 USD where there is none yet:

    ray job submit -- python -m ray_jobs.execute --exchange simulated --timeframe 1m --capital 100000

Go through its orders once, and print what was done:

    python -m ray_jobs.execute --exchange simulated --timeframe 1m --once --json
"""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import psycopg
import structlog
import typer
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.market.timeframe import timeframe_ms
from alpharay.portfolio.broker import Broker
from alpharay.risk.circuit_breaker import Reading
from alpharay.settings import settings
from alpharay.store.account_breaker import account_reading
from alpharay.store.account_equity import mark_equity
from alpharay.store.account_prices import PriceSource, dated_prices, plain_prices
from alpharay.store.accounts import Account, account_named, open_account
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.equity_marks import HOUR_MS, MINUTE_MS, forget_marks, keep_mark
from alpharay.store.executor_leases import ExecutorLease, give_up_lease, lease_owner, take_lease
from alpharay.store.lease_queue import LeaseLostError
from alpharay.store.ledger import book_capital, book_of
from alpharay.store.order_execution import Round, execute_round
from ray_jobs.lease_owner import is_gone, owner_name

OPENING_ENTRY = "opening"
MARK_MS = MINUTE_MS
"""Between two marks of the account's equity: whole minutes, UTC."""

CLOCK_S = 2.0
"""Seconds between two questions to the exchange for its time."""

AWAY_S = 5.0
"""How long it waits before it tries again to reach the database."""

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

log = structlog.get_logger(__name__)
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def main(
    exchange: Annotated[str, typer.Option(help="Whose stored candles fill the orders.")],
    account: Annotated[str, typer.Option(help="The account.")] = "paper",
    timeframe: Annotated[str, typer.Option(help="Length of those candles: 1m, 1h …")] = "1m",
    fee: Annotated[float, typer.Option(help="Fraction of the traded value, each side.")] = 0.001,
    slippage: Annotated[float, typer.Option(help="Fraction of the price, each side.")] = 0.0002,
    frictions: Annotated[Path | None, typer.Option(help="JSON file: impact, ticks, lots, minimum, fee tiers.")] = None,
    seed: Annotated[int, typer.Option(help="Of how much of its volume a bar gives an order.")] = 0,
    currency: Annotated[str, typer.Option(help="Of an account that is opened.")] = "USD",
    capital: Annotated[float | None, typer.Option(min=0.0, help="Open the account with so much, unless it is.")] = None,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two rounds.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="One round, then exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a round that did something.")] = False,
) -> None:
    """Execute; see the module's text."""
    # Numba takes seconds to import, which `--help` need not wait for.
    from alpharay.backtest.costs import Costs
    from alpharay.backtest.frictions import read_frictions
    from alpharay.portfolio.paper_fills import PaperTerms
    from alpharay.store.database import open_pool
    from alpharay.store.paper_broker import PaperBroker

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        terms = PaperTerms(costs=Costs(fee=fee, slippage=slippage), seed=seed)
        if frictions is not None:
            terms = replace(terms, frictions=read_frictions(frictions))
        # The broker's connections are never the executor's.
        with open_pool(
            settings().require("database_url"), application=f"executor-{account}", max_connections=4
        ) as pool:
            _prepare(pool, account, currency, capital)
            broker = PaperBroker(pool, account, exchange=exchange, timeframe=timeframe, terms=terms)
            marked = -1
            with (
                closing(ExchangeClock(settings().exchange_url)) as clock,
                closing(
                    rounds(
                        pool,
                        broker,
                        account,
                        stopped,
                        every_s=every,
                        reading=readings(account, clock, exchange=exchange, timeframe=timeframe),
                    )
                ) as done,
            ):
                for one in done:
                    now_ms = time.time_ns() // 1_000_000
                    if now_ms // MARK_MS != marked:
                        _mark(pool, account, exchange, timeframe, now_ms)
                        marked = now_ms // MARK_MS
                    if one != Round() or once:
                        typer.echo(json.dumps(asdict(one)) if as_json else _sentence(one))
                    if once:
                        return
    except (ValueError, LookupError, PoolTimeout) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def readings(
    account_id: str, clock: ExchangeClock, *, exchange: str, timeframe: str
) -> Callable[[Connection[TupleRow]], Reading]:
    """Return the function that tells how an account stands at the exchange's newest closes, as `rounds` takes it."""
    oldest_ms = int(settings().signal_max_age_timeframes * timeframe_ms(timeframe))
    ask_at = 0.0

    def read(connection: Connection[TupleRow]) -> Reading:
        nonlocal ask_at
        if time.monotonic() >= ask_at:
            ask_at = time.monotonic() + CLOCK_S
            try:
                clock.refresh()
            except ConnectionError as error:
                # It runs on, if it was ever told.
                log.warning("executor.clock_not_told", account=account_id, error=str(error))
        now_ms = clock.now_ms(exchange)
        source = None if now_ms is None else PriceSource(exchange, timeframe, now_ms)
        wall_ms = time.time_ns() // 1_000_000
        return account_reading(connection, account_id, source, oldest_ms=oldest_ms, now_ms=wall_ms)

    return read


def rounds(
    pool: DatabasePool,
    broker: Broker,
    account_id: str,
    stopped: threading.Event,
    *,
    every_s: float = 1.0,
    reading: Callable[[Connection[TupleRow]], Reading] | None = None,
) -> Generator[Round]:
    """Yield one round after the other until `stopped`, waiting for the lease first and whenever it was lost.

    `reading` is what the account's circuit breaker sees. While the database cannot be reached nothing is done, and it
    is tried again. The lease is given up at the end.
    """
    owner, lease = owner_name(), None
    try:
        while not stopped.is_set():
            try:
                if lease is None:
                    lease = _lease(pool, account_id, owner)
                if lease is not None:
                    yield execute_round(pool, broker, lease, reading=reading)
            except LeaseLostError as error:
                log.warning("executor.lease_lost", account=account_id, reason=str(error))
                lease = None
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
                log.warning("executor.database_away", account=account_id, error=str(error))
                stopped.wait(AWAY_S)
            stopped.wait(every_s)
    finally:
        if lease is not None:
            _give_up(pool, lease)


def _lease(pool: DatabasePool, account_id: str, owner: str) -> ExecutorLease | None:
    with pool.connection() as connection:
        holder = lease_owner(connection, account_id)
        gone = [holder] if holder is not None and (is_gone(holder) or holder == owner) else []
        lease = take_lease(connection, account_id, owner, gone=gone)
    if lease is not None:
        log.info("executor.lease_taken", account=account_id, epoch=lease.epoch)
    return lease


def _give_up(pool: DatabasePool, lease: ExecutorLease) -> None:
    try:
        with pool.connection() as connection:
            give_up_lease(connection, lease)
    except (psycopg.Error, PoolTimeout) as error:
        # It runs out by itself.
        log.warning("executor.lease_not_given_up", account=lease.account_id, error=str(error))


def _prepare(pool: DatabasePool, account_id: str, currency: str, capital: float | None) -> None:
    """Open the account where that is wanted; raises LookupError without one, ValueError when it is not on paper."""

    def prepare(connection: Connection[TupleRow]) -> Account:
        if capital is not None:
            wanted = Account(account_id=account_id, kind="paper", currency=currency)
            if open_account(connection, wanted) and capital > 0.0:
                book_capital(connection, account_id, OPENING_ENTRY, Decimal(repr(capital)), time_ms=0)
        return account_named(connection, account_id)

    account = in_transaction(pool, prepare, retry_for_s=AWAY_S)
    if account.kind != "paper":
        raise ValueError(f"account {account_id} must be on paper, was {account.kind}: there is no live broker")


def _mark(pool: DatabasePool, account_id: str, exchange: str, timeframe: str, now_ms: int) -> None:
    """Keep the account's equity at the newest closes, from which limits on losses are measured, and its history."""
    try:
        with pool.connection() as connection:
            book = book_of(connection, account_id)
            # The age of a price is the reader's to judge: only when it closed is kept.
            prices = dated_prices(connection, PriceSource(exchange, timeframe, now_ms), book.positions)
            mark = mark_equity(connection, account_id, book, plain_prices(prices), time_ms=now_ms)
            keep_mark(
                connection,
                account_id,
                mark.equity,
                mark.equity - book.capital,
                time_ms=now_ms,
                closed_ms={symbol: dated.closed_ms for symbol, dated in prices.items()},
            )
            if now_ms % HOUR_MS < MARK_MS:
                forget_marks(connection, account_id, now_ms=now_ms)
    except (ValueError, psycopg.Error, PoolTimeout) as error:
        log.warning("executor.equity_not_marked", account=account_id, error=str(error))


def _sentence(one: Round) -> str:
    counts = [f"{value} {name}" for name, value in asdict(one).items() if isinstance(value, int) and value]
    return "; ".join([", ".join(counts) or "nothing to do", *([one.halted] if one.halted else [])])


if __name__ == "__main__":
    app()
