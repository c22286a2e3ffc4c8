r"""Job: work out what became of the signals that were given, as soon as the candles are stored that tell.

A BUY or SELL is entered at the next open after it was made and left after a horizon, or at the opposite signal, net of
costs. The same signals and candles again change nothing; an outcome may still change for a day, when a candle is
corrected or a signal comes late. Signals older than the days that are kept are deleted, in small batches.

For example:

Once, and print what was done:

    python -m ray_jobs.outcomes

One market, left after 12 candles, as JSON:

    python -m ray_jobs.outcomes --symbol SOL --timeframe 1h --horizon 12 --json

Every minute, as a job of the cluster:

    ray job submit -- python -m ray_jobs.outcomes --forever

Everything anew, after the horizon or the costs have changed:

    python -m ray_jobs.outcomes --horizon 48 --again
"""

from __future__ import annotations

import json
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Annotated

import structlog
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from alpharay.settings import SettingMissingError, settings

if TYPE_CHECKING:
    from alpharay.analytics.outcome import OutcomeTerms
    from alpharay.store.candle_rows import Market
    from alpharay.store.database import DatabasePool
    from alpharay.store.signal_outcomes import WorkedOut

JOB_LOG_WIDTH = 150
LEAST_DAYS = 15.0
"""Kafka keeps signals for 7 days, and their ids must be known as long; twice that, and one."""

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)
log = structlog.get_logger(__name__)


@app.command(help=HELP)
def main(
    symbol: Annotated[str | None, typer.Option(help="Only SOL/USD, or SOL for the default quote.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this length of a candle: 1m, 1h, 1d …")] = None,
    exchange: Annotated[str | None, typer.Option(help="Only this exchange.")] = None,
    horizon: Annotated[int, typer.Option(min=1, help="Candles after which a signal is left.")] = 24,
    fee: Annotated[float, typer.Option(help="Fraction of the traded value, each side.")] = 0.001,
    slippage: Annotated[float, typer.Option(help="Fraction of the price, each side.")] = 0.0002,
    settle_hours: Annotated[float, typer.Option(min=0.0, help="So long an outcome may still change.")] = 24.0,
    keep_days: Annotated[
        float, typer.Option(help=f"Delete signals stored longer ago; at least {LEAST_DAYS:.0f}, 0 keeps all.")
    ] = 180.0,
    again: Annotated[bool, typer.Option("--again", help="Work out all stored outcomes anew, once.")] = False,
    forever: Annotated[bool, typer.Option("--forever", help="Go on, round after round.")] = False,
    interval: Annotated[float, typer.Option(min=1.0, help="With --forever: seconds between two rounds.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what each round did as one line of JSON.")] = False,
) -> None:
    """Work out outcomes; see the module's text."""
    # Numba and SciPy take seconds to import, which `--help` need not wait for.
    from alpharay.analytics.outcome import OutcomeTerms
    from alpharay.backtest.costs import Costs
    from alpharay.market.symbol import resolve_symbol
    from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, in_transaction, is_connection_loss, open_pool
    from alpharay.store.migrate import migrate
    from alpharay.store.signal_outcomes import reopen_signals

    try:
        current = settings()
        terms = OutcomeTerms(horizon=horizon, costs=Costs(fee=fee, slippage=slippage))
        wanted = resolve_symbol(symbol, current.default_quote) if symbol else None
        if keep_days and keep_days < LEAST_DAYS:
            raise ValueError(f"keep-days must be 0 or at least {LEAST_DAYS:.0f}, was {keep_days:g}")  # noqa: TRY301
        migrate(current.require("database_url"))
        with open_pool(
            current.require("database_url"),
            application="outcomes",
            max_connections=1,
            statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S,
        ) as pool:
            if again:
                in_transaction(pool, partial(reopen_signals, symbol=wanted))
            while True:
                try:
                    markets = [
                        market
                        for market in _open_markets(pool)
                        if wanted in (None, market.symbol)
                        and timeframe in (None, market.timeframe)
                        and exchange in (None, market.exchange)
                    ]
                    done = _round(pool, markets, terms, settle_hours=settle_hours, show=not forever and not as_json)
                    pruned = prune(pool, keep_days=keep_days) if keep_days else 0
                    _tell(done, pruned, as_json=as_json, quiet=forever)
                except Exception as error:
                    if not forever or not is_connection_loss(error):
                        raise
                    log.warning("outcomes.round_given_up", error=str(error), next_in_s=interval)
                if not forever:
                    return
                threading.Event().wait(interval)
    except KeyboardInterrupt:
        typer.echo("Ctrl-C: what was worked out is stored", err=True)
    except (ValueError, LookupError, RuntimeError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def prune(pool: DatabasePool, *, keep_days: float) -> int:
    """Delete the signals stored longer ago, with their outcomes, in one small transaction after the other."""
    from alpharay.store.database import in_transaction
    from alpharay.store.signals import PRUNED_AT_ONCE, prune_signals

    pruned = 0
    while True:
        gone = in_transaction(pool, partial(prune_signals, keep_s=keep_days * 86_400.0))
        pruned += gone
        if gone < PRUNED_AT_ONCE:
            return pruned


def _open_markets(pool: DatabasePool) -> list[Market]:
    from alpharay.store.signal_outcomes import open_markets

    with pool.connection() as connection:
        return open_markets(connection)


def _round(
    pool: DatabasePool, markets: list[Market], terms: OutcomeTerms, *, settle_hours: float, show: bool
) -> list[WorkedOut]:
    """Work out every market's outcomes once."""
    from alpharay.store.signal_outcomes import work_out

    settle_ms = int(settle_hours * 3_600_000)
    shown = track(markets, "markets", console=Console(stderr=True), transient=True, disable=not show)
    return [work_out(pool, market, terms, settle_ms=settle_ms) for market in shown]


def _tell(done: list[WorkedOut], pruned: int, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        markets = [{**one.market._asdict(), **_counts(one)} for one in done]
        typer.echo(json.dumps({"markets": markets, "pruned": pruned}))
        return
    if quiet:
        changed = sum(one.stored for one in done)
        if changed or pruned:
            log.info("outcomes.worked_out", stored=changed, settled=sum(one.settled for one in done), pruned=pruned)
        return
    console = Console()
    console = console if console.is_terminal else Console(width=JOB_LOG_WIDTH)
    if not done:
        console.print("no open signals: nothing to work out")
    else:
        console.print(_table(done))
    if pruned:
        console.print(f"{pruned} old signals were deleted")


def _counts(one: WorkedOut) -> dict[str, int]:
    return {"stored": one.stored, "settled": one.settled, "waiting": one.waiting}


def _table(done: list[WorkedOut]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("market", "outcomes new or changed", "settled", "decisions that wait for candles"):
        table.add_column(heading, overflow="fold")
    for one in done:
        table.add_row(f"{one.market.exchange} {one.market.symbol} {one.market.timeframe}", *map(str, one[1:]))
    return table


if __name__ == "__main__":
    app()
