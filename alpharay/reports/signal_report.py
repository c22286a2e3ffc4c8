"""How good the signals of a stretch of time were, as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpharay.analytics.confidence_calibration import Calibration
from alpharay.analytics.hit_rate import Rate
from alpharay.analytics.performance import Performance
from alpharay.analytics.record import Chosen, SignalRecord, by_strategy, by_symbol, chosen_decisions, summary
from alpharay.analytics.record import confidence_curve as curve_of
from alpharay.reports.formats import number, percent
from alpharay.reports.page import Cell, Markup, Section, Words, cards, drawn, page, paragraph, table
from alpharay.reports.signal_figures import calibration_figure, profit_figure

MOST_STRATEGIES = 50
HEADINGS = ("signals", "decisions", "independent", "hit rate", "95 %", "net return each", "95 %", "profit factor")


def signal_report(record: SignalRecord, chosen: Chosen) -> str:
    """Return the page: figures first, then calibration, profit, markets and strategies."""
    told = summary(record, chosen)
    whole: Performance = told["performance"]
    calibration: Calibration = curve_of(record, chosen)["calibration"]
    markets = by_symbol(record, chosen)["markets"]
    strategies = by_strategy(record, chosen, MOST_STRATEGIES)["strategies"]
    actions = {"all": whole, **told["by_action"]}
    decisions = chosen_decisions(record, chosen)
    sections = (
        Section("actions", "All, and by action", (_figures("action", actions), _endings(told["endings"]))),
        Section(
            "calibration",
            "Does the confidence mean what it says?",
            (paragraph(_calibration_text(calibration), soft=True), drawn(calibration_figure(calibration))),
        ),
        Section("profit", "Profit over time", (drawn(profit_figure(decisions)),)),
        Section("markets", "Markets", (_figures("market", {_market(row): row["performance"] for row in markets}),)),
        Section(
            "strategies",
            "Strategies",
            (
                paragraph("A signal counts for every strategy behind it that asked for what it said.", soft=True),
                _figures("strategy", {_strategy(row): row["performance"] for row in strategies}),
            ),
        ),
    )
    head = (
        paragraph(_sentence(whole)),
        cards(
            [
                ("hit rate", percent(whole.hit_rate.value)),
                ("net return each", percent(whole.mean_return.value, signed=True)),
                ("independent decisions", number(whole.independent, 1)),
                ("Brier score", number(calibration.brier_score, 3)),
            ]
        ),
    )
    return page(f"Signals of the last {record.days:g} days", head, sections, _terms(record))


def write_signal_report(record: SignalRecord, chosen: Chosen, file: Path) -> Path:
    """Write the page to a file, whose folder is made, and return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(signal_report(record, chosen), encoding="utf-8")
    return file


def performance_row(name: str, one: Performance) -> list[str]:
    """Return figures as people read them, under the name and `HEADINGS`."""
    return [
        name,
        f"{one.signals:,}",
        f"{one.decisions:,}",
        number(one.independent, 1),
        percent(one.hit_rate.value),
        _between(one.hit_rate),
        "-" if one.mean_return.value is None else f"{one.mean_return.value:+.2%}",
        _between(one.mean_return, digits=2),
        number(one.profit_factor),
    ]


def _figures(what: str, rows: Mapping[str, Performance]) -> Markup:
    if not rows:
        return paragraph("None has an outcome yet.", soft=True)
    body: list[list[Cell]] = [[Words(text) if place == 0 else text for place, text in enumerate(performance_row(*row))]
                              for row in rows.items()]  # fmt: skip
    return table([Words(what), *HEADINGS], body)


def _sentence(whole: Performance) -> str:
    if not whole.decisions:
        return "No BUY or SELL has an outcome yet."
    text = (
        f"{whole.signals:,} signals with an outcome were {whole.decisions:,} decisions, which overlap: they say as "
        f"much as {whole.independent:.1f} independent ones."
    )
    if whole.mean_return.low is None or whole.mean_return.high is None:
        return f"{text} Too few to say whether they earn anything."
    if whole.mean_return.low > 0.0:
        return f"{text} They earned more than they cost."
    if whole.mean_return.high < 0.0:
        return f"{text} They lost."
    return f"{text} What they earned cannot be told from nothing."


def _endings(endings: Mapping[str, int]) -> Markup:
    told = ", ".join(f"{name.lower()} {count:,}" for name, count in endings.items()) or "none"
    return paragraph(f"How the signals ended: {told}.", soft=True)


def _calibration_text(calibration: Calibration) -> str:
    if calibration.brier_score is None:
        return "No decision has an outcome yet."
    skill = "-" if calibration.brier_skill is None else f"{calibration.brier_skill:+.3f}"
    return (
        f"Brier score {calibration.brier_score:.3f}; saying the hit rate every time scores "
        f"{calibration.brier_of_base_rate:.3f} (skill {skill}). Confidence and hit rate are "
        f"{calibration.calibration_error:.3f} apart on average."
    )


def _terms(record: SignalRecord) -> str:
    applied = "; ".join(
        f"{number:,} decisions left after {terms.horizon} candles, fee {terms.fee:g}, slippage {terms.slippage:g}"
        for terms, number in sorted(record.terms.items())
    )
    newest = "" if record.complete else " Only the newest decisions are shown."
    return f"Entered at the next open; {applied or 'no outcome yet'}. Intervals: Wilson, normal.{newest}"


def _market(row: Mapping[str, Any]) -> str:
    return f"{row['exchange']} {row['symbol']} {row['timeframe']}"


def _strategy(row: Mapping[str, Any]) -> str:
    markets = ", ".join(f"{one['symbol']} {one['timeframe']}" for one in row["markets"])
    return f"{row['name'] or 'unknown'} {row['strategy_id'][:12]} ({markets})"


def _between(rate: Rate, digits: int = 0) -> str:
    if rate.low is None or rate.high is None:
        return "-"
    return f"{rate.low:.{digits}%} to {rate.high:.{digits}%}"
