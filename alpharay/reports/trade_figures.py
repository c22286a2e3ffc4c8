"""The trades: on the candles where they were made, and how their returns are spread."""

from __future__ import annotations

from typing import cast

import numpy as np
import plotly.graph_objects as go
import polars as pl

from alpharay.discovery.split import Split
from alpharay.market.candles import Candles, FloatArray
from alpharay.reports.account_figures import with_split
from alpharay.reports.theme import BAD, GOOD, OWN, SOFT, styled, times

MOST_CANDLES = 800
"""More candles than pixels cannot be seen: neighbours are drawn as one."""

MOST_TRADES = 1_500
"""The newest are drawn; thousands of markers hide the price and slow a browser down."""

_MARKS = {"long": ("triangle-up", OWN), "short": ("triangle-down", "#7c3aed")}


def trades_figure(parts: Split, trades: pl.DataFrame) -> go.Figure:
    """Draw candles, an entry marker a trade by its side, an exit marker by its result, and a line between the two."""
    candles = drawn_candles(parts.candles)
    figure = go.Figure(
        go.Candlestick(
            x=times(candles.open_time), open=candles.open, high=candles.high, low=candles.low, close=candles.close,
            name=candles.symbol, increasing={"line": {"color": "#9ca3af", "width": 1}},
            decreasing={"line": {"color": "#4b5563", "width": 1}},
        )
    )  # fmt: skip
    shown = trades.tail(MOST_TRADES)
    for side, (symbol, color) in _MARKS.items():
        entered = shown.filter(pl.col("side") == side)
        if len(entered):
            figure.add_trace(_markers(entered, "entry", f"{side} entry", symbol, color))
    closed = shown.filter(pl.col("exit_reason") != "open")
    for name, won, color in (("exit with profit", True, GOOD), ("exit with loss", False, BAD)):
        ended = closed.filter((pl.col("return") > 0.0) == won)
        if len(ended):
            figure.add_trace(_markers(ended, "exit", name, "x", color))
    if len(shown):
        figure.add_trace(_holdings(shown))
    styled(figure, 520, xaxis_rangeslider_visible=False, hovermode="closest").update_yaxes(title_text="price")
    return with_split(figure, parts)


def trade_returns_figure(trades: pl.DataFrame) -> go.Figure:
    """Draw how often trades returned how much."""
    returns = trades["return"].to_numpy()
    figure = go.Figure(go.Histogram(x=returns, nbinsx=60, marker={"color": OWN, "line": {"width": 0}}))
    figure.add_vline(x=0.0, line={"color": SOFT, "width": 1})
    figure.update_xaxes(tickformat=".1%", title_text="return of a trade, after costs")
    figure.update_yaxes(title_text="trades")
    return styled(figure, 260, bargap=0.03, hovermode="closest")


def drawn_candles(candles: Candles, most: int = MOST_CANDLES) -> Candles:
    """Return the candles, or at most `most` that each cover as many neighbours: first open, extremes, last close."""
    if len(candles) <= most:
        return candles
    # Whole numbers of rows, so that every drawn candle but the last covers as many.
    starts = np.arange(0, len(candles), -(-len(candles) // most))
    ends = np.append(starts[1:], len(candles)) - 1
    return Candles(
        candles.exchange, candles.symbol, candles.timeframe, candles.open_time[starts], candles.open[starts],
        _over(np.maximum, candles.high, starts), _over(np.minimum, candles.low, starts), candles.close[ends],
        _over(np.add, candles.volume, starts),
    )  # fmt: skip


def _over(reduce: np.ufunc, values: FloatArray, starts: np.ndarray[tuple[int], np.dtype[np.intp]]) -> FloatArray:
    return cast("FloatArray", reduce.reduceat(values, starts))


def _markers(trades: pl.DataFrame, at: str, name: str, symbol: str, color: str) -> go.Scatter:
    return go.Scatter(
        x=times(trades[f"{at}_time"].to_numpy()), y=trades[f"{at}_price"].to_numpy(), name=name, mode="markers",
        marker={"symbol": symbol, "color": color, "size": 9 if at == "entry" else 7, "line": {"width": 0}},
        customdata=np.column_stack([trades["return"].to_numpy(), trades["exit_reason"].to_numpy()]),
        hovertemplate=f"{name} %{{y:,.6~g}} on %{{x}}<br>return %{{customdata[0]:+.2%}}, %{{customdata[1]}}"
        "<extra></extra>",
    )  # fmt: skip


def _holdings(trades: pl.DataFrame) -> go.Scatter:
    """Return one trace of lines from entry to exit, with a gap after each."""
    when = np.full((len(trades), 3), np.datetime64("NaT"), dtype="datetime64[ms]")
    price = np.full((len(trades), 3), np.nan)
    for place, at in enumerate(("entry", "exit")):
        when[:, place] = times(trades[f"{at}_time"].to_numpy())
        price[:, place] = trades[f"{at}_price"].to_numpy()
    return go.Scatter(
        x=when.ravel(), y=price.ravel(), mode="lines", name="held", hoverinfo="skip",
        line={"color": OWN, "width": 1, "dash": "dot"},
    )  # fmt: skip
