"""`alpharay signals`: the signals that were given, and what became of them."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told
from alpharay.cli.tables import figures_table
from alpharay.settings import settings, state_folder
from ray_jobs.outcomes import main as outcomes

OUTCOMES_HELP = """Work out what became of signals, from the candles that are stored.

The job `ray_jobs.outcomes`, with the same options; the same signals and candles again change nothing.

Example: alpharay signals outcomes --symbol SOL --json
"""

app = typer.Typer(help="The signals that were given, and what became of them.", no_args_is_help=True)
app.command("outcomes", help=OUTCOMES_HELP)(outcomes)

Symbol = Annotated[str | None, typer.Option(help="SOL/USD or SOL; all when left out.")]


@app.command("list")
def list_(
    symbol: Symbol = None,
    action: Annotated[str | None, typer.Option(help="BUY, SELL or HOLD; all when left out.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List the newest stored signals with what became of them.

    Example: alpharay signals list --symbol SOL --action BUY --json
    """
    from alpharay.market.symbol import resolve_symbol
    from alpharay.store.signal_outcomes import ending_of, outcomes_of
    from alpharay.store.signals import ACTIONS, newest_signals

    with errors_told():
        wanted = resolve_symbol(symbol, settings().default_quote) if symbol else None
        said = None if action is None else action.upper()
        if said not in (None, *ACTIONS):
            raise ValueError(f"action must be one of {', '.join(ACTIONS)}, was {action!r}")
        with database_connection() as connection:
            newest = newest_signals(connection, symbol=wanted, action=said, limit=limit)
            outcomes_by_id = outcomes_of(connection, [one.signal_id for one in newest])
    found = [(one, outcomes_by_id.get(one.signal_id)) for one in newest]
    if as_json:
        rows = [
            {**asdict(one), "ending": ending_of(one, outcome), "outcome": None if outcome is None else asdict(outcome)}
            for one, outcome in found
        ]
        typer.echo(json.dumps(rows, default=str))
        return
    table = figures_table(
        ("signal", "market", "action", "confidence", "price", "ending", "net return", "stored"),
        [
            (
                one.signal_id[:32],
                f"{one.symbol} {one.timeframe}",
                one.action,
                f"{one.confidence:.2f}",
                f"{one.price:,.6g}",
                ending_of(one, outcome).lower(),
                "-" if outcome is None or outcome.net_return is None else f"{outcome.net_return:+.2%}",
                f"{one.stored_at:%Y-%m-%d %H:%M:%S}",
            )
            for one, outcome in found
        ],
    )
    Console().print(table)


@app.command("report")
def report(
    symbol: Symbol = None,
    days: Annotated[float, typer.Option(min=0.01, max=3650.0, help="Signals stored in the newest days.")] = 30.0,
    output: Annotated[
        Path | None, typer.Option(help="The file to write; one in .alpharay/reports when left out.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the file and the figures as JSON.")] = False,
) -> None:
    """Write how good the signals were as an HTML file: hit rates, profit, calibration, markets, strategies.

    Example: alpharay signals report --days 7 --open
    """
    import msgspec

    from alpharay.analytics.record import Chosen, confidence_curve, summary
    from alpharay.market.symbol import resolve_symbol
    from alpharay.reports.signal_report import HEADINGS, performance_row, write_signal_report
    from alpharay.store.signal_record import load_signal_record

    with errors_told():
        chosen = Chosen(symbol=resolve_symbol(symbol, settings().default_quote) if symbol else None)
        with database_connection() as connection:
            record = load_signal_record(connection, days=days)
        file = write_signal_report(record, chosen, output or state_folder() / "reports" / "signals.html").resolve()
    told = summary(record, chosen)
    if as_json:
        figures = {**told, **confidence_curve(record, chosen)}
        typer.echo(msgspec.json.encode({"report": str(file), **figures}).decode())
    else:
        parts = {"all": told["performance"], **told["by_action"]}
        Console().print(figures_table(("", *HEADINGS), [performance_row(*part) for part in parts.items()]))
        typer.echo(str(file))
    if open_:
        webbrowser.open(file.as_uri())
