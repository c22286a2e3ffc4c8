"""`alpharay models`: training, the registry of signal models, and models in files."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told
from alpharay.settings import settings
from ray_jobs import train

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

    from alpharay.store.candle_rows import Market
    from alpharay.store.model_registry import StoredModel

app = typer.Typer(help="Signal models: train them, see which are stored, say which speak.", no_args_is_help=True)
app.command("train", help=train.HELP)(train.main)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelId = Annotated[str, typer.Argument(metavar="ID", help="How the model's id begins.")]
Symbol = Annotated[str, typer.Argument(help="BTC/USD, or BTC for the default quote.")]
Timeframe = Annotated[str, typer.Option(help="Length of a candle: 1m, 1h, 1d …")]
Exchange = Annotated[str | None, typer.Option(help="Needed where several have models.")]


class Status(StrEnum):
    """What a stored model can be."""

    CANDIDATE = "CANDIDATE"
    ACTIVE = "ACTIVE"
    REJECTED = "REJECTED"
    RETIRED = "RETIRED"


Statuses = Annotated[
    list[Status] | None, typer.Option(case_sensitive=False, help="Only with this status; may be given again.")
]


@app.command("list")
def list_(
    symbol: Annotated[str | None, typer.Option(help="Only BTC/USD, or BTC for the default quote.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this length of a candle: 1m, 1h, 1d …")] = None,
    status: Statuses = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List stored models, the newest of each market first.

    Example: alpharay models list --symbol BTC --status active --json
    """
    from alpharay.market.symbol import resolve_symbol
    from alpharay.reports.formats import day
    from alpharay.store.model_registry import stored_models

    with errors_told():
        wanted = resolve_symbol(symbol, settings().default_quote) if symbol else None
        with database_connection() as connection:
            found = stored_models(connection, symbol=wanted, timeframe=timeframe, statuses=status or None, limit=limit)
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], default=str))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("market", "status", "gain", "bound", "Brier", "base", "samples", "trained until", "id"):
        table.add_column(heading, overflow="fold")
    for item in found:
        figures = item.metrics
        table.add_row(
            f"{item.symbol} {item.timeframe} {item.exchange}",
            item.status,
            _mnat(figures["gain"]),
            _mnat(figures["gain_bound"]),
            f"{figures['brier']:.4f}",
            f"{figures['base_brier']:.4f}",
            str(figures["samples"]),
            day(item.trained_until),
            item.model_id[:12],
        )
    Console().print(table)


@app.command()
def show(model_id: ModelId, as_json: AsJson = False) -> None:
    """Show one model: what it was trained on, how well it foretells, its calibration curve, and whether it can score.

    Example: alpharay models show 3fa9c1
    """
    from alpharay.store.model_registry import find_model, load_model

    with errors_told(), database_connection() as connection:
        stored = find_model(connection, model_id)
        try:
            model, problem = load_model(connection, stored.model_id), None
        except ValueError as error:
            model, problem = None, str(error)
    if as_json:
        card = None if model is None else asdict(model.card)
        typer.echo(json.dumps({**asdict(stored), "card": card, "problem": problem}, default=str))
        return
    _show(Console(), stored, problem)
    if model is not None:
        made = ", ".join(f"{name} {value}" for name, value in asdict(model.card.settings).items())
        Console().print(f"settings  {made}", highlight=False, soft_wrap=True)


@app.command()
def activate(model_id: ModelId, as_json: AsJson = False) -> None:
    """Let a model speak in the place of its market's active one; replicas take it up by themselves.

    Example: alpharay models activate 3fa9c1
    """
    from alpharay.store.model_registry import activate_model, find_model

    with errors_told(), database_connection() as connection:
        changed = activate_model(connection, model_id)
        stored = find_model(connection, model_id)
    _told(stored, "speaks now" if changed else "spoke already", as_json=as_json, changed=changed)


@app.command()
def rollback(symbol: Symbol, timeframe: Timeframe, exchange: Exchange = None, as_json: AsJson = False) -> None:
    """Let the model speak again that spoke before the active one; again, and it goes one further back.

    Example: alpharay models rollback BTC --timeframe 1h
    """
    from alpharay.store.model_registry import roll_back

    with errors_told(), database_connection() as connection:
        stored = roll_back(connection, _market(connection, symbol, timeframe, exchange))
    _told(stored, "speaks again", as_json=as_json, changed=True)


@app.command()
def retire(symbol: Symbol, timeframe: Timeframe, exchange: Exchange = None, as_json: AsJson = False) -> None:
    """Take a market's active model out, so that none speaks there.

    Example: alpharay models retire BTC --timeframe 1h
    """
    from alpharay.store.model_registry import retire_model

    with errors_told(), database_connection() as connection:
        market = _market(connection, symbol, timeframe, exchange)
        changed = retire_model(connection, market)
    if as_json:
        typer.echo(json.dumps({**market._asdict(), "changed": changed}))
    else:
        typer.echo(f"{' '.join(market)}: {'its model is retired' if changed else 'no model spoke'}")


