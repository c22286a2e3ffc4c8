"""A load as one HTML file that needs nothing else: requests, replicas and latency over the same time."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alpharay.load.replica_watch import ReplicaCount
from alpharay.load.series import Second


def load_page(title: str, seconds: Sequence[Second], replicas: Sequence[ReplicaCount]) -> str:
    """Return the page; the row of replicas is left empty when none were watched."""
    figure = make_subplots(
        rows=3,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.06,
        subplot_titles=("Requests a second", "Replicas", "Latency, milliseconds"),
    )
    at = [one.second for one in seconds]
    for name, values, color in (
        ("due", [one.due for one in seconds], "#7f7f7f"),
        ("answered", [one.answered for one in seconds], "#2ca02c"),
        ("turned away", [one.turned_away for one in seconds], "#ff7f0e"),
        ("failed", [one.failed for one in seconds], "#d62728"),
        ("not sent", [one.not_sent for one in seconds], "#9467bd"),
    ):
        figure.add_trace(go.Scatter(x=at, y=values, name=name, line={"color": color}), row=1, col=1)
    watched = [one.at_s for one in replicas]
    for name, values in (("wanted", [one.target for one in replicas]), ("running", [one.running for one in replicas])):
        figure.add_trace(go.Scatter(x=watched, y=values, name=name, line={"shape": "hv"}), row=2, col=1)
    for name, latencies in (
        ("p50", [one.p50_ms for one in seconds]),
        ("p95", [one.p95_ms for one in seconds]),
        ("p99", [one.p99_ms for one in seconds]),
    ):
        figure.add_trace(go.Scatter(x=at, y=latencies, name=name), row=3, col=1)
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(title_text="seconds", row=3, col=1)
    figure.update_layout(title=title, height=900, template="plotly_white", hovermode="x unified")
    return str(figure.to_html(include_plotlyjs=True, full_html=True))
