r"""Job: decide which trusted strategies speak now; store and publish scores, ensembles, deployments, retirements.

For every market with validated or deployed strategies: each is walked over the stored candles, at the costs of the
search that found it, and scored by what it did unseen, deployed ones that have decayed retire, an ensemble is chosen by
confidence and correlation, and deployments are rotated towards it, with hysteresis. A decision depends on stored data
alone: the same data again changes nothing. Where strategies were found on resampled candles, these are kept beside the
stored ones, in step with them; they are made first where the candle sink has not done it yet.

For example:

Once, and print what was decided:

    python -m ray_jobs.score

What would be decided, as JSON, without storing it:

    python -m ray_jobs.score --symbol SPX --dry-run --json

Every five minutes, as a job of the cluster:

    ray job submit -- python -m ray_jobs.score --forever
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from alpharay.settings import SettingMissingError, settings

if TYPE_CHECKING:
    from alpharay.selection.market_selection import MarketSelection, SelectionSettings
    from alpharay.store.candle_rows import Market
    from alpharay.store.database import DatabasePool

JOB_LOG_WIDTH = 150

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def main(
    symbol: Annotated[str | None, typer.Option(help="Only SPX/USD, or SPX for the default quote.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this length of a candle: 1m, 1h, 1d …")] = None,
    places: Annotated[int, typer.Option(min=1, help="Strategies of one market deployed at the same time.")] = 3,
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="So much more confident must one be that replaces another.")
    ] = 0.1,
    stay_hours: Annotated[float, typer.Option(min=0.0, help="Nobody is replaced before so long.")] = 24.0,
    least_confidence: Annotated[float, typer.Option(min=0.0, max=1.0, help="Nobody below is deployed.")] = 0.2,
    forever: Annotated[bool, typer.Option("--forever", help="Decide again and again.")] = False,
    interval: Annotated[float, typer.Option(min=1.0, help="With --forever: seconds between two rounds.")] = 300.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, store no decision.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decisions as JSON.")] = False,
) -> None:
    """Decide; see the module's text."""
    # Numba and SciPy take seconds to import, which `--help` need not wait for.
    from alpharay.market.symbol import resolve_symbol
    from alpharay.selection.ensemble import EnsembleSettings
    from alpharay.selection.market_selection import SelectionSettings
    from alpharay.selection.rotation import RotationSettings
    from ray_jobs.market_discovery import discovery_pool

    try:
        current = settings()
        wanted = resolve_symbol(symbol, current.default_quote) if symbol else None
        chosen = SelectionSettings(
            ensemble=EnsembleSettings(least_confidence=least_confidence),
            rotation=RotationSettings(
                places=places,
                threshold=threshold,
                stay_ms=int(stay_hours * 3_600_000),
                least_confidence=least_confidence,
            ),
        )
        with discovery_pool(current) as pool:
            while True:
                _round(pool, chosen, wanted, timeframe, dry_run=dry_run, as_json=as_json)
                if not forever:
                    return
                threading.Event().wait(interval)
    except KeyboardInterrupt:
        typer.echo("Ctrl-C: what was decided is stored", err=True)
    except (ValueError, LookupError, RuntimeError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def _round(
    pool: DatabasePool,
    chosen: SelectionSettings,
    symbol: str | None,
    timeframe: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Decide for every market once, and show it."""
    from alpharay.store.database import in_transaction
    from alpharay.store.rolled_markets import follow_strategies
    from alpharay.store.selection import markets_with_trusted

    console = _console(error=as_json)
    in_transaction(pool, follow_strategies)
    with pool.connection() as connection:
        markets = [
            market
            for market in markets_with_trusted(connection)
            if symbol in (None, market.symbol) and timeframe in (None, market.timeframe)
        ]
    decided = [
        (market, decide(pool, market, chosen, dry_run=dry_run))
        for market in track(markets, "markets", console=console, transient=True)
    ]
    if as_json:
        typer.echo(json.dumps([_json(market, selection) for market, selection in decided], indent=2))
        return
    if not markets:
        console.print("no validated or deployed strategies: run `python -m ray_jobs.validate` first")
        return
    console.print(_table(decided))
    for market, selection in decided:
        for line in _lines(selection):
            console.print(f"{market.symbol} {market.timeframe}: {line}", highlight=False, markup=False)


def decide(pool: DatabasePool, market: Market, chosen: SelectionSettings, *, dry_run: bool = False) -> MarketSelection:
    """Decide for one market, store the decision and its messages, and return it.

    A market whose candles are made from smaller ones has all of them first.
    """
    from alpharay.backtest.costs import Costs
    from alpharay.selection.market_selection import TrustedStrategy, select
    from alpharay.store.candles import load_candles
    from alpharay.store.database import in_transaction
    from alpharay.store.requests import requested_costs
    from alpharay.store.rolled_filling import fill_market
    from alpharay.store.selection import kind_records, store_selection, trusted_strategies
    from alpharay.strategies.codec import strategy_from_json

    fill_market(pool, market)
    with pool.connection() as connection:
        rows = trusted_strategies(connection, market)
        kinds = kind_records(connection)
        candles = load_candles(connection, market, start_ms=min((row.start_time for row in rows), default=None))
    trusted = []
    for row in rows:
        costs, frictions = (Costs(), None) if row.request is None else requested_costs(row.request)
        trusted.append(
            TrustedStrategy(
                strategy_id=row.strategy_id,
                strategy=strategy_from_json(row.strategy),
                parameters=row.parameters,
                start_time=row.start_time,
                train_end_time=row.train_end_time,
                end_time=row.end_time,
                deployed_at=row.deployed_at,
                costs=costs,
                frictions=frictions,
            )
        )
    selection = select(trusted, candles, kinds, chosen)
    if not dry_run and selection.decided_at > 0:
        in_transaction(pool, partial(store_selection, market=market, selection=selection))
    return selection


def _json(market: Market, selection: MarketSelection) -> dict[str, Any]:
    return {
        "exchange": market.exchange,
        "symbol": market.symbol,
        "timeframe": market.timeframe,
        **asdict(selection),
    }


def _lines(selection: MarketSelection) -> list[str]:
    return [
        *(f"RETIRE {strategy_id[:12]}: {reason}" for strategy_id, reason in selection.retirements.items()),
        *(f"{move.kind} {move.strategy_id[:12]}: {move.reason}" for move in selection.moves),
        *(f"left out {problem}" for problem in selection.problems),
    ]


def _table(decided: list[tuple[Market, MarketSelection]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("market", "strategy", "confidence", "performance", "kind", "recency", "unseen", "in ensemble"):
        table.add_column(heading, overflow="fold")
    for market, selection in decided:
        weights = {member.strategy_id: member.weight for member in selection.ensemble.members}
        for score in sorted(selection.scores, key=lambda one: -one.confidence.value):
            value, share = score.confidence, weights.get(score.strategy_id)
            table.add_row(
                f"{market.symbol} {market.timeframe}",
                score.strategy_id[:12],
                f"{value.value:.3f}",
                f"{value.performance:.3f}",
                f"{value.frequency:.3f}",
                f"{value.recency:.3f}",
                f"{score.unseen_days} days, {score.unseen_trades} trades",
                "-" if share is None else f"{share:.0%}",
            )
    return table


def _console(*, error: bool) -> Console:
    """Return the console; beside JSON on standard output it writes to standard error."""
    console = Console(stderr=error)
    return console if console.is_terminal else Console(stderr=error, width=JOB_LOG_WIDTH)


if __name__ == "__main__":
    app()
