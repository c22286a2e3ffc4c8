r"""Job: end old candles and old bookkeeping, and make the months' partitions that are needed next.

Candles shorter than --below end once their whole month is older than --keep-days; longer ones, which are few and which
long back-tests need, stay. An exchange's age counts from its newest stored candle, so that a replay of old years keeps
its last days. Ingestion does not fetch again what has ended. Nobody waits: a month in which nothing is to be kept is
detached and dropped, from others candles are deleted in small batches. What is interrupted is finished by the next run;
a second run, and a second one at the same time, change nothing.

Published messages, ids of consumed ones and checkpoints of ended runs go after 14 days, backtests after
--keep-backtests days. Orders, ledgers, strategies, their evidence and validations stay for ever.

For example:

What would go, and nothing changed:

    python -m ray_jobs.retain --dry-run

Once, as a job of the cluster (the schedule does it every night):

    ray job submit -- python -m ray_jobs.retain

Two years of everything shorter than an hour, as JSON:

    python -m ray_jobs.retain --keep-days 730 --below 1h --json

Keep all candles from now on (what has ended is fetched again when it is ingested from an earlier day):

    python -m ray_jobs.retain --keep-days 0
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer
from psycopg_pool import PoolTimeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from alpharay.settings import SettingMissingError, settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import Connection
    from psycopg.rows import TupleRow

    from alpharay.store.bookkeeping import Records
    from alpharay.store.candle_retention import EndedMonth, RetentionPlan
    from alpharay.store.database import DatabasePool

JOB_LOG_WIDTH = 150
LEAST_KEEP_DAYS = 31
"""What speaks today rests on the last weeks' candles."""

