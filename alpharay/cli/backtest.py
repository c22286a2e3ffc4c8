"""`alpharay backtest`: one parameter set of a strategy on candles of a file or of the database, now and here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from alpharay.cli.backtest_subject import Source, backtest_subject
from alpharay.cli.errors import errors_told
from alpharay.cli.progress import PartProgress
from alpharay.cli.tables import figures_table

if TYPE_CHECKING:
    from alpharay.backtest.single import Backtest
    from alpharay.reports.content import ReportContent


def backtest(
    strategy: Annotated[
        str, typer.Argument(help="A name of the catalogue, a stored strategy's id, my_rules.py or my_rules.py:NAME.")
    ],
    candles: Annotated[
        Path | None, typer.Option(help="Candles, parquet or CSV, named like BTC-USD_1h.parquet.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Stored candles instead: SPX/USD, or SPX.")] = None,
    timeframe: Annotated[str, typer.Option(help="With --symbol: length of a candle, 1m, 1h, 1d …")] = "1d",
    exchange: Annotated[str | None, typer.Option(help="With --symbol: needed when several have the symbol.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only the newest days; all when left out.")] = None,
    parameters: Annotated[
        str | None, typer.Option(help="fast=5,slow=20; what is not named has its default, or the stored value.")
    ] = None,
    fee: Annotated[float | None, typer.Option(help="Fraction of the traded value, each side; 0.001.")] = None,
    slippage: Annotated[float | None, typer.Option(help="Fraction of the price, each side; 0.0002.")] = None,
    stop_loss: Annotated[float | None, typer.Option(help="Fraction of the entry price.")] = None,
    take_profit: Annotated[float | None, typer.Option(help="Fraction of the entry price.")] = None,
    trailing_stop: Annotated[float | None, typer.Option(help="Fraction of the best price since the entry.")] = None,
    frictions: Annotated[
        Path | None, typer.Option(help="JSON file: fee tiers, impact, ticks, lots, minimum order, funding.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    trades: Annotated[Path | None, typer.Option(help="Write the trades: .parquet, .arrow or .csv.")] = None,
    equity: Annotated[Path | None, typer.Option(help="Write equity bar by bar: .parquet, .arrow or .csv.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics and a summary of the trades as JSON.")] = False,
) -> None:
    """Backtest one parameter set of a strategy, beside buy-and-hold; nothing is stored.

    Without --candles or --symbol it takes the window that a stored strategy was found in, or the sample index that
    comes with AlphaRay. One backtest is no evidence: `alpharay discover` and `alpharay validate` look for that.

    \b
    Examples:
      alpharay backtest MACD_CROSSOVER --parameters fast=8,slow=21
      alpharay backtest my_rules.py:PULLBACK --candles BTC-USD_1h.parquet --report pullback.html
      alpharay backtest 3fa9c1 --symbol ETH --timeframe 1h --fee 0.0004 --json
      alpharay backtest SMA_RSI --trades trades.parquet --equity equity.parquet
    """  # noqa: D301 - \b keeps the examples' lines as they are
    from alpharay.backtest.frictions import read_frictions
    from alpharay.backtest.single import backtest_strategy
    from alpharay.backtest.stops import Stops
    from alpharay.discovery.split import Split, buy_and_hold
    from alpharay.reports.content import ReportContent, ReportedStrategy
    from alpharay.reports.tables import check_table_file

    with errors_told(), PartProgress(quiet=as_json) as progress:
        stops = Stops(stop_loss, take_profit, trailing_stop)
        read = None if frictions is None else read_frictions(frictions)
        for table in (trades, equity):
            if table is not None:
                check_table_file(table)
        progress("candles", "working", "reading")
        chosen = backtest_subject(strategy, parameters, Source(candles, symbol, timeframe, exchange, days))
        costs = replace(
            chosen.costs,
            fee=chosen.costs.fee if fee is None else fee,
            slippage=chosen.costs.slippage if slippage is None else slippage,
        )
        market, account = chosen.candles, read or chosen.frictions
        progress("candles", "up", f"{len(market):,} of {market.symbol} {market.timeframe}")
        progress("backtest", "working", "compiles on the first run")
        result = backtest_strategy(chosen.strategy, chosen.values, market, costs=costs, stops=stops, frictions=account)
        held = buy_and_hold(market, costs, account)
        progress("backtest", "up", chosen.strategy.name)
        content = ReportContent(
            parts=Split(market, len(market)),
            strategies=(
                ReportedStrategy(
                    strategy=chosen.strategy,
                    parameters=chosen.values,
                    strategy_id=chosen.strategy_id,
                    status=chosen.status,
                ),
            ),
            costs=costs,
            stops=stops,
            frictions=account,
        )
        written = _write(content, result, held, report, trades, equity, progress)
    if as_json:
        typer.echo(json.dumps(_json(content, result, held, written)))
    else:
        _show(Console(), content, result, held)


def _write(
    content: ReportContent,
    result: Backtest,
    held: Backtest,
    report: Path | None,
    trades: Path | None,
    equity: Path | None,
    progress: PartProgress,
) -> dict[str, str]:
    """Write what was asked for, and return the files' paths by name."""
    from alpharay.reports.run_report import write_report
    from alpharay.reports.tables import equity_frame, write_frame

    written = {}
    if trades is not None:
        written["trades"] = write_frame(result.trades, trades)
    if equity is not None:
        written["equity"] = write_frame(equity_frame(content.parts.candles, result, held), equity)
    if report is not None:
        progress("report", "working", "drawing")
        written["report"] = write_report(content, report)
    for name, file in written.items():
        progress(name, "up", str(file.resolve()))
    return {name: str(file.resolve()) for name, file in written.items()}


def _json(content: ReportContent, result: Backtest, held: Backtest, written: dict[str, str]) -> dict[str, object]:
    from alpharay.backtest.metrics import metrics_json
    from alpharay.backtest.summary import trades_json

    candles, shown = content.parts.candles, content.strategies[0]
    return {
        "strategy_name": shown.strategy.name,
        "strategy_id": shown.strategy_id or None,
        "parameters": dict(shown.parameters),
        "exchange": candles.exchange,
        "symbol": candles.symbol,
        "timeframe": candles.timeframe,
        "candles": len(candles),
        "start_time": int(candles.open_time[0]),
        "end_time": int(candles.open_time[-1]),
        "fee": content.costs.fee,
        "slippage": content.costs.slippage,
        "metrics": metrics_json(result.metrics),
        "buy_and_hold": metrics_json(held.metrics),
        "trades": trades_json(result.trades),
        "files": written,
    }


def _show(console: Console, content: ReportContent, result: Backtest, held: Backtest) -> None:
    from alpharay.backtest.metrics import metrics_json
    from alpharay.backtest.summary import trades_json
    from alpharay.reports.account_sections import metric_rows, trade_rows
    from alpharay.reports.formats import day

    candles, shown = content.parts.candles, content.strategies[0]
    span = f"{day(int(candles.open_time[0]))} to {day(int(candles.open_time[-1]))}"
    console.print(f"{shown.label} on {candles.symbol} {candles.timeframe}, {span}", highlight=False, markup=False)
    figures = [metrics_json(result.metrics), metrics_json(held.metrics)]
    console.print(figures_table(["", "strategy", "buy and hold"], metric_rows(figures)))
    console.print(figures_table(["trades", ""], trade_rows(trades_json(result.trades))))
    console.print(
        "One backtest is no evidence: `alpharay discover` searches, `alpharay validate` tells what may be trusted.",
        style="dim", markup=False,
    )  # fmt: skip
