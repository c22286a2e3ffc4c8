"""What the account did: figures in and out of sample, equity, drawdowns, months, trades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alpharay.backtest.frictions import frictions_text
from alpharay.backtest.metrics import METRIC_NAMES, metrics_json
from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.backtest.summary import trades_json
from alpharay.discovery.split import buy_and_hold, out_of_sample
from alpharay.market.candles import Candles
from alpharay.reports.account_figures import drawdown_figure, equity_figure
from alpharay.reports.content import Figures, ReportContent, ReportedStrategy, parameters_text
from alpharay.reports.formats import METRIC_LABELS, day, metric_text, number, percent
from alpharay.reports.monthly_returns import monthly_figure, monthly_returns
from alpharay.reports.page import Cell, Section, Words, drawn, paragraph, table
from alpharay.reports.trade_figures import MOST_CANDLES, MOST_TRADES, trade_returns_figure, trades_figure

OTHER_LINES = 7
"""Other champions whose equity can be switched on."""

CHAMPION_METRICS = ("total_return", "sharpe", "max_drawdown", "trades")

SAME = 1e-6
"""Stored and recomputed returns that differ by less are the same to rounding."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The backtests of the strategy shown and of buy-and-hold, on each part of the window."""

    whole: Backtest
    in_sample: Backtest
    out_of_sample: Backtest | None
    hold_whole: Backtest
    hold_in_sample: Backtest
    hold_out_of_sample: Backtest | None
    others: tuple[tuple[str, Backtest], ...]


def accounts_of(content: ReportContent) -> Accounts:
    """Backtest what the report shows."""
    shown, parts, costs, stops = content.strategies[content.shown], content.parts, content.costs, content.stops
    frictions = content.frictions
    tested = len(parts.test) > 0

    def account(item: ReportedStrategy, candles: Candles) -> Backtest:
        return backtest_strategy(item.strategy, item.parameters, candles, costs=costs, stops=stops, frictions=frictions)

    others = [item for place, item in enumerate(content.strategies) if place != content.shown][:OTHER_LINES]
    whole, held = account(shown, parts.candles), buy_and_hold(parts.candles, costs, frictions)
    return Accounts(
        whole=whole,
        in_sample=account(shown, parts.train) if tested else whole,
        out_of_sample=out_of_sample(shown.strategy, shown.parameters, parts, costs, stops, frictions)
        if tested
        else None,
        hold_whole=held,
        hold_in_sample=buy_and_hold(parts.train, costs, frictions) if tested else held,
        hold_out_of_sample=buy_and_hold(parts.test, costs, frictions) if tested else None,
        others=tuple((item.label, account(item, parts.candles)) for item in others),
    )


def champions_section(content: ReportContent) -> Section:
    """Return the champions in sample beside out of sample."""
    several = len(content.strategies) > 1
    headings: list[str | Words] = ["strategy", Words("parameters"), content.objective.replace("_", " ") or "score"]
    headings += [f"{part} {name}" for part in ("in", "out") for name in ("return", "Sharpe", "drawdown", "trades")]
    rows: list[list[Cell]] = []
    for item in content.strategies:
        name = f"{item.strategy.name}{f' ({item.status.lower()})' if item.status else ''}"
        rows.append(
            [
                name,
                Words(parameters_text(item.parameters)),
                number(item.score, 3),
                *_champion_cells(item.in_sample),
                *_champion_cells(item.out_of_sample),
            ]
        )
    classes = ["shown" if several and place == content.shown else "" for place in range(len(rows))]
    evaluations = f"picked from {content.evaluations:,} backtests" if content.evaluations else "picked from many"
    text = (
        f"Ordered by {content.objective.replace('_', ' ') or 'score'} in sample, {evaluations}: in-sample figures are "
        "the best of many tries and flatter. Whoever chooses by the out-of-sample figures has searched there too."
    )
    marked = [paragraph("The marked one is drawn in detail below.", soft=True)] if several else []
    return Section(
        "champions", "Champions", (paragraph(text, soft=True), table(headings, rows, row_classes=classes), *marked)
    )


