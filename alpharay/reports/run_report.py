"""One run, or one stored strategy, as an HTML file: the verdict first, then everything that it rests on."""

from __future__ import annotations

from pathlib import Path

from alpharay.reports.account_sections import (
    Accounts,
    accounts_of,
    champions_section,
    equity_section,
    metrics_section,
    months_section,
    trades_section,
)
from alpharay.reports.content import ReportContent
from alpharay.reports.formats import day, metric_text, percent
from alpharay.reports.page import Cell, Markup, Section, cards, code, definitions, drawn, page, paragraph, verdict_box
from alpharay.reports.search_figures import convergence_figure
from alpharay.reports.validation_sections import gates_table, validation_sections
from alpharay.strategies.text import rule_text

FOOT = (
    "Made by AlphaRay. Past returns of simulated trades are no promise: the figures show what the rules would have "
    "done, not what they will do."
)


def run_report(content: ReportContent) -> str:
    """Return the report as HTML text.

    Its figures are computed anew from the candles; a section without data says so in a sentence.
    """
    candles = content.parts.candles
    market = f"{candles.symbol} {candles.timeframe}"
    if not content.strategies:
        text = "The search found no parameter set that trades often enough, so there is nothing to show."
        head = (_subtitle(content), verdict_box("", text))
        return page(f"Nothing found on {market}", head, [search_section(content)], FOOT)
    accounts = accounts_of(content)
    shown = content.strategies[content.shown]
    sections = [
        *([champions_section(content)] if content.objective else []),
        metrics_section(content, accounts),
        equity_section(content, accounts),
        months_section(content, accounts),
        trades_section(content, accounts),
        rules_section(content),
        *([search_section(content)] if content.objective else []),
        # A plain backtest was never to be validated: six times nothing says less than the verdict above.
        *(
            validation_sections(content.validation, content.objective)
            if content.objective or content.validation
            else []
        ),
    ]
    return page(f"{shown.strategy.name} on {market}", _head(content, accounts), sections, FOOT)


def write_report(content: ReportContent, file: Path) -> Path:
    """Write the report, with the folder that it goes to, and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(run_report(content), encoding="utf-8")
    return file


def verdict_of(content: ReportContent) -> tuple[str, str]:
    """Return the status and what it means in plain words; without a validation, what to run."""
    shown = content.strategies[content.shown]
    if content.validation is not None:
        found = content.validation["verdict"]
        # What happened to it since (deployed, retired) counts more than how the validation ended.
        return shown.status or str(found["status"]), str(found["text"])
    after = "flatter: they are the best of many tries" if content.objective else "are one backtest, no evidence"
    todo = (
        f"Run `alpharay validate {shown.strategy_id[:12]}` before you trust it."
        if shown.strategy_id
        else "Search it with `alpharay discover`, then run `alpharay validate`, before you trust it."
    )
    return shown.status, f"Nothing is validated yet: the figures below {after}. {todo}"


def rules_section(content: ReportContent) -> Section:
    """Return the rules of the strategy shown as a person reads them."""
    shown = content.strategies[content.shown]
    strategy, parameters = shown.strategy, shown.parameters
    named: list[tuple[str, Cell]] = [("in words", strategy.description or "no description")]
    names = ("enter", "exit", "enter short", "exit short")
    named += [(name, code(rule_text(rule, parameters))) for name, rule in zip(names, strategy.rules, strict=False)]
    ranges = ", ".join(
        f"{item.name} {parameters[item.name]:g} of {item.low:g} to {item.high:g}" for item in strategy.parameters
    )
    named.append(("parameters", ranges or "none"))
    if shown.strategy_id:
        named.append(("id", code(shown.strategy_id)))
    text = "Decided on the close of a candle, filled at the open of the next."
    return Section("rules", "Rules", (definitions(named), paragraph(text, soft=True)))


def search_section(content: ReportContent) -> Section:
    """Return how the search went, or that its log was not kept."""
    if content.log is None:
        text = "The log of this search was not kept: it was stored before logs were, or it has not ended."
        return Section("search", "The search", (paragraph(text),))
    log = content.log
    text = (
        f"{log.evaluations[-1]:,} backtests in {len(log)} generations. A best score that still climbs at the end asks "
        "for more generations; a diversity near zero says that the search has made up its mind."
    )
    figure = convergence_figure(log, content.objective or "score")
    return Section("search", "The search", (paragraph(text, soft=True), drawn(figure)))


def _head(content: ReportContent, accounts: Accounts) -> tuple[Markup, ...]:
    status, text = verdict_of(content)
    own, held = accounts.out_of_sample or accounts.whole, accounts.hold_out_of_sample or accounts.hold_whole
    where = "out of sample" if accounts.out_of_sample is not None else "whole window"
    figures = [
        (f"return, {where}", percent(own.metrics.total_return, signed=True)),
        (f"buy and hold, {where}", percent(held.metrics.total_return, signed=True)),
        (f"Sharpe ratio, {where}", metric_text("sharpe", own.metrics.sharpe)),
        (f"largest drawdown, {where}", percent(own.metrics.max_drawdown)),
        (f"trades, {where}", f"{own.metrics.trades:,.0f}"),
    ]
    if accounts.out_of_sample is not None:
        figures.insert(3, ("Sharpe ratio, in sample", metric_text("sharpe", accounts.in_sample.metrics.sharpe)))
    return (
        _subtitle(content),
        verdict_box(status, text),
        cards(figures),
        *([gates_table(content.validation)] if content.validation is not None else []),
        *(paragraph(note) for note in content.notes),
    )


def _subtitle(content: ReportContent) -> Markup:
    candles = content.parts.candles
    span = f"{day(int(candles.open_time[0]))} to {day(int(candles.open_time[-1]))}"
    run = f" · run {content.run_id}" if content.run_id else ""
    parameters = ""
    if content.strategies:
        parameters = f"{content.strategies[content.shown].label} · "
    return paragraph(f"{parameters}{len(candles):,} candles of {candles.exchange}, {span}{run}", soft=True)
