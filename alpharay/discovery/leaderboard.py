"""What was found, in sample beside out of sample, with buy-and-hold to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from alpharay.backtest.frictions import frictions_text, frictions_to_json
from alpharay.backtest.metrics import Metrics, metrics_json
from alpharay.discovery.search import Champion, DiscoveryReport

SHOWN_METRICS = ("total_return", "sharpe", "max_drawdown", "trades")


@dataclass(frozen=True, slots=True)
class Entry:
    """One champion and the search that it came from."""

    report: DiscoveryReport
    champion: Champion


def leaderboard(reports: Sequence[DiscoveryReport], *, a_strategy: int | None = None) -> list[Entry]:
    """Return the champions of all searches by their score in sample, at most `a_strategy` of each search.

    Never by what they did out of sample: whoever picks by it has looked at it, and it is in sample from then
    on.
    """
    entries = [Entry(report, champion) for report in reports for champion in report.champions[: a_strategy or None]]
    return sorted(entries, key=lambda entry: -entry.champion.score)


def leaderboard_table(reports: Sequence[DiscoveryReport], *, a_strategy: int | None = None) -> Group:
    """Return the leaderboard for a terminal, with what has to be known to read it; `reports` is not empty."""
    first = reports[0]
    candles = first.parts.candles
    title = f"{candles.symbol} {candles.timeframe}: in sample (in) and out of sample (out)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("strategy", no_wrap=True)
    table.add_column("parameters", min_width=24)
    table.add_column(first.settings.objective, justify="right")
    for part in ("in", "out"):
        for name in ("return", "Sharpe", "drawdown", "trades"):
            style = "bold" if part == "out" else ""
            table.add_column(f"{part}\n{name}", justify="right", style=style)
    for entry in leaderboard(reports, a_strategy=a_strategy):
        champion = entry.champion
        table.add_row(
            search_name(entry.report, reports),
            " ".join(f"{name}={value:g}" for name, value in champion.parameters.items()),
            f"{champion.score:.3f}",
            *metric_cells(champion.in_sample),
            *metric_cells(champion.out_of_sample),
        )
    table.add_section()
    held = (*metric_cells(first.hold_in_sample), *metric_cells(first.hold_out_of_sample))
    table.add_row("buy and hold", "", "", *held, style="dim")
    return Group(table, Text("\n".join(reading_notes(reports)), style="dim"))


def search_name(report: DiscoveryReport, reports: Sequence[DiscoveryReport]) -> str:
    """Return the strategy's name, with the time frame where the searches have several."""
    timeframe = report.parts.candles.timeframe
    several = any(other.parts.candles.timeframe != timeframe for other in reports)
    return f"{report.strategy.name} {timeframe}" if several else report.strategy.name


def reading_notes(reports: Sequence[DiscoveryReport]) -> list[str]:
    """Return the sentences that say what the numbers are worth."""
    first = reports[0]
    evaluations = sum(report.evaluations for report in reports)
    test = first.parts.test
    costs = f"fee {first.costs.fee:.4%} and slippage {first.costs.slippage:.4%}, each side"
    if first.frictions is not None:
        costs += f"; {frictions_text(first.frictions)}"
    picked = (
        f"After costs ({costs}). Ordered by {first.settings.objective} in sample, picked from "
        f"{evaluations:,} backtests: in-sample figures are the best of many tries and flatter."
    )
    unseen = (
        f"Out of sample: the last {len(test):,} of {len(first.parts.candles):,} candles, unseen by any "
        "search. One window is one sample: a good figure can be luck, and choosing by it is searching too."
    )
    untested = "There is no out-of-sample part (train fraction 1): nothing here says how it would go on."
    notes = [picked, unseen if len(test) else untested]
    empty = [search_name(report, reports) for report in reports if not report.champions]
    if empty:
        notes.append(f"Never traded with a finite score, whatever the parameters: {', '.join(empty)}.")
    interrupted = sorted({report.stop_reason for report in reports} & {"interrupted", "time_budget"})
    if interrupted:
        why = " and ".join({"interrupted": "Ctrl-C", "time_budget": "the time budget"}[item] for item in interrupted)
        notes.append(f"Ended early by {why}: this is the best of the generations that were done until then.")
    return notes


def report_json(report: DiscoveryReport) -> dict[str, object]:
    """Return one search's result as JSON values."""
    return {
        "strategy_name": report.strategy.name,
        "symbol": report.parts.candles.symbol,
        "timeframe": report.parts.candles.timeframe,
        "objective": report.settings.objective,
        "seed": report.settings.seed,
        "stop_reason": report.stop_reason,
        "generations": len(report.log),
        "evaluations": report.evaluations,
        "elapsed_s": report.elapsed_s,
        "train_end_time": report.parts.train_end_time,
        "buy_and_hold": both_parts_json(report.hold_in_sample, report.hold_out_of_sample),
        "champions": [champion_json(champion) for champion in report.champions],
        **({} if report.frictions is None else {"frictions": frictions_to_json(report.frictions)}),
    }


def champion_json(champion: Champion) -> dict[str, object]:
    """Return one champion and what it did as JSON values."""
    return {
        "parameters": champion.parameters,
        "score": champion.score,
        **both_parts_json(champion.in_sample, champion.out_of_sample),
    }


def both_parts_json(in_sample: Metrics, out_of_sample: Metrics | None) -> dict[str, object]:
    """Return the metrics of both parts of a window as JSON values; None of a part that there is not."""
    return {
        "in_sample": metrics_json(in_sample),
        "out_of_sample": None if out_of_sample is None else metrics_json(out_of_sample),
    }


def metric_cells(metrics: Metrics | None) -> tuple[str, ...]:
    """Return `SHOWN_METRICS` as they are shown; dashes of None."""
    if metrics is None:
        return ("-",) * len(SHOWN_METRICS)
    return (
        f"{metrics.total_return:+.1%}",
        f"{metrics.sharpe:.2f}",
        f"{metrics.max_drawdown:.1%}",
        f"{metrics.trades:.0f}",
    )
