"""How the search went: the best and the median score of each generation, and how different its genomes were."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alpharay.reports.search_log import SearchLog
from alpharay.reports.theme import HOLD, OTHERS, OWN, styled


def convergence_figure(log: SearchLog, objective: str) -> go.Figure:
    """Draw best and median score, and below them the diversity, by generation."""
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.06)
    generations = list(range(1, len(log) + 1))
    hover = "%{y:.3f} after %{customdata:,} backtests"
    for name, values, color in (("best so far", log.best, OWN), ("median of the population", log.median, HOLD)):
        figure.add_trace(
            go.Scatter(
                x=generations, y=list(values), customdata=list(log.evaluations), name=name, mode="lines+markers",
                line={"color": color, "width": 2}, marker={"size": 5}, hovertemplate=hover,
            ),
            row=1, col=1,
        )  # fmt: skip
    figure.add_trace(
        go.Bar(x=generations, y=list(log.diversity), name="diversity", marker={"color": OTHERS[1], "opacity": 0.55}),
        row=2,
        col=1,
    )
    figure.update_yaxes(title_text=escape(objective.replace("_", " ")), row=1, col=1)
    figure.update_yaxes(title_text="distinct genomes", tickformat=".0%", range=[0.0, 1.0], row=2, col=1)
    figure.update_xaxes(title_text="generation", row=2, col=1)
    return styled(figure, 420)
