"""`alpharay strategies export` and `import`: discovered strategies in files, and from one installation to another."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Status(StrEnum):
    """What a discovered strategy can be."""

    CANDIDATE = "CANDIDATE"
    INSUFFICIENT = "INSUFFICIENT"
    VALIDATED = "VALIDATED"
    DEPLOYED = "DEPLOYED"
    REJECTED = "REJECTED"
    RETIRED = "RETIRED"


def export(
    # Keyword-only, so that the file may follow ids that can be left out.
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="How ids begin; all strategies when left out.")
    ] = None,
    file: Annotated[Path, typer.Argument(help=".json to import elsewhere; .parquet, .arrow or .csv as a table.")],
    status: Annotated[
        list[Status] | None, typer.Option(case_sensitive=False, help="Only with this status; may be given again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write discovered strategies to a file: JSON to import elsewhere, or a table of their figures.

    \b
    Examples:
      alpharay strategies export all.json
      alpharay strategies export --status validated --status deployed trusted.json
      alpharay strategies export 3fa9c1 70b2e4 two.parquet
    """  # noqa: D301 - \b keeps the examples' lines as they are
    from alpharay.reports.tables import strategies_frame, write_frame
    from alpharay.store.strategy_transfer import chosen_strategies, strategies_file

    with errors_told():
        if ids and status:
            raise ValueError(f"give either ids or --status, was {', '.join(ids)} and {', '.join(status)}")
        with database_connection() as connection:
            found = chosen_strategies(connection, ids or (), status or ())
        if file.suffix.lower() == ".json":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(strategies_file(found))
        else:
            write_frame(strategies_frame([asdict(item) for item in found]), file)
    if as_json:
        typer.echo(json.dumps({"file": str(file.resolve()), "strategies": [item.strategy_id for item in found]}))
    else:
        typer.echo(f"{len(found)} strategies written to {file.resolve()}")


def import_(
    file: Annotated[Path, typer.Argument(help="A .json file that `alpharay strategies export` wrote.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file and store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store the strategies of a file that are not known yet, all or, where one is wrong, none.

    They come as candidates, whatever they were elsewhere: `alpharay validate` decides on the candles stored here.
    Indicators of your own must be known here too (ALPHARAY_STRATEGY_FILES).

    \b
    Examples:
      alpharay strategies import all.json
      alpharay strategies import trusted.json --dry-run --json
    """  # noqa: D301 - \b keeps the examples' lines as they are
    from alpharay.store.strategy_transfer import import_strategies, strategies_of_file

    with errors_told():
        content = file.read_bytes()
        with database_connection() as connection:
            # Read with the connection open: the users' indicators are known then.
            strategies = strategies_of_file(content)
            imported = import_strategies(connection, strategies)
            if dry_run:
                connection.rollback()
    if as_json:
        typer.echo(json.dumps({**asdict(imported), "dry_run": dry_run}))
    else:
        verb = "would be stored" if dry_run else "stored as candidates"
        typer.echo(f"{len(imported.new)} strategies {verb}, {len(imported.known)} were known")
