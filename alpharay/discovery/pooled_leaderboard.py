"""What pooled searches found, in sample beside out of sample: the figures are the one account's."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from alpharay.backtest.frictions import Frictions, frictions_text, frictions_to_json
from alpharay.discovery.leaderboard import both_parts_json, champion_json, metric_cells
from alpharay.discovery.pooled import PooledReport


def pooled_table(reports: Sequence[PooledReport], *, a_search: int | None = None) -> Group:
    """Return the champions for a terminal, at most `a_search` of each search, best score in sample first."""
    first = reports[0]
    table = Table(
        title=f"{_symbols(first)}, one account: in sample (in) and out of sample (out)",
        title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("strategy", no_wrap=True)
    table.add_column("parameters", min_width=24)
    table.add_column(first.settings.objective, justify="right")
    for part in ("in", "out"):
        for name in ("return", "Sharpe", "drawdown", "trades"):
            table.add_column(f"{part}\n{name}", justify="right", style="bold" if part == "out" else "")
    entries = [(report, champion) for report in reports for champion in report.champions[: a_search or None]]
    for report, champion in sorted(entries, key=lambda entry: -entry[1].score):
        table.add_row(
            f"{report.strategy.name} {_timeframe(report)}",
            " ".join(f"{name}={value:g}" for name, value in champion.parameters.items()),
            f"{champion.score:.3f}",
            *metric_cells(champion.in_sample),
            *metric_cells(champion.out_of_sample),
        )
    table.add_section()
    held = (*metric_cells(first.hold_in_sample), *metric_cells(first.hold_out_of_sample))
    table.add_row("hold equal shares", "", "", *held, style="dim")
    return Group(table, Text(" ".join(pooled_notes(reports)), style="dim"))


def pooled_notes(reports: Sequence[PooledReport]) -> list[str]:
    """Return the sentences that say what the numbers are worth."""
    first = reports[0]
    costs = f"fee {first.costs.fee:.4%} and slippage {first.costs.slippage:.4%}, each side"
    if isinstance(first.frictions, Frictions):
        costs += f"; {frictions_text(first.frictions)}"
    evaluations = sum(report.evaluations for report in reports)
    shared = (
        f"At most {first.limits.max_positions} positions at once, each entered with {first.limits.stake:.0%} of the "
        "equity; the symbols' order decides where more enter at one open."
    )
    picked = (
        f"After costs ({costs}). Ordered by {first.settings.objective} in sample, picked from {evaluations:,} "
        "backtests: in-sample figures are the best of many tries and flatter."
    )
    notes = [shared, picked]
    empty = [f"{report.strategy.name} {_timeframe(report)}" for report in reports if not report.champions]
    if empty:
        notes.append(f"Never traded with a finite score, whatever the parameters: {', '.join(empty)}.")
    if any(report.stop_reason in ("interrupted", "time_budget") for report in reports):
        notes.append("Ended early: this is the best of the generations that were done until then.")
    return notes


def pooled_json(report: PooledReport) -> dict[str, object]:
    """Return one pooled search's result as JSON values."""
    frictions = report.frictions
    return {
        "strategy_name": report.strategy.name,
        "symbols": [part.candles.symbol for part in report.parts],
        "timeframe": _timeframe(report),
        "max_positions": report.limits.max_positions,
        "position_share": report.limits.stake,
        "objective": report.settings.objective,
        "seed": report.settings.seed,
        "stop_reason": report.stop_reason,
        "generations": len(report.log),
        "evaluations": report.evaluations,
        "elapsed_s": report.elapsed_s,
        "hold_equal_shares": both_parts_json(report.hold_in_sample, report.hold_out_of_sample),
        "champions": [champion_json(champion) for champion in report.champions],
        **({"frictions": frictions_to_json(frictions)} if isinstance(frictions, Frictions) else {}),
    }


def _symbols(report: PooledReport) -> str:
    return ", ".join(part.candles.symbol for part in report.parts)


def _timeframe(report: PooledReport) -> str:
    return report.parts[0].candles.timeframe