def metrics_section(content: ReportContent, accounts: Accounts) -> Section:
    """Return all metrics of the strategy shown, beside buy-and-hold."""
    columns = [("in sample", accounts.in_sample, accounts.hold_in_sample)]
    if accounts.out_of_sample is not None and accounts.hold_out_of_sample is not None:
        columns.append(("out of sample", accounts.out_of_sample, accounts.hold_out_of_sample))
    columns.append(("whole window", accounts.whole, accounts.hold_whole))
    if accounts.out_of_sample is None:
        columns = columns[-1:]
    headings = ["", *(f"{who}, {part}" for part, *_ in columns for who in ("strategy", "hold"))]
    figures = [metrics_json(result.metrics) for _, *results in columns for result in results]
    rows = metric_rows(figures)
    extra = "" if content.frictions is None else f", and with {frictions_text(content.frictions)}"
    text = (
        f"After a fee of {content.costs.fee:.3%} and slippage of {content.costs.slippage:.3%}, each side{extra}. Every "
        "part starts anew with an equity of one and no position; ratios come from daily equity and are annualised "
        "with 365 days, risk-free rate 0."
    )
    parts = [paragraph(text, soft=True), table(headings, rows)]
    changed = changed_sentence(content, accounts)
    if changed:
        parts.append(paragraph(changed))
    return Section("figures", "Figures", tuple(parts))


def metric_rows(columns: Sequence[Figures]) -> list[list[str]]:
    """Return a row a metric, a column for each set of figures."""
    return [[METRIC_LABELS[name], *(metric_text(name, figures[name]) for figures in columns)] for name in METRIC_NAMES]


def changed_sentence(content: ReportContent, accounts: Accounts) -> str:
    """Say that today's candles or code give other figures than were stored; empty when they do not."""
    stored = content.strategies[content.shown].in_sample
    then = None if stored is None else stored.get("total_return")
    now = accounts.in_sample.metrics.total_return
    if then is None or abs(then - now) <= SAME * max(abs(then), 1.0):
        return ""
    return (
        f"The search stored a return of {percent(then, signed=True)} in sample, today's candles and code give "
        f"{percent(now, signed=True)}: candles were corrected since, or the code has changed."
    )


def equity_section(content: ReportContent, accounts: Accounts) -> Section:
    """Return equity and drawdowns over the whole window."""
    parts, own = content.parts, content.strategies[content.shown]
    others = [(label, result.equity) for label, result in accounts.others]
    text = "One account over the whole window."
    if accounts.out_of_sample is not None:
        text += f" The search saw what is before {day(parts.train_end_time)}; the shaded part it did not."
    if others:
        text += " Other champions appear when their names are clicked."
    held = accounts.hold_whole.equity
    return Section(
        "equity",
        "Equity and drawdowns",
        (
            paragraph(text, soft=True),
            drawn(equity_figure(parts, (own.label, accounts.whole.equity), held, others)),
            drawn(drawdown_figure(parts, accounts.whole.equity, held)),
        ),
    )


def months_section(content: ReportContent, accounts: Accounts) -> Section:
    """Return the monthly table."""
    found = monthly_returns(content.parts.candles.open_time, accounts.whole.equity)
    text = "Returns by UTC month in percent, of the same account; the months of the whole window compound to its total."
    return Section("months", "Months", (paragraph(text, soft=True), drawn(monthly_figure(found))))


def trades_section(content: ReportContent, accounts: Accounts) -> Section:
    """Return the trades on the candles, with their summary."""
    trades = accounts.whole.trades
    if len(trades) == 0:
        return Section("trades", "Trades", (paragraph("It never traded in this window."),))
    notes = []
    if len(content.parts.candles) > MOST_CANDLES:
        notes.append(f"Each candle drawn covers several of the {len(content.parts.candles):,}; markers are exact.")
    if len(trades) > MOST_TRADES:
        notes.append(f"The newest {MOST_TRADES:,} of {len(trades):,} trades are drawn.")
    return Section(
        "trades",
        "Trades",
        (
            *([paragraph(" ".join(notes), soft=True)] if notes else []),
            drawn(trades_figure(content.parts, trades)),
            table(["trades of the whole window", ""], trade_rows(trades_json(trades))),
            drawn(trade_returns_figure(trades)),
        ),
    )


def trade_rows(summary: Mapping[str, object]) -> list[list[str]]:
    """Return the rows of the summary that `alpharay.backtest.summary.trades_json` gives."""

    def share(name: str) -> str:
        value = summary[name]
        return percent(value, signed=True) if isinstance(value, float) else "-"

    held = summary["mean_bars_held"]
    reasons = summary["exit_reasons"]
    ended = ", ".join(f"{name} {count}" for name, count in reasons.items()) if isinstance(reasons, dict) else "-"
    return [
        ["number", f"{summary['count']:,} ({summary['long']:,} long, {summary['short']:,} short)"],
        ["with profit", f"{summary['wins']:,}"],
        ["best, mean, worst return", f"{share('best_return')}, {share('mean_return')}, {share('worst_return')}"],
        ["mean bars held", number(held, 1) if isinstance(held, float) else "-"],
        ["ended by", ended],
    ]


def _champion_cells(figures: Figures | None) -> list[Cell]:
    if not figures:
        return ["-"] * len(CHAMPION_METRICS)
    return [metric_text(name, figures.get(name)) for name in CHAMPION_METRICS]
