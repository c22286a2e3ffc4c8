"""The look that all figures share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import plotly.graph_objects as go

from alpharay.market.candles import IntArray

OWN = "#2563eb"
HOLD = "#9ca3af"
GOOD = "#059669"
BAD = "#dc2626"
SOFT = "#6b7280"
SPLIT = "#b45309"
OTHERS = ("#7c3aed", "#0891b2", "#d97706", "#be185d", "#4d7c0f", "#0f766e", "#9333ea")

_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


def styled(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    """Give a figure the report's look and return it."""
    figure.update_layout(
        template="plotly_white",
        font={"family": _FONT, "size": 12, "color": "#374151"},
        height=height,
        margin={"t": 34, "r": 16, "b": 34, "l": 60},
        hovermode="x unified",
        legend={"orientation": "h", "x": 0.0, "y": 1.0, "yanchor": "bottom"},
    )
    return figure.update_layout(**layout)


def times(open_time: IntArray) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    """Return UTC milliseconds as what an axis of time takes."""
    return np.asarray(open_time).astype("datetime64[ms]")


def moment(time_ms: int) -> datetime:
    """Return one time for a line or a shape on such an axis."""
    found: datetime = np.datetime64(time_ms, "ms").astype(datetime)
    return found
