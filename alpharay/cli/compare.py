"""`alpharay compare`: stored strategies side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told
from alpharay.cli.progress import PartProgress
from alpharay.cli.tables import figures_table

if TYPE_CHECKING:
    from alpharay.reports.comparison import Compared

SHOWN_ID = 8


def compare(
    ids: Annotated[list[str], typer.Argument(metavar="ID ID …", help="How the strategies' ids begin.")],
    output: Annotated[Path | None, typer.Option(help="Write an HTML file with the equity of all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures and correlations as one JSON object.")] = False,
) -> None:
    """Show strategies side by side: their figures, and how alike their days are.

    Two strategies whose daily returns correlate with 0.9 are one bet. Each is backtested on the window that it was
    found in, at the costs of its search.

    \b
    Examples:
      alpharay compare 3fa9c1 70b2e4
      alpharay compare 3fa9c1 70b2e4 c15d08 --output compared.html --json
    """  # noqa: D301 - \b keeps the examples' lines as they are
    from alpharay.backtest.metrics import metrics_json
    from alpharay.reports.comparison import comparison_report, comparison_rows, return_correlations
    from alpharay.reports.formats import number

    with errors_told(), PartProgress(quiet=as_json) as progress:
        progress("strategies", "working", "reading and backtesting")
        items = _compared(ids)
        progress("strategies", "up", f"{len(items)} backtested")
        correlations = return_correlations(items)
        if output is not None:
            progress("report", "working", "drawing")
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(comparison_report(items), encoding="utf-8")
            progress("report", "up", str(output.resolve()))
    labels = [item.label for item in items]
    if as_json:
        strategies = [
            {
                "label": item.label,
                "status": item.status,
                "symbol": item.candles.symbol,
                "timeframe": item.candles.timeframe,
                "start_time": int(item.candles.open_time[0]),
                "end_time": int(item.candles.open_time[-1]),
                "metrics": metrics_json(item.result.metrics),
            }
            for item in items
        ]
        report = None if output is None else str(output.resolve())
        typer.echo(json.dumps({"report": report, "strategies": strategies, "correlations": correlations}))
        return
    console = Console()
    console.print(figures_table(["", *labels], comparison_rows(items)))
    rows = [[label, *map(number, row)] for label, row in zip(labels, correlations, strict=True)]
    console.print(figures_table(["correlation of days", *labels], rows))


def _compared(ids: list[str]) -> list[Compared]:
    from alpharay.backtest.single import backtest_strategy
    from alpharay.reports.comparison import Compared
    from alpharay.store.report_content import strategy_content
    from alpharay.store.validations import find_strategy

    items: dict[str, Compared] = {}
    with database_connection() as connection:
        for stored in [find_strategy(connection, beginning) for beginning in ids]:
            content = strategy_content(connection, stored)
            one = content.strategies[0]
            result = backtest_strategy(
                one.strategy,
                one.parameters,
                content.parts.candles,
                costs=content.costs,
                stops=content.stops,
                frictions=content.frictions,
            )
            label = f"{one.strategy.name} {stored.strategy_id[:SHOWN_ID]}"
            items[stored.strategy_id] = Compared(label, stored.status, content.parts.candles, result)
    return list(items.values())
