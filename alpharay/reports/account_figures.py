"""The account: its equity beside buy-and-hold and other champions, and how far it was below its peaks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from alpharay.discovery.equity_plot import downsample
from alpharay.discovery.split import Split
from alpharay.market.candles import FloatArray, IntArray
from alpharay.reports.theme import HOLD, OTHERS, OWN, SPLIT, moment, styled, times

Line = tuple[str, FloatArray]
"""A name and the equity after each bar."""


def equity_figure(parts: Split, own: Line, held: FloatArray, others: Sequence[Line] = ()) -> go.Figure:
    """Draw one account over the whole window beside buy-and-hold; other champions appear when they are clicked."""
    figure = go.Figure()
    open_time = parts.candles.open_time
    _add(figure, open_time, ("buy and hold", held), color=HOLD, dash="dot")
    for line, color in zip(others, OTHERS, strict=False):
        _add(figure, open_time, line, color=color, visible="legendonly")
    _add(figure, open_time, own, color=OWN, width=2.0)
    styled(figure, 440).update_yaxes(type="log", title_text="equity, from one")
    return with_split(figure, parts)


def drawdown_figure(parts: Split, own: FloatArray, held: FloatArray) -> go.Figure:
    """Draw how far equity was below its highest value so far, as a fraction of it."""
    figure = go.Figure()
    open_time = parts.candles.open_time
    _add(figure, open_time, ("buy and hold", drawdowns(held)), color=HOLD, dash="dot")
    _add(figure, open_time, ("strategy", drawdowns(own)), color=OWN, fill="tozeroy")
    styled(figure, 260).update_yaxes(tickformat=".0%", title_text="below the peak")
    return with_split(figure, parts, text="")


def drawdowns(equity: FloatArray) -> FloatArray:
    """Return equity / its peak so far - 1, the start of one included; the lowest value is the largest drawdown."""
    peaks = np.maximum(np.maximum.accumulate(equity), 1.0) if len(equity) else equity
    return equity / peaks - 1.0


def with_split(figure: go.Figure, parts: Split, text: str = "out of sample →") -> go.Figure:
    """Mark where the part begins that the search did not see; nothing when there is none."""
    if 0 < parts.at < len(parts.candles):
        figure.add_vline(x=moment(parts.train_end_time), line={"color": SPLIT, "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=moment(parts.train_end_time), y=1.0, yref="paper", xanchor="left", yanchor="top", xshift=4,
            text=text, showarrow=False, font={"size": 11, "color": SPLIT},
        )  # fmt: skip
        figure.add_vrect(
            x0=moment(parts.train_end_time), x1=moment(int(parts.candles.open_time[-1])),
            fillcolor=SPLIT, opacity=0.04, line_width=0,
        )  # fmt: skip
    return figure


def _add(
    figure: go.Figure,
    open_time: IntArray,
    line: Line,
    *,
    color: str,
    width: float = 1.4,
    dash: str = "solid",
    fill: str | None = None,
    visible: bool | str = True,
) -> None:
    name, values = line
    rows = downsample(values)
    figure.add_trace(
        go.Scatter(
            x=times(open_time[rows]), y=values[rows], name=escape(name), mode="lines", fill=fill, visible=visible,
            line={"color": color, "width": width, "dash": dash},
        )
    )  # fmt: skip
