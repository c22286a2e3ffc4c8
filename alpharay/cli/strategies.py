"""`alpharay strategies`: the catalogue, and what was discovered."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alpharay.cli import strategy_checks, strategy_files, strategy_show
from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told
from alpharay.settings import settings

app = typer.Typer(help="The strategies of the catalogue, and the discovered ones.", no_args_is_help=True)
app.command("lookahead")(strategy_checks.lookahead)
app.command("recursive")(strategy_checks.recursive)
app.command("show")(strategy_show.show)
app.command("export")(strategy_files.export)
app.command("import")(strategy_files.import_)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]


@app.command()
def catalogue(as_json: AsJson = False) -> None:
    """List the strategies that a search can use, with their parameters' ranges.

    Example: alpharay strategies catalogue
    """
    from alpharay.strategies.catalogue import CATALOGUE
    from alpharay.strategies.codec import strategy_to_json

    if as_json:
        typer.echo(json.dumps([strategy_to_json(strategy) for strategy in CATALOGUE.values()]))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("strategy", "parameters", "rule"):
        table.add_column(heading, overflow="fold")
    for strategy in CATALOGUE.values():
        ranges = "\n".join(f"{item.name} {item.low}-{item.high} ({item.default})" for item in strategy.parameters)
        table.add_row(strategy.name, ranges, strategy.description)
    Console().print(table)


@app.command("list")
def list_(
    symbol: Annotated[str | None, typer.Option(help="SPX/USD or SPX; all when left out.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Length of a candle: 1m, 1h, 1d ...")] = None,
    status: Annotated[
        list[strategy_files.Status] | None,
        typer.Option(case_sensitive=False, help="Only with this status; may be given again."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, best score first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List discovered strategies, best score in sample first, with what was left of it out of sample.

    Example: alpharay strategies list --symbol SPX --json
    """
    from alpharay.market.symbol import resolve_symbol
    from alpharay.store.strategies import best_strategies

    with errors_told():
        wanted = resolve_symbol(symbol, settings().default_quote) if symbol else None
        with database_connection() as connection:
            found = best_strategies(
                connection, symbol=wanted, timeframe=timeframe, statuses=status or None, limit=limit
            )
    if as_json:
        typer.echo(json.dumps([asdict(strategy) for strategy in found], default=str))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("strategy", "market", "parameters", "status", "score", "Sharpe in", "Sharpe out", "id"):
        table.add_column(heading, overflow="fold")
    for strategy in found:
        table.add_row(
            escape(strategy.strategy_name),
            f"{strategy.symbol} {strategy.timeframe}",
            " ".join(f"{name}={value:.4g}" for name, value in strategy.parameters.items()),
            strategy.status,
            f"{strategy.score:.3f}",
            _figure(strategy.in_sample.get("sharpe")),
            _figure(strategy.out_of_sample.get("sharpe")),
            strategy.strategy_id[:12],
        )
    Console().print(table)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
