"""`alpharay report`: one run, or one stored strategy, as an HTML file."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told
from alpharay.cli.progress import PartProgress
from alpharay.settings import state_folder

REPORT_FOLDER = "reports"


def report(
    name: Annotated[str, typer.Argument(metavar="RUN_OR_STRATEGY_ID", help="A run's id, or how a strategy's begins.")],
    output: Annotated[
        Path | None, typer.Option(help="The file to write; one in .alpharay/reports when left out.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the file, the status and the verdict as JSON.")
    ] = False,
) -> None:
    """Write one run, or one discovered strategy, as an HTML file that needs nothing else.

    The verdict comes first, then what it rests on: champions, equity and drawdowns, months, trades on the candles, how
    the search went, and every test of the validation. `docs/reports.md` says how to read it.

    \b
    Examples:
      alpharay report 3fa9c1 --open
      alpharay report macd_crossover-5b1f0c2d9e --output macd.html --json
    """  # noqa: D301 - \b keeps the examples' lines as they are
    from alpharay.reports.run_report import verdict_of, write_report
    from alpharay.store.report_content import report_content

    with errors_told(), PartProgress(quiet=as_json) as progress:
        progress("report", "working", "reading")
        with database_connection() as connection:
            content = report_content(connection, name)
        progress("report", "working", f"drawing {len(content.parts.candles):,} candles")
        file = write_report(content, output or state_folder() / REPORT_FOLDER / f"{_file_name(name)}.html").resolve()
        progress("report", "up", str(file))
    shown = content.strategies[content.shown] if content.strategies else None
    status, text = verdict_of(content) if shown is not None else ("", "The search found nothing.")
    if as_json:
        told = {
            "report": str(file),
            "run_id": content.run_id or None,
            "strategy_id": None if shown is None else shown.strategy_id,
            "status": status or None,
            "verdict": text,
        }
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"{status or 'NOT VALIDATED'}: {text}")
    if open_:
        webbrowser.open(file.as_uri())


def _file_name(name: str) -> str:
    """Return what of an id may stand in a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:100]
