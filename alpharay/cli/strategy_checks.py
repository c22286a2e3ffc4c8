"""`alpharay strategies lookahead` and `recursive`: checks of rules before anyone searches or trusts them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from alpharay.market.candles import Candles
    from alpharay.strategies.checks import Kind, LookAheadReport, StartReport
    from alpharay.strategies.strategy import Strategy

LOOK_AHEAD_FOUND = 1
CANNOT_CHECK = 2
SETTLED = 1e-6
KINDS: tuple[Kind, ...] = ("rule", "indicator")

Strategies = Annotated[str, typer.Argument(help="Names or .py files, separated by commas, or all.")]
CandleFile = Annotated[
    Path | None, typer.Option(help="Candles, parquet or CSV; the daily sample index when not given.")
]
Sets = Annotated[
    str | None, typer.Option(help="Parameters that differ from the defaults: fast=5,slow=20 (of one strategy).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]


def lookahead(
    strategies: Strategies,
    candles: CandleFile = None,
    parameters: Sets = None,
    prefixes: Annotated[
        int, typer.Option(min=1, help="So many lengths of history are compared with all of it.")
    ] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Look for rules and indicators that change when later candles become known; exit with 1 when one does.

    The first t candles are evaluated alone and compared with all of them, for many t. What differs was made with
    candles that were still to come, and cannot be traded.

    Example: alpharay strategies lookahead my_rules.py --candles BTC-USD_1h.parquet
    """
    from alpharay.strategies.checks import look_ahead

    try:
        market = _candles(candles)
        reports = [
            look_ahead(strategy, values, market, prefixes=prefixes)
            for strategy, values in _chosen(strategies, parameters)
        ]
    except (ValueError, LookupError) as error:
        raise _refused(error) from error
    if as_json:
        _print_json([asdict(report) for report in reports])
    else:
        console = Console()
        console.print(f"{market.symbol} {market.timeframe}, {len(market):,} candles")
        for report in reports:
            _show_look_ahead(console, report)
    if any(report.found for report in reports):
        raise typer.Exit(LOOK_AHEAD_FOUND)


def recursive(
    strategies: Strategies,
    candles: CandleFile = None,
    parameters: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Show how much the newest values depend on how many candles stand before them, and how many are needed.

    Recursive indicators (an exponential average, the RSI) remember their first candle for a while. With fewer candles
    than are needed, live signals differ from the backtest's.

    Example: alpharay strategies recursive my_rules.py
    """
    from alpharay.strategies.checks import start_dependence

    try:
        market = _candles(candles)
        reports = [start_dependence(strategy, values, market) for strategy, values in _chosen(strategies, parameters)]
    except (ValueError, LookupError) as error:
        raise _refused(error) from error
    if as_json:
        _print_json([{**asdict(report), "needed": {kind: report.needed(kind) for kind in KINDS}} for report in reports])
        return
    console = Console()
    console.print(f"{market.symbol} {market.timeframe}, {len(market):,} candles")
    for report in reports:
        _show_start(console, report)


def _candles(file: Path | None) -> Candles:
    from alpharay.market.files import read_candles
    from alpharay.market.sample import sample_candles

    return sample_candles()[0] if file is None else read_candles(file)


def _chosen(text: str, parameters: str | None) -> list[tuple[Strategy, dict[str, float]]]:
    """Return the strategies, each with its defaults or with what `parameters` says of them."""
    from alpharay.strategies.loading import strategies_from
    from alpharay.strategies.named_parameters import named_parameters

    found = strategies_from(text)
    if parameters is None:
        return [(strategy, strategy.defaults) for strategy in found]
    if len(found) > 1:
        raise ValueError(f"--parameters are of one strategy, was {len(found)} strategies")
    return [(found[0], named_parameters(found[0], parameters))]


def _refused(error: Exception) -> typer.Exit:
    typer.secho(f"error: {error.args[0] if error.args else error}", fg="red", err=True)
    return typer.Exit(CANNOT_CHECK)


def _show_look_ahead(console: Console, report: LookAheadReport) -> None:
    if not report.found:
        console.print(
            f"[green]✓[/green] {report.strategy}: no look-ahead in {report.prefixes:,} lengths of history",
            highlight=False,
        )
    else:
        console.print(f"[red]✗ {report.strategy} looks ahead:[/red]", highlight=False)
        table = Table(box=None, pad_edge=False)
        for heading in ("", "looks ahead", "on the candle of", "candles known", "value then", "value now"):
            table.add_column(heading, overflow="fold")
        for item in report.found:
            then, now = (
                f"{value:.6g}" if item.kind == "indicator" else str(bool(value)) for value in (item.then, item.now)
            )
            table.add_row(item.kind, item.part, _time(item.open_time), f"{item.known_candles:,}", then, now)
        console.print(table)
    if report.idle:
        console.print(
            f"  not checked, for it never holds on these candles: {', '.join(report.idle)}",
            style="yellow",
            highlight=False,
        )


def _show_start(console: Console, report: StartReport) -> None:
    settled = ", ".join(f"{kind}s from {_needed(report.needed(kind))} candles on" for kind in KINDS)
    console.print(f"[bold]{report.strategy}[/bold] is settled: {settled}", highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("difference after", overflow="fold")
    for warm_up in report.warm_ups:
        table.add_column(f"{warm_up:,}", justify="right")
    table.add_column("needed", justify="right")
    for part in report.parts:
        cells = [
            f"{value:.0%}" if part.kind == "rule" else ("-" if value <= SETTLED else f"{value:.0e}")
            for value in part.differences
        ]
        table.add_row(part.part, *cells, _needed(part.needed))
    console.print(table)


def _needed(candles: int | None) -> str:
    return "more" if candles is None else f"{candles:,}"


def _print_json(reports: list[dict[str, object]]) -> None:
    # JSON knows neither NaN nor infinity: msgspec writes null.
    typer.echo(msgspec.json.encode(reports).decode())


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, tz=UTC):%Y-%m-%d %H:%M}"
