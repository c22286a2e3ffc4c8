"""Several strategies side by side: their figures, how alike their days are, and their equity in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import Backtest
from alpharay.backtest.tables import day_ends
from alpharay.discovery.equity_plot import downsample
from alpharay.market.candles import Candles, FloatArray
from alpharay.market.timeframe import DAY_MS
from alpharay.reports.account_sections import metric_rows
from alpharay.reports.formats import day, number
from alpharay.reports.page import Section, drawn, page, paragraph, table
from alpharay.reports.run_report import FOOT
from alpharay.reports.theme import OTHERS, OWN, styled, times
from alpharay.validation.daily_marks import daily_returns

LEAST_DAYS = 10
"""With fewer common days a correlation says nothing, and there is none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One strategy's account on its own candles."""

    label: str
    status: str
    candles: Candles
    result: Backtest


def return_correlations(items: Sequence[Compared]) -> list[list[float | None]]:
    """Return the correlation of daily returns of each pair, over the UTC days that both have.

    None with fewer than `LEAST_DAYS` common days, or where one of the two did not vary on them.
    """
    series = [_daily(item) for item in items]
    places = range(len(series))
    # A pair is worked out once: the other way round its last bit may differ.
    return [[_correlation(series[min(i, j)], series[max(i, j)]) for j in places] for i in places]


def comparison_report(items: Sequence[Compared]) -> str:
    """Return the comparison as one HTML file; raises ValueError for none."""
    if not items:
        raise ValueError("a comparison needs at least one strategy, was none")
    labels = [item.label for item in items]
    figures = table(["", *labels], comparison_rows(items))
    matrix = [
        [label, *(number(value) for value in row)]
        for label, row in zip(labels, return_correlations(items), strict=True)
    ]
    about = (
        "Each account on the window in which its strategy was found, in and out of sample together: the figures "
        "flatter as far as the search has seen the candles."
    )
    alike = (
        "Of daily returns on the days that both have. What is close to 1 is the same bet twice; a dash has too few "
        f"common days (fewer than {LEAST_DAYS}) or no movement."
    )
    sections = [
        Section("figures", "Figures", (paragraph(about, soft=True), figures)),
        Section("correlations", "Correlations", (paragraph(alike, soft=True), table(["", *labels], matrix))),
        Section("equity", "Equity", (drawn(overlaid_figure(items)),)),
    ]
    return page(f"{len(items)} strategies compared", [paragraph(", ".join(labels), soft=True)], sections, FOOT)


def comparison_rows(items: Sequence[Compared]) -> list[list[str]]:
    """Return a row a figure and a column a strategy, market and window first."""
    return [
        ["market", *(f"{item.candles.symbol} {item.candles.timeframe}" for item in items)],
        ["status", *(item.status.lower() or "-" for item in items)],
        ["from", *(day(int(item.candles.open_time[0])) for item in items)],
        ["to", *(day(int(item.candles.open_time[-1])) for item in items)],
        *metric_rows([metrics_json(item.result.metrics) for item in items]),
    ]


def overlaid_figure(items: Sequence[Compared]) -> go.Figure:
    """Draw all accounts over each other."""
    figure = go.Figure()
    colors = (OWN, *OTHERS)
    for place, item in enumerate(items):
        rows = downsample(item.result.equity)
        figure.add_trace(
            go.Scatter(
                x=times(item.candles.open_time[rows]), y=item.result.equity[rows], name=escape(item.label),
                mode="lines", line={"width": 1.6, "color": colors[place % len(colors)]},
            )
        )  # fmt: skip
    return styled(figure, 480).update_yaxes(type="log", title_text="equity, from one")


def _daily(item: Compared) -> dict[int, float]:
    ends = day_ends(item.candles.open_time)
    if len(ends) == 0:
        return {}
    first = int(item.candles.open_time[0]) // DAY_MS
    returns: FloatArray = daily_returns(item.result.equity[ends])
    return dict(zip(range(first, first + len(ends)), returns.tolist(), strict=True))


def _correlation(one: dict[int, float], other: dict[int, float]) -> float | None:
    common = sorted(one.keys() & other.keys())
    if len(common) < LEAST_DAYS:
        return None
    left, right = np.array([one[day_] for day_ in common]), np.array([other[day_] for day_ in common])
    if np.ptp(left) == 0.0 or np.ptp(right) == 0.0:
        return None
    return float(np.corrcoef(left, right)[0, 1])