BOOKKEEPING_DAYS = 14

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what is kept: candles shorter than `shorter_than` ms, and backtests, in days; 0 for ever."""

    candle_days: int
    shorter_than: int
    backtest_days: int
    months_ahead: int


@dataclass(slots=True)
class Retained:
    """What a run did, or with --dry-run would do; partitions by their names."""

    dry_run: bool
    kept_from: dict[str, str | None] = field(default_factory=dict)
    """By exchange: the first day of which short candles are kept, None where all are."""
    made: list[str] = field(default_factory=list)
    dropped_bytes: dict[str, int] = field(default_factory=dict)
    deleted_candles: dict[str, int] = field(default_factory=dict)
    rewritten: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """Partitions that others read for so long that the next run has to go on with them."""
    moved_starts: int = 0
    """Ingested markets that begin later now."""
    absent_ranges: int = 0
    records: dict[str, int] = field(default_factory=dict)


@app.command(help=HELP)
def main(
    keep_days: Annotated[
        int, typer.Option(help=f"Days that short candles are kept; at least {LEAST_KEEP_DAYS}, 0 keeps all.")
    ] = 365,
    below: Annotated[str, typer.Option(help="Short is below this length of a candle: 1h, 1d …")] = "1d",
    months_ahead: Annotated[int, typer.Option(min=0, max=60, help="Months ahead to make partitions for.")] = 3,
    keep_backtests: Annotated[
        int, typer.Option(help=f"Days that ended backtests are kept; at least {BOOKKEEPING_DAYS}, 0 keeps all.")
    ] = 180,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """End what is old; see the module's text."""
    # SQLAlchemy, Alembic and NumPy take a while to import, which `--help` need not wait for.
    from alpharay.market.timeframe import timeframe_ms
    from alpharay.store.candle_retention import alone
    from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, open_pool
    from alpharay.store.migrate import migrate

    try:
        for name, days, least in (
            ("keep-days", keep_days, LEAST_KEEP_DAYS),
            ("keep-backtests", keep_backtests, BOOKKEEPING_DAYS),
        ):
            if days and days < least:
                raise ValueError(f"{name} must be 0 or at least {least}, was {days}")  # noqa: TRY301
        keep = Keep(keep_days, timeframe_ms(below), keep_backtests, months_ahead)
        url = settings().require("database_url")
        if not dry_run:
            migrate(url)
        with open_pool(
            url, application="retain", max_connections=2, statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S
        ) as pool:
            if dry_run:
                _tell(foreseen(pool, keep), as_json=as_json)
                return
            with alone(pool) as connection:
                if connection is None:
                    typer.echo("another run of retention is under way: nothing is left to do here", err=True)
                    return
                _tell(retain(pool, connection, keep, show=not as_json), as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("Ctrl-C: what has ended stays so, the next run goes on", err=True)
    except (ValueError, LookupError, RuntimeError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error
    except (psycopg.Error, PoolTimeout) as error:
        typer.echo(f"error: {error}; what has ended stays so, the next run goes on", err=True)
        raise typer.Exit(1) from error


def foreseen(pool: DatabasePool, keep: Keep) -> Retained:
    """Return what a run would do now; nothing is changed."""
    from alpharay.store.bookkeeping import count_records
    from alpharay.store.candle_retention import count_ended
    from alpharay.store.candle_tables import table_bytes

    with pool.connection() as connection:
        plan = _plan(connection, keep)
        told = _begun(plan, dry_run=True)
        told.made = list(plan.missing)
        for month in plan.months:
            if month.kept:
                told.deleted_candles[month.partition.name] = count_ended(connection, month)
            else:
                told.dropped_bytes[month.partition.name] = table_bytes(connection, month.partition.name)
        for name in plan.unfinished:
            told.dropped_bytes[name] = table_bytes(connection, name)
        for records, days in _ending_records(keep):
            told.records[records.name] = count_records(connection, records, days=days)
    return told


def retain(pool: DatabasePool, connection: Connection[TupleRow], keep: Keep, *, show: bool = False) -> Retained:
    """End what is old and make the next months, on a connection that `alone` has given; return what was done.

    After an interruption the next call goes on from what is stored.
    """
    from alpharay.store.candle_partitions import ensure_partitions, months_ahead
    from alpharay.store.database import in_transaction
    from alpharay.store.detached_months import drop_detached, finish_detaching
    from alpharay.store.ended_candles import forget_absent, hollow_partitions, rewrite_partition
    from alpharay.store.kept_candles import decide, note_end

    months = months_ahead(_now_ms(), keep.months_ahead)
    made = in_transaction(pool, partial(ensure_partitions, months=months))
    plan = in_transaction(pool, partial(_plan, keep=keep))
    told = _begun(plan, dry_run=False)
    told.made = list(made)
    # Before anything ends: ingestion must know that it is not to be fetched again.
    told.moved_starts = in_transaction(pool, partial(decide, kept=plan.kept))
    drop = partial(drop_detached, kept=plan.kept)
    if not finish_detaching(connection):
        told.waiting = list(plan.unfinished)
    told.dropped_bytes |= in_transaction(pool, drop)
    with _progress(show=show) as progress:
        task = progress.add_task("months", total=len(plan.months))
        for month in plan.months:
            progress.update(task, description=month.partition.name)
            _end_month(pool, connection, month, told)
            told.dropped_bytes |= in_transaction(pool, drop)
            progress.advance(task)
        for name in hollow_partitions(connection, plan.kept):
            if rewrite_partition(connection, name):
                told.rewritten.append(name)
        told.absent_ranges = in_transaction(pool, partial(forget_absent, kept=plan.kept))
        for records, days in _ending_records(keep):
            progress.update(task, description=records.name)
            _end_records(pool, records, days, told)
    if not told.waiting:
        in_transaction(pool, note_end)
    return told


def _plan(connection: Connection[TupleRow], keep: Keep) -> RetentionPlan:
    from alpharay.store.candle_retention import plan_retention

    return plan_retention(
        connection,
        keep_days=keep.candle_days,
        shorter_than=keep.shorter_than,
        ahead=keep.months_ahead,
        now_ms=_now_ms(),
    )


def _begun(plan: RetentionPlan, *, dry_run: bool) -> Retained:
    return Retained(
        dry_run, {one.exchange: None if one.kept_from is None else _day(one.kept_from) for one in plan.kept}
    )


def _end_month(pool: DatabasePool, connection: Connection[TupleRow], month: EndedMonth, told: Retained) -> None:
    """Detach a month that holds nothing to be kept; else delete the candles that are over, market by market."""
    from alpharay.store.database import in_transaction
    from alpharay.store.detached_months import detach_partition
    from alpharay.store.ended_candles import delete_some

    name = month.partition.name
    if not month.kept:
        # One at a time can be half detached.
        if told.waiting or not detach_partition(connection, name):
            told.waiting.append(name)
        return
    for market in month.ended:
        after: int | None = month.partition.start_ms
        while after is not None:
            gone, after = in_transaction(pool, partial(delete_some, partition=name, market=market, after_ms=after))
            told.deleted_candles[name] = told.deleted_candles.get(name, 0) + gone


def _ending_records(keep: Keep) -> Iterable[tuple[Records, int]]:
    from alpharay.store.bookkeeping import BACKTESTS, CHECKPOINTS, CONSUMED_IDS, PUBLISHED_MESSAGES

    yield from ((records, BOOKKEEPING_DAYS) for records in (PUBLISHED_MESSAGES, CONSUMED_IDS, CHECKPOINTS))
    if keep.backtest_days:
        yield BACKTESTS, keep.backtest_days


def _end_records(pool: DatabasePool, records: Records, days: int, told: Retained) -> None:
    from alpharay.store.bookkeeping import DELETED_AT_ONCE, end_records
    from alpharay.store.database import in_transaction

    gone = DELETED_AT_ONCE
    while gone == DELETED_AT_ONCE:
        gone = in_transaction(pool, partial(end_records, records=records, days=days))
        told.records[records.name] = told.records.get(records.name, 0) + gone


def _progress(*, show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not show,
    )


def _tell(told: Retained, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(told)))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=JOB_LOG_WIDTH)
    for exchange, since in told.kept_from.items():
        kept = "all candles are kept" if since is None else f"short candles are kept from {since} on"
        console.print(f"{exchange}: {kept}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("months", "would be" if told.dry_run else "done"):
        table.add_column(heading, overflow="fold")
    for name in told.made:
        table.add_row(name, "made")
    for name, size in told.dropped_bytes.items():
        table.add_row(name, f"dropped whole, {size / 1e6:,.1f} MB")
    for name, rows in told.deleted_candles.items():
        table.add_row(name, f"{rows:,} candles deleted, the longer ones kept")
    for name in told.rewritten:
        table.add_row(name, "empty space given back")
    for name in told.waiting:
        table.add_row(name, "is being read: the next run goes on")
    console.print(table if table.row_count else "no month is over, and the next ones are there", highlight=False)
    ended = [f"{count:,} {name}" for name, count in told.records.items() if count]
    console.print(f"bookkeeping: {', '.join(ended) or 'nothing is old enough'}", highlight=False)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}"


if __name__ == "__main__":
    app()
