r"""Job: search strategies' parameters on stored candles and store the best, with their out-of-sample figures.

With --symbol it searches now, shows the progress, a leaderboard and an equity plot; Ctrl-C keeps what was
found. With --from-queue it works on the runs that requests have queued (`ray_jobs.request_discovery`,
`ray_jobs.consume`).

For example:

Every strategy of the catalogue on the sample index, with one worker of the Ray cluster:

    python -m ray_jobs.discover --symbol SPX/USD --timeframe 1d --strategies all --seed 1

The rules in a file of your own, beside one of the catalogue's:

    python -m ray_jobs.discover --symbol SPX/USD --strategies my_rules.py,MACD_CROSSOVER

A larger search of two strategies in this process, without Ray, for one minute at most:

    python -m ray_jobs.discover --symbol BTC --timeframe 1m --days 70 --strategies MACD_CROSSOVER,SMA_RSI \
        --population 500 --generations 100 --workers 0 --time-budget 60

Three time frames made of the stored minutes, on an account of money with an exchange's fee tiers, ticks and lots:

    python -m ray_jobs.discover --symbol BTC --timeframe 1m --timeframes 15m,1h,4h --minimum-holding 0,48 \
        --strategies MACD_CROSSOVER --frictions examples/exchange_costs.json

The front of return, drawdown and turnover instead of one best (NSGA-II):

    python -m ray_jobs.discover --symbol SPX/USD --strategies SMA_RSI --objective nsga2 --top 20

One parameter set that trades three symbols with one account, in at most two of them at once:

    python -m ray_jobs.discover --pool BTC/USD,ETH/USD,SOL/USD --timeframe 1h --max-positions 2 \
        --strategies MACD_CROSSOVER

With a report to read and the champions as a table:

    python -m ray_jobs.discover --symbol SPX/USD --report spx.html --output spx.parquet

Queued runs until none is left, as a job of the cluster:

    ray job submit -- python -m ray_jobs.discover --from-queue --workers 4
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from alpharay.settings import SettingMissingError, Settings, settings, state_folder
from ray_jobs.interruption import interruptions
from ray_jobs.result_files import NO_FILES, ResultFiles, write_results

if TYPE_CHECKING:
    from alpharay.bus.messages import DiscoveryRequest
    from alpharay.discovery.checkpoint import Checkpoint
    from alpharay.discovery.search import DiscoveryReport
    from alpharay.market.candles import Candles
    from ray_jobs.direct_runs import DirectRuns, Outcome
    from ray_jobs.market_discovery import MarketDiscovery

OUTPUT_FOLDER = "discoveries"
JOB_LOG_WIDTH = 150
"""Columns of a table where there is no terminal to ask."""

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def main(
    symbol: Annotated[str | None, typer.Option(help="SPX/USD, or SPX for the default quote.")] = None,
    timeframe: Annotated[str, typer.Option(help="Length of a candle: 1m, 1h, 1d …")] = "1d",
    exchange: Annotated[
        str | None, typer.Option(help="Where the candles are from; needed when several have the symbol.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only the newest days; all when not given.")] = None,
    strategies: Annotated[str, typer.Option(help="Names or .py files, separated by commas, or all.")] = "all",
    population: Annotated[int, typer.Option(min=2, help="Genomes a generation.")] = 50,
    generations: Annotated[int, typer.Option(min=1, help="Generations at most.")] = 30,
    top: Annotated[int, typer.Option(min=1, help="Champions to keep of each strategy.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same champions.")] = 0,
    objective: Annotated[
        str,
        typer.Option(
            help="sharpe, sortino, calmar, profit_factor, total_return, tradestream, sharpe_by_trades, "
            "sharpe_less_drawdown, or nsga2: the front of return, drawdown and turnover."
        ),
    ] = "sharpe",
    train_fraction: Annotated[float, typer.Option(help="Share of the candles that the search sees.")] = 0.7,
    min_trades: Annotated[int, typer.Option(min=1, help="Sets with fewer trades in sample are no candidates.")] = 10,
    timeframes: Annotated[
        str | None,
        typer.Option(
            help="Time frames to search, resampled from --timeframe: 15m,1h,4h. Their candles are kept from then on, "
            "so that the strategies found are scored and served."
        ),
    ] = None,
    minimum_holding: Annotated[
        str | None, typer.Option(help="Fewest and most bars that a position is held, for the search to choose: 0,48.")
    ] = None,
    patience: Annotated[int, typer.Option(min=1, help="Ends after so many generations without a better one.")] = 10,
    islands: Annotated[
        int | None, typer.Option(min=1, help="Populations that evolve apart; one for each 50 genomes when not given.")
    ] = None,
    fee: Annotated[float, typer.Option(help="Fraction of the traded value, each side.")] = 0.001,
    slippage: Annotated[float, typer.Option(help="Fraction of the price, each side.")] = 0.0002,
    frictions: Annotated[
        Path | None, typer.Option(help="JSON file of an account's fee tiers, impact, ticks, lots, funding.")
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="Instead of --symbol: symbols that one account trades, most preferred first.")
    ] = None,
    max_positions: Annotated[int, typer.Option(min=1, help="With --pool: positions at once, at most.")] = 1,
    position_share: Annotated[
        float | None, typer.Option(help="With --pool: share of the equity that an entry takes, else an equal one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Ray workers; 0 for this process; what suits when not given.")
    ] = None,
    time_budget: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds to search at most; keeps what was found.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the equity plot.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report of the search.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the champions as a table: .parquet, .arrow or .csv.")
    ] = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Do not store the champions.")] = False,
    from_queue: Annotated[bool, typer.Option("--from-queue", help="Search queued runs instead.")] = False,
    forever: Annotated[bool, typer.Option("--forever", help="With --from-queue: wait for more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search; see the module's text."""
    # Numba and plotly take seconds to import, which `--help` need not wait for.
    from alpharay.backtest.costs import Costs
    from alpharay.backtest.frictions import read_frictions
    from alpharay.backtest.pooled import PoolLimits
    from alpharay.discovery.search import SearchSettings
    from alpharay.market.symbol import resolve_symbol
    from alpharay.market.timeframe import timeframe_ms
    from alpharay.strategies.loading import strategies_from
    from ray_jobs.market_discovery import MarketDiscovery
    from ray_jobs.pooled_discovery import PooledDiscovery, discover_pool
    from ray_jobs.search_options import parsed_timeframes, with_holding

    try:
        current = settings()
        if from_queue:
            discover_queued(current, workers=workers, forever=forever, as_json=as_json)
            return
        if (symbol is None) == (pool is None):
            raise typer.BadParameter("give --symbol or --pool to search now, or --from-queue to work on queued runs")
        timeframe_ms(timeframe)
        search = SearchSettings(
            population=population,
            generations=generations,
            top_n=top,
            seed=seed,
            objective=objective,
            train_fraction=train_fraction,
            min_trades=min_trades,
            patience=patience,
            islands=islands,
            timeframes=parsed_timeframes(timeframes),
        )
        searched = with_holding(strategies_from(strategies), minimum_holding)
        account = None if frictions is None else read_frictions(frictions)
        files = ResultFiles(report=report, output=output)
        if pool is not None:
            if files:
                raise typer.BadParameter("--report and --output are of one market: give --symbol instead of --pool")
            together = PooledDiscovery(
                symbols=tuple(resolve_symbol(one, current.default_quote) for one in pool.split(",") if one.strip()),
                timeframe=timeframe,
                exchange=exchange,
                days=days,
                strategies=searched,
                search=search,
                limits=PoolLimits(max_positions=max_positions, fraction=position_share),
                costs=Costs(fee, slippage),
                frictions=account,
                workers=workers,
                time_budget_s=time_budget,
            )
            discover_pool(current, together, _console(error=as_json), store=not no_store, as_json=as_json)
            return
        asked = MarketDiscovery(
            symbol=resolve_symbol(symbol or "", current.default_quote),
            timeframe=timeframe,
            exchange=exchange,
            days=days,
            strategies=searched,
            search=search,
            costs=Costs(fee, slippage),
            frictions=account,
            workers=workers,
            time_budget_s=time_budget,
        )
        discover_now(current, asked, out=out, store=not no_store, as_json=as_json, files=files)
    except (ValueError, LookupError, RuntimeError, OSError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def discover_now(
    current: Settings,
    asked: MarketDiscovery,
    *,
    out: Path | None,
    store: bool,
    as_json: bool,
    files: ResultFiles = NO_FILES,
) -> None:
    """Search one market's strategies now; show, store, plot and write what was found."""
    from alpharay.discovery.equity_plot import write_equity_plot
    from alpharay.discovery.leaderboard import leaderboard_table, report_json
    from ray_jobs.market_discovery import read_market, requests_for
    from ray_jobs.request_search import found_by

    console = _console(error=as_json)
    candles = read_market(current, asked)
    console.print(f"{len(candles):,} candles of {candles.exchange} {candles.symbol} {candles.timeframe} read")
    requests = requests_for(asked, candles)
    if store:
        reports, outcomes = _search_and_store(current, asked, requests, candles, console)
    else:
        reports, outcomes = _search(current, asked, candles, console), []
    if any(report.stop_reason == "interrupted" for report in reports):
        console.print("[bold]Ctrl-C: keeping what was found so far.[/bold]")
    a_strategy = 1 if len(reports) > 1 else None
    console.print(leaderboard_table(reports, a_strategy=a_strategy))
    if store:
        champions = sum(
            len(report.champions) for report, outcome in zip(reports, outcomes, strict=True) if outcome == "stored"
        )
        console.print(
            f"{outcomes.count('stored')} runs stored, {outcomes.count('known')} were stored before; "
            f"{champions} new champions are on their way through Kafka into the table of strategies"
        )
    plotted = f"{candles.symbol}-{candles.timeframe}-{datetime.now(UTC):%Y%m%dT%H%M%S}.html".replace("/", "-")
    plot = write_equity_plot(reports, (out or state_folder() / OUTPUT_FOLDER) / plotted)
    console.print(f"equity plot: {plot.resolve()}", soft_wrap=True, highlight=False)
    ids = [found_by(*pair).request.run_id for pair in zip(requests, reports, strict=True)]
    written = write_results(files, reports, run_id=ids[0] if len(ids) == 1 else "")
    for name, file in written.items():
        console.print(f"{name}: {file}", soft_wrap=True, highlight=False, markup=False)
    if as_json:
        results = [{"run_id": run_id, **report_json(report)} for run_id, report in zip(ids, reports, strict=True)]
        typer.echo(json.dumps({"equity_plot": str(plot.resolve()), "files": written, "searches": results}, indent=2))


def _search_and_store(
    current: Settings, asked: MarketDiscovery, requests: list[DiscoveryRequest], candles: Candles, console: Console
) -> tuple[list[DiscoveryReport], list[Outcome]]:
    """Search as runs of the store: killed in the middle, the same command goes on from where they are."""
    from ray_jobs.direct_runs import search_as_runs
    from ray_jobs.market_discovery import discovery_pool
    from ray_jobs.request_search import found_by

    with discovery_pool(current) as pool:
        return search_as_runs(
            pool,
            requests,
            lambda runs, before: _search(current, asked, candles, console, runs=runs, before=before),
            found_by,
            console.print,
        )


def _search(
    current: Settings,
    asked: MarketDiscovery,
    candles: Candles,
    console: Console,
    *,
    runs: DirectRuns | None = None,
    before: Checkpoint | None = None,
) -> list[DiscoveryReport]:
    from alpharay.discovery.progress import DiscoveryProgress
    from ray_jobs.direct_runs import checkpoint_keeper, followed
    from ray_jobs.market_discovery import open_executor, search_market

    with (
        open_executor(asked.workers, current) as executor,
        DiscoveryProgress([strategy.name for strategy in asked.strategies], console) as progress,
        interruptions() as interrupted,
    ):
        return search_market(
            asked,
            candles,
            executor,
            followed(progress, runs, interrupted),
            resume=before,
            on_checkpoint=checkpoint_keeper(runs),
        )


def discover_queued(current: Settings, *, workers: int | None, forever: bool, as_json: bool = False) -> None:
    """Search queued runs until none is left, or for ever."""
    from alpharay.discovery.open_markets import column_bytes
    from ray_jobs.queued_discovery import SearchQueue
    from ray_jobs.work_queue import work_on

    console = _console(error=as_json)
    ended = work_on(
        SearchQueue(candle_bytes=current.candle_bytes, column_bytes=column_bytes(current.worker_memory_mb)),
        current,
        workers=workers,
        forever=forever,
        tell=lambda line: console.print(line, highlight=False),
    )
    console.print(f"{ended} runs ended")
    if as_json:
        typer.echo(json.dumps({"ended": ended}))


def _console(*, error: bool) -> Console:
    """Return the console; beside JSON on standard output it writes to standard error."""
    console = Console(stderr=error)
    return console if console.is_terminal else Console(stderr=error, width=JOB_LOG_WIDTH)


if __name__ == "__main__":
    app()
