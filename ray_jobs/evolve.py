r"""Job: evolve entry and exit rules on stored candles, by genetic programming, and store the best as candidates.

Where `ray_jobs.discover` tunes the numbers of given rules, this grows the rules themselves, out of AlphaRay's
indicators. What it finds are ordinary strategies: stored, validated, compared and served like any other.

Rules that may take any shape fit noise far more easily than a few numbers do. The permutation test of
`alpharay validate` searches the constants of an evolved rule again; it does not repeat the evolution, and is too kind
to it. Trust the walk-forward and the unseen candles more.

For example:

Rules for the daily sample index, in this process without Ray:

    python -m ray_jobs.evolve --symbol SPX/USD --seed 1 --workers 0

A larger evolution on hours, of small rules, for two minutes at most, with a report:

    python -m ray_jobs.evolve --symbol BTC --timeframe 1h --population 400 --generations 60 --most-nodes 8 \
        --time-budget 120 --report evolved.html

On an account of money, with an exchange's fee tiers, ticks and lots:

    python -m ray_jobs.evolve --symbol BTC --timeframe 4h --frictions examples/exchange_costs.json

On the workers of the cluster, as a job; killed, it is gone on with by the same command, and finds the same rules:

    ray job submit -- python -m ray_jobs.evolve --symbol BTC --timeframe 1h --json
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from alpharay.settings import SettingMissingError, Settings, settings
from ray_jobs.interruption import interruptions
from ray_jobs.result_files import ResultFiles, write_results

if TYPE_CHECKING:
    from alpharay.backtest.costs import Costs
    from alpharay.backtest.frictions import Frictions
    from alpharay.bus.messages import DiscoveryRequest
    from alpharay.discovery.evolution_settings import EvolutionSettings
    from alpharay.discovery.report import DiscoveryReport
    from alpharay.discovery.rule_checkpoint import RuleCheckpoint
    from alpharay.market.candles import Candles
    from ray_jobs.direct_runs import DirectRuns, Outcome

JOB_LOG_WIDTH = 150
"""Columns of a table where there is no terminal to ask."""

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEvolution:
    """What to evolve on: one stored market; the fields are those of `ray_jobs.market_discovery.MarketDiscovery`."""

    symbol: str
    timeframe: str
    exchange: str | None
    days: int | None
    evolution: EvolutionSettings
    costs: Costs
    frictions: Frictions | None = None
    workers: int | None
    time_budget_s: float | None


@app.command(help=HELP)
def main(
    symbol: Annotated[str, typer.Option(help="SPX/USD, or SPX for the default quote.")],
    timeframe: Annotated[str, typer.Option(help="Length of a candle: 1m, 1h, 1d …")] = "1d",
    exchange: Annotated[
        str | None, typer.Option(help="Where the candles are from; needed when several have the symbol.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only the newest days; all when not given.")] = None,
    population: Annotated[int, typer.Option(min=2, help="Rules a generation.")] = 200,
    generations: Annotated[int, typer.Option(min=1, help="Generations at most.")] = 30,
    patience: Annotated[int, typer.Option(min=1, help="Ends after so many generations without a better one.")] = 10,
    top: Annotated[int, typer.Option(min=1, help="Rules to keep.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rules.")] = 0,
    objective: Annotated[
        str, typer.Option(help="sharpe, sortino, calmar, profit_factor, total_return or tradestream.")
    ] = "sharpe",
    train_fraction: Annotated[float, typer.Option(help="Share of the candles that the search sees.")] = 0.7,
    min_trades: Annotated[int, typer.Option(min=1, help="Rules with fewer trades in sample are no candidates.")] = 20,
    height: Annotated[int, typer.Option(min=1, help="Height of the first random rules.")] = 3,
    most_nodes: Annotated[int, typer.Option(min=3, help="Nodes of one rule at most; a third are comparisons.")] = 12,
    fee: Annotated[float, typer.Option(help="Fraction of the traded value, each side.")] = 0.001,
    slippage: Annotated[float, typer.Option(help="Fraction of the price, each side.")] = 0.0002,
    frictions: Annotated[
        Path | None, typer.Option(help="JSON file of an account's fee tiers, impact, ticks, lots, funding.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Ray workers; 0 for this process; what suits when not given.")
    ] = None,
    time_budget: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds to search at most; keeps what was found.")
    ] = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Do not store the rules.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the rules as a table: .parquet, .arrow or .csv.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Evolve; see the module's text."""
    # Numba and DEAP take seconds to import, which `--help` need not wait for.
    from alpharay.backtest.costs import Costs
    from alpharay.backtest.frictions import read_frictions
    from alpharay.discovery.evolution_settings import EvolutionSettings
    from alpharay.discovery.settings import SearchSettings
    from alpharay.market.symbol import resolve_symbol
    from alpharay.market.timeframe import timeframe_ms

    try:
        current = settings()
        files = ResultFiles(report=report, output=output)
        timeframe_ms(timeframe)
        asked = MarketEvolution(
            symbol=resolve_symbol(symbol, current.default_quote),
            timeframe=timeframe,
            exchange=exchange,
            days=days,
            evolution=EvolutionSettings(
                search=SearchSettings(
                    population=population,
                    generations=generations,
                    patience=patience,
                    top_n=top,
                    seed=seed,
                    objective=objective,
                    train_fraction=train_fraction,
                    min_trades=min_trades,
                ),
                height=height,
                most_nodes=most_nodes,
            ),
            costs=Costs(fee, slippage),
            frictions=None if frictions is None else read_frictions(frictions),
            workers=workers,
            time_budget_s=time_budget,
        )
        evolve_now(current, asked, files, store=not no_store, as_json=as_json)
    except (ValueError, LookupError, RuntimeError, OSError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def evolve_now(current: Settings, asked: MarketEvolution, files: ResultFiles, *, store: bool, as_json: bool) -> None:
    """Evolve rules on one market now; show, store and write what was found."""
    console = _console(error=as_json)
    candles = _read(current, asked)
    console.print(f"{len(candles):,} candles of {candles.exchange} {candles.symbol} {candles.timeframe} read")
    request = evolution_request(asked, candles)
    outcome: Outcome | None = None
    if store:
        reports, outcome = _evolve_and_store(current, asked, request, candles, console)
    else:
        reports = _evolve(current, asked, request, candles, console)
    run_id = _answered(request, reports).run_id
    _show(console, reports, run_id, outcome)
    written = write_results(files, reports, run_id=run_id)
    for name, file in written.items():
        console.print(f"{name}: {file}", soft_wrap=True, highlight=False, markup=False)
    if as_json:
        told = {
            "run_id": run_id,
            "stored": outcome if reports or not store else "nothing",
            "files": written,
            "evaluations": sum(report.evaluations for report in reports),
            "found": [_found_json(report) for report in reports],
        }
        typer.echo(json.dumps(told, indent=2))


def evolution_request(asked: MarketEvolution, candles: Candles) -> DiscoveryRequest:
    """Return the request for an evolution; its id follows from everything that decides what is found."""
    from alpharay.discovery.rule_evolution import NAME
    from alpharay.market.timeframe import timeframe_ms
    from alpharay.store.candle_rows import Market
    from ray_jobs.discovery_messages import discovery_request

    return discovery_request(
        Market(candles.exchange, candles.symbol, candles.timeframe),
        start_time=int(candles.open_time[0]),
        end_time=int(candles.open_time[-1]) + timeframe_ms(candles.timeframe),
        strategy_name=NAME,
        settings=asked.evolution.search,
        costs=asked.costs,
        frictions=asked.frictions,
        evolution=asked.evolution,
    )


def _answered(request: DiscoveryRequest, reports: list[DiscoveryReport]) -> DiscoveryRequest:
    """Return the request that an evolution answers: cut short, it is one of as many generations as it had."""
    from ray_jobs.discovery_messages import answered

    return answered(request, reports[0].stop_reason, len(reports[0].log)) if reports else request


def _evolve_and_store(
    current: Settings, asked: MarketEvolution, request: DiscoveryRequest, candles: Candles, console: Console
) -> tuple[list[DiscoveryReport], Outcome | None]:
    """Evolve as a run of the store: killed in the middle, the same command goes on from where it was."""
    from ray_jobs.direct_runs import DirectRuns
    from ray_jobs.market_discovery import discovery_pool
    from ray_jobs.request_search import found_rules
    from ray_jobs.stored_states import stored_evolution

    with discovery_pool(current) as pool, DirectRuns(pool, [request]) as runs:
        before = stored_evolution(runs.stored)
        if before is not None:
            console.print(f"going on after generation {len(before.log)} of an evolution that was cut off")
        reports = _evolve(current, asked, request, candles, console, runs=runs, before=before)
        if not reports:
            runs.withdraw()
            return [], None
        (outcome,) = runs.store([found_rules(request, reports)])
        return reports, outcome


def _read(current: Settings, asked: MarketEvolution) -> Candles:
    from ray_jobs.market_discovery import discovery_pool, load_window
    from ray_jobs.stored_market import find_market

    with discovery_pool(current) as pool, pool.connection() as connection:
        return load_window(
            connection, find_market(connection, asked.symbol, asked.timeframe, asked.exchange), asked.days
        )


def _evolve(
    current: Settings,
    asked: MarketEvolution,
    request: DiscoveryRequest,
    candles: Candles,
    console: Console,
    *,
    runs: DirectRuns | None = None,
    before: RuleCheckpoint | None = None,
) -> list[DiscoveryReport]:
    from alpharay.discovery.progress import DiscoveryProgress
    from ray_jobs.direct_runs import followed
    from ray_jobs.market_discovery import open_executor
    from ray_jobs.request_search import Course, evolve_request

    with (
        open_executor(asked.workers, current) as executor,
        DiscoveryProgress([request.strategy_name], console) as progress,
        interruptions() as interrupted,
    ):
        course = Course(
            executor=executor,
            on_generation=followed(progress, runs, interrupted),
            on_state=None if runs is None else runs.save,
            time_budget_s=asked.time_budget_s,
        )
        return evolve_request(request, candles, course, before)


def _show(console: Console, reports: list[DiscoveryReport], run_id: str, outcome: Outcome | None) -> None:
    from alpharay.discovery.leaderboard import leaderboard_table

    if not reports:
        console.print("No rule traded often enough: try more generations, or a lower --min-trades.")
        return
    if reports[0].stop_reason == "interrupted":
        console.print("[bold]Ctrl-C: keeping what was found so far.[/bold]")
    console.print(leaderboard_table(reports))
    for report in reports:
        console.print(f"[bold]{escape(report.strategy.name)}[/bold]")
        for name, rule in _rules(report).items():
            console.print(f"  {name:5} {escape(rule)}", highlight=False, soft_wrap=True)
    told = {
        "stored": f"stored as run {run_id}; the rules are on their way through Kafka into the table of strategies",
        "known": f"run {run_id} was stored before",
    }
    if outcome is not None:
        console.print(told[outcome], soft_wrap=True, highlight=False)
    console.print(
        "The permutation test searches an evolved rule's constants again, not its shape: it is too kind to these.",
        style="dim",
    )


def _found_json(report: DiscoveryReport) -> dict[str, object]:
    from alpharay.discovery.leaderboard import report_json

    # Backtests and seconds are those of the whole evolution.
    found = {name: value for name, value in report_json(report).items() if name not in ("evaluations", "elapsed_s")}
    return {**found, "rules": _rules(report)}


def _rules(report: DiscoveryReport) -> dict[str, str]:
    from alpharay.strategies.text import rule_text

    values = report.champions[0].parameters
    return {"enter": rule_text(report.strategy.enter, values), "exit": rule_text(report.strategy.exit, values)}


def _console(*, error: bool) -> Console:
    """Return the console; beside JSON on standard output it writes to standard error."""
    console = Console(stderr=error)
    return console if console.is_terminal else Console(stderr=error, width=JOB_LOG_WIDTH)


if __name__ == "__main__":
    app()
