"""The champions' equity beside buy-and-hold, in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.leaderboard import leaderboard, reading_notes, search_name
from alpharay.discovery.search import DiscoveryReport
from alpharay.discovery.split import buy_and_hold, out_of_sample
from alpharay.market.candles import Candles, FloatArray

POINTS = 1500
"""Each line is drawn with about so many points: more cannot be seen, and a browser chokes on a million."""

LINES = 8
"""How many champions are drawn, best in sample first."""


def write_equity_plot(reports: Sequence[DiscoveryReport], file: Path) -> Path:
    """Draw the best champions of the reports (all of one market) and return the file's path.

    Left what the search saw, right what it did not; each side starts from one, so that the gain of the first
    does not dwarf or lift the second.
    """
    first = reports[0]
    parts, costs, frictions = first.parts, first.costs, first.frictions
    both = len(parts.test) > 0
    figure = make_subplots(
        cols=2 if both else 1,
        column_widths=[first.settings.train_fraction, 1.0 - first.settings.train_fraction] if both else None,
        subplot_titles=("in sample: searched", "out of sample: not seen by the search")[: 2 if both else 1],
        shared_yaxes=False,
        horizontal_spacing=0.05,
    )
    sides = [(1, parts.train)] + ([(2, parts.test)] if both else [])
    for column, candles in sides:
        held = buy_and_hold(candles, costs, frictions).equity
        _draw(figure, column, candles, held, "buy and hold", color="#888888", dash="dot")
    colors = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
    for place, entry in enumerate(leaderboard(reports, a_strategy=1 if len(reports) > 1 else None)[:LINES]):
        strategy, parameters, parts = entry.report.strategy, entry.champion.parameters, entry.report.parts
        label = f"{search_name(entry.report, reports)} " + " ".join(
            f"{name}={value:g}" for name, value in parameters.items()
        )
        seen = backtest_strategy(strategy, parameters, parts.train, costs=costs, stops=first.stops, frictions=frictions)
        _draw(figure, 1, parts.train, seen.equity, label, color=colors[place])
        if both:
            after = out_of_sample(strategy, parameters, parts, costs, first.stops, frictions)
            _draw(figure, 2, parts.test, after.equity, label, color=colors[place])
    market = f"{first.parts.candles.symbol} {first.parts.candles.timeframe}"
    title = f"{escape(market)}: equity of the best by {first.settings.objective} in sample, after costs"
    notes = "<br>".join(escape(note) for note in reading_notes(reports))
    figure.update_layout(
        title={"text": title, "subtitle": {"text": notes, "font": {"size": 11}}, "yref": "container", "y": 0.96},
        template="plotly_white",
        hovermode="x unified",
        # A line for each champion under the plot: their parameters are long.
        legend={"orientation": "v", "x": 0.0, "y": -0.08, "yanchor": "top"},
        margin={"t": 140, "b": 40},
        height=820,
    )
    figure.update_yaxes(type="log")
    figure.update_yaxes(title_text="equity, from one", col=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(file, include_plotlyjs=True, full_html=True)
    return file


def _draw(figure: go.Figure, column: int, candles: Candles, equity: FloatArray, label: str, **line: str) -> None:
    rows = downsample(equity)
    figure.add_trace(
        go.Scatter(
            x=candles.open_time[rows].astype("datetime64[ms]"),
            y=equity[rows],
            name=label,
            legendgroup=label,
            showlegend=column == 1,
            mode="lines",
            line={"width": 1.5, **line},
        ),
        col=column,
        row=1,
    )


def downsample(values: FloatArray, points: int = POINTS) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the places of about `points` values that keep the shape.

    They are the lowest and highest value of each piece, and both ends.
    """
    if len(values) <= points:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), points // 2 + 1).astype(np.intp)
    kept = {0, len(values) - 1}
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        piece = values[start:stop]
        kept.update((start + int(np.argmin(piece)), start + int(np.argmax(piece))))
    return np.array(sorted(kept), dtype=np.intp)
