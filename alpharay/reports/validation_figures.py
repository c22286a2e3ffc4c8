"""A validation's evidence, drawn from its JSON record (`alpharay.validation.validation.validation_json`)."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alpharay.reports.theme import BAD, GOOD, HOLD, OWN, SOFT, SPLIT, moment, styled, times

Record = Mapping[str, Any]

NULL_BINS = 30

_LOSS_TO_GAIN = [[0.0, "#f87171"], [0.5, "#ffffff"], [1.0, "#60a5fa"]]


def null_figure(permutation: Record) -> go.Figure:
    """Draw the statistics of the searches without an edge, and the observed one among them."""
    found = [value for value in permutation["null"] if value is not None]
    observed = permutation["observed"]
    figure = go.Figure(
        go.Histogram(x=found, xbins=_bins([*found, observed or 0.0]), name="without an edge", marker={"color": HOLD})
    )
    if observed is not None:
        figure.add_vline(x=observed, line={"color": OWN, "width": 2})
        figure.add_annotation(
            x=observed, y=1.0, yref="paper", xanchor="left", yanchor="top", xshift=5, showarrow=False,
            text=f"this strategy {observed:.2f}", font={"color": OWN},
        )  # fmt: skip
    figure.update_xaxes(title_text="excess Sharpe ratio")
    figure.update_yaxes(title_text="searches")
    return styled(figure, 300, bargap=0.03, hovermode="closest", showlegend=False)


def walk_forward_figure(walk_forward: Record) -> go.Figure:
    """Draw the joined account of all windows with their borders, and each window's Sharpe ratio on both sides."""
    figure = make_subplots(
        cols=2, column_widths=[0.62, 0.38], horizontal_spacing=0.08,
        subplot_titles=("one account over all windows", "Sharpe ratio, searched and traded"),
    )  # fmt: skip
    days = np.array(walk_forward["days"], dtype=np.int64)
    figure.add_trace(
        go.Scatter(
            x=times(days), y=walk_forward["equity"], name="equity", mode="lines", line={"color": OWN, "width": 2}
        ),
        row=1,
        col=1,
    )
    windows = walk_forward["windows"]
    for place, window in enumerate(windows):
        if place % 2:
            figure.add_vrect(
                x0=moment(window["test_start_time"]), x1=moment(window["test_end_time"]),
                fillcolor=SOFT, opacity=0.09, line_width=0, row=1, col=1,
            )  # fmt: skip
    numbers = [window["number"] + 1 for window in windows]
    for name, key, color in (
        ("searched", "in_sample_sharpe", HOLD),
        ("traded unseen", "out_of_sample_sharpe", OWN),
    ):
        figure.add_trace(
            go.Bar(x=numbers, y=[window[key] for window in windows], name=name, marker={"color": color}), row=1, col=2
        )
    figure.update_yaxes(title_text="equity, from one", row=1, col=1)
    figure.update_xaxes(title_text="window", dtick=1, row=1, col=2)
    # The titles of the two halves stand where the legend would be.
    legend = {"orientation": "h", "x": 0.0, "y": -0.16, "yanchor": "top"}
    return styled(figure, 360, hovermode="closest", legend=legend)


