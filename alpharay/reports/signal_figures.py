"""How good signals were, drawn."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from alpharay.analytics.confidence_calibration import Calibration
from alpharay.analytics.decisions import Decisions
from alpharay.reports.theme import BAD, GOOD, HOLD, OWN, styled, times


def calibration_figure(calibration: Calibration) -> go.Figure:
    """Draw the hit rate that came of each bin of confidence, with its interval, beside what it should have been."""
    known = [part for part in calibration.bins if part.mean_confidence is not None]
    rates = [part.hit_rate.value or 0.0 for part in known]
    above = [(part.hit_rate.high or 0.0) - rate for part, rate in zip(known, rates, strict=True)]
    below = [rate - (part.hit_rate.low or 0.0) for part, rate in zip(known, rates, strict=True)]
    figure = go.Figure(
        go.Scatter(x=[0.0, 1.0], y=[0.0, 1.0], mode="lines", name="as it says", line={"color": HOLD, "dash": "dot"})
    )
    if calibration.hit_rate is not None:
        figure.add_hline(y=calibration.hit_rate, line={"color": HOLD, "width": 1})
    figure.add_trace(
        go.Scatter(
            x=[part.mean_confidence for part in known],
            y=rates,
            error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1},
            mode="markers+lines",
            name="hit rate",
            marker={"color": OWN, "size": 8},
            text=[f"{part.independent:.1f} independent of {part.decisions}" for part in known],
            hovertemplate="confidence %{x:.2f}: hit rate %{y:.1%}, %{text}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="confidence", range=[0.0, 1.0])
    figure.update_yaxes(title_text="share that earned more than it cost", range=[0.0, 1.0], tickformat=".0%")
    return styled(figure, 360, hovermode="closest")


def profit_figure(decisions: Decisions) -> go.Figure:
    """Draw the profit of all decisions over time, BUYs and SELLs apart, overlapping ones shared out."""
    figure = go.Figure()
    weights = decisions.weights()
    for name, side, color in (("BUY", 1, GOOD), ("SELL", -1, BAD)):
        rows = np.flatnonzero(decisions.side == side)
        rows = rows[np.argsort(decisions.exit_time[rows], kind="stable")]
        figure.add_trace(
            go.Scatter(
                x=times(decisions.exit_time[rows]),
                y=np.cumsum((weights * decisions.net_return)[rows]),
                mode="lines",
                name=name,
                line={"color": color, "width": 2, "shape": "hv"},
            )
        )
    figure.update_yaxes(title_text="net return, summed", tickformat=".1%")
    return styled(figure, 320)