@app.command()
def export(
    # Keyword-only, so that the file may follow ids that can be left out.
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="How ids begin; all models when left out.")
    ] = None,
    file: Annotated[Path, typer.Argument(help="A .json file.")],
    status: Statuses = None,
    as_json: AsJson = False,
) -> None:
    """Write models with their bytes and checksums to a file: a back-up, or for another installation.

    \b
    Examples:
      alpharay models export all.json
      alpharay models export --status active speaking.json
      alpharay models export 3fa9c1 one.json
    """  # noqa: D301 - \b keeps the examples' lines as they are
    from alpharay.store.model_transfer import chosen_models, models_file

    with errors_told():
        if ids and status:
            raise ValueError(f"give either ids or --status, was {', '.join(ids)} and {', '.join(status)}")
        with database_connection() as connection:
            found = chosen_models(connection, ids or (), status or ())
            content = models_file(connection, found)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    if as_json:
        typer.echo(json.dumps({"file": str(file.resolve()), "models": [item.model_id for item in found]}))
    else:
        typer.echo(f"{len(found)} models written to {file.resolve()}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file that `alpharay models export` wrote.")],
    active: Annotated[
        bool, typer.Option("--activate", help="Let those speak that did when they were exported.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file and store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store the models of a file, all or, where one is wrong, none; stored ones that were damaged are repaired.

    A model came from somebody: import only files that you trust.

    \b
    Examples:
      alpharay models import all.json
      alpharay models import speaking.json --activate
    """  # noqa: D301 - \b keeps the examples' lines as they are
    from alpharay.store.model_transfer import import_models, models_of_file

    with errors_told():
        models = models_of_file(file.read_bytes())
        with database_connection() as connection:
            imported = import_models(connection, models, activate=active)
            if dry_run:
                connection.rollback()
    if as_json:
        typer.echo(json.dumps({**asdict(imported), "dry_run": dry_run}))
        return
    counts = {name: len(ids) for name, ids in asdict(imported).items()}
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    typer.echo(f"{'would be stored: ' if dry_run else ''}{told}")


def _market(connection: Connection[TupleRow], symbol: str, timeframe: str, exchange: str | None) -> Market:
    """Return the market that has models; raises LookupError when none has, or those of several exchanges."""
    from alpharay.market.symbol import resolve_symbol
    from alpharay.store.model_registry import stored_models

    wanted = resolve_symbol(symbol, settings().default_quote)
    stored = stored_models(connection, symbol=wanted, timeframe=timeframe, limit=10_000)
    markets = sorted({item.market for item in stored if exchange in (None, item.exchange)})
    if len(markets) > 1:
        exchanges = ", ".join(market.exchange for market in markets)
        raise LookupError(f"{wanted} {timeframe} has models of {exchanges}: name one with --exchange")
    if not markets:
        raise LookupError(f"no model of {wanted} {timeframe} is stored: see `alpharay models list`")
    return markets[0]


def _show(console: Console, stored: StoredModel, problem: str | None) -> None:
    from alpharay.reports.formats import day

    def line(name: str, value: str) -> None:
        console.print(f"{name:>12}  {value}", soft_wrap=True, highlight=False, markup=False)

    figures = stored.metrics
    console.print(f"{' '.join(stored.market)}, {stored.status}", style="bold", highlight=False, markup=False)
    line("id", stored.model_id)
    line("verdict", stored.reason)
    line("trained on", f"{day(stored.trained_from)} to {day(stored.trained_until)}")
    line("foretold", f"{figures['samples']} bars out of fold, {figures['base_rate']:.1%} of them rose")
    line("log loss", f"{figures['log_loss']:.4f}, base rate {figures['base_log_loss']:.4f}")
    line("Brier", f"{figures['brier']:.4f}, base rate {figures['base_brier']:.4f}")
    line("folds", ", ".join(_mnat(gain) for gain in figures["fold_gains"]))
    line("checksum", f"{stored.checksum}, {stored.bytes} bytes")
    line("can score", "yes" if problem is None else f"no: {problem}")
    table = Table(box=None, pad_edge=False)
    for heading in ("foretold", "happened", "bars"):
        table.add_column(heading, justify="right")
    for part in figures["reliability"]:
        table.add_row(f"{part['foretold']:.3f}", f"{part['happened']:.3f}", str(part["samples"]))
    console.print(table)


def _told(stored: StoredModel, done: str, *, as_json: bool, changed: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**asdict(stored), "changed": changed}, default=str))
    else:
        typer.echo(f"model {stored.model_id[:12]} of {' '.join(stored.market)} {done}")


def _mnat(value: Any) -> str:
    """Return a gain in log loss in thousandths of a nat."""
    return f"{1000.0 * value:+.2f} mnat"