def neighbourhood_figure(heat_map: Record, parameters: Mapping[str, float], objective: str) -> go.Figure:
    """Draw the scores of the neighbours over two parameters, or over the only one, with the champion marked."""
    column, row = heat_map["column_parameter"], heat_map["row_parameter"]
    if row is None:
        figure = go.Figure(
            go.Scatter(
                x=heat_map["column_values"], y=heat_map["scores"][0], mode="lines+markers", line={"color": OWN},
                name=escape(objective),
            )
        )  # fmt: skip
        figure.add_vline(x=parameters[column], line={"color": SPLIT, "dash": "dash"})
        figure.update_yaxes(title_text=escape(objective))
        figure.update_xaxes(title_text=escape(column))
        return styled(figure, 280, showlegend=False, hovermode="closest")
    scores = [[np.nan if value is None else value for value in line] for line in heat_map["scores"]]
    reach = float(np.nanmax(np.abs(scores))) if np.isfinite(scores).any() else 1.0
    figure = go.Figure(
        go.Heatmap(
            x=[_axis(value) for value in heat_map["column_values"]],
            y=[_axis(value) for value in heat_map["row_values"]],
            z=heat_map["scores"], zmin=-reach, zmax=reach, colorscale=_LOSS_TO_GAIN, xgap=1, ygap=1,
            texttemplate="%{z:.2f}", textfont={"size": 10}, colorbar={"thickness": 10, "outlinewidth": 0},
            hovertemplate=f"{escape(column)} %{{x}}, {escape(row)} %{{y}}: %{{z:.3f}}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[_axis(parameters[column])], y=[_axis(parameters[row])], mode="markers", hoverinfo="skip",
            marker={"symbol": "square-open", "size": 26, "color": "#111827", "line": {"width": 2}},
        )
    )  # fmt: skip
    # As categories: the steps of a grid are drawn alike, however far apart their values are.
    figure.update_xaxes(title_text=escape(column), type="category", showgrid=False)
    figure.update_yaxes(title_text=escape(row), type="category", showgrid=False)
    return styled(figure, 360, showlegend=False, hovermode="closest")


def cost_figure(cost_stress: Record) -> go.Figure:
    """Draw what is left of return and excess Sharpe ratio at multiples of the costs."""
    levels = cost_stress["levels"]
    multiples = [f"{level['multiple']:g}x" for level in levels]
    figure = make_subplots(
        cols=2, horizontal_spacing=0.12, subplot_titles=("excess Sharpe ratio", "total return")
    )  # fmt: skip
    columns = ([level["excess_sharpe"] for level in levels], [level["metrics"]["total_return"] for level in levels])
    for place, values in enumerate(columns, 1):
        colors = [GOOD if (value or 0.0) > 0.0 else BAD for value in values]
        figure.add_trace(go.Bar(x=multiples, y=values, marker={"color": colors}), row=1, col=place)
    figure.update_yaxes(tickformat=".0%", row=1, col=2)
    figure.update_xaxes(title_text="costs")
    return styled(figure, 280, showlegend=False, hovermode="closest")


def regimes_figure(regimes: list[Record]) -> go.Figure:
    """Draw the return of strategy and market in each regime."""
    names = [regime_name(regime) for regime in regimes]
    figure = go.Figure()
    for name, key, color in (("strategy", "total_return", OWN), ("market", "market_return", HOLD)):
        values = [regime[key] for regime in regimes]
        figure.add_trace(go.Bar(x=names, y=values, name=name, marker={"color": color}))
    figure.update_yaxes(tickformat=".0%", title_text="total return")
    return styled(figure, 300, hovermode="closest")


def regime_name(regime: Record) -> str:
    """Return what a regime is called."""
    if "unknown" in (regime["volatility"], regime["trend"]):
        return "too early to tell"
    return f"{regime['volatility']}, {regime['trend']}"


def overfitting_figure(overfitting: Record) -> go.Figure:
    """Draw where the best in sample ended out of sample, over all splits; left of zero is below the median."""
    edges = np.array(overfitting["logit_edges"])
    middles = (edges[:-1] + edges[1:]) / 2.0
    figure = go.Figure(
        go.Bar(
            x=middles, y=overfitting["logit_counts"], width=np.diff(edges),
            marker={"color": [BAD if middle <= 0.0 else GOOD for middle in middles], "line": {"width": 0}},
        )
    )  # fmt: skip
    figure.add_vline(x=0.0, line={"color": SOFT, "width": 1})
    figure.update_xaxes(title_text="logit of the rank out of sample: above 0 is better than the median")
    figure.update_yaxes(title_text="splits")
    return styled(figure, 280, bargap=0.0, showlegend=False, hovermode="closest")


def _bins(values: list[float]) -> dict[str, float]:
    """Return bins over all values, so that a few do not become lines."""
    low, high = min(values), max(values)
    return {"start": low, "end": high + 1e-9, "size": (high - low) / NULL_BINS or 1.0}


def _axis(value: float) -> str:
    return f"{value:g}"
