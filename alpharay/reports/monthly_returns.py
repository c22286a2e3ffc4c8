"""Returns by calendar month: a heat map of years and months, with each year's total."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from alpharay.market.candles import FloatArray, IntArray
from alpharay.reports.theme import styled

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class MonthlyReturns:
    """Compounded, all months give the account's total return."""

    years: tuple[int, ...]
    returns: FloatArray
    """(years, 12); NaN for months without a candle."""
    totals: FloatArray
    """Of each year."""


def monthly_returns(open_time: IntArray, equity: FloatArray) -> MonthlyReturns:
    """Return what each UTC month made of the equity at the end of the month before, from a start of one."""
    if len(equity) == 0:
        return MonthlyReturns((), np.empty((0, 12)), np.empty(0))
    months = np.asarray(open_time).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    at_end = equity[last]
    before = np.concatenate([[1.0], at_end[:-1]])
    # After ruin there is nothing left to gain or lose.
    made = np.where(before > 0.0, at_end / np.where(before > 0.0, before, 1.0) - 1.0, 0.0)
    years = np.arange(months[0] // 12, months[-1] // 12 + 1)
    returns = np.full((len(years), 12), np.nan)
    returns[months[last] // 12 - years[0], months[last] % 12] = made
    totals = np.prod(1.0 + np.nan_to_num(returns), axis=1) - 1.0
    return MonthlyReturns(tuple((years + 1970).tolist()), returns, totals)


def monthly_figure(table: MonthlyReturns) -> go.Figure:
    """Draw the months, newest year first, red below and green above zero; the last column is the year."""
    cells = np.column_stack([table.returns, table.totals])[::-1]
    shown = cells[:, :12][~np.isnan(cells[:, :12])]
    # A single month of +300 % would leave all others white.
    reach = float(np.quantile(np.abs(shown), 0.95)) if len(shown) else 0.0
    text = [["" if np.isnan(cell) else f"{cell * 100.0:+.1f}" if cell else "·" for cell in row] for row in cells]
    figure = go.Figure(
        go.Heatmap(
            x=[*MONTHS, "year"],
            y=[str(year) for year in table.years[::-1]],
            z=cells,
            text=text,
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertemplate="%{x} %{y}: %{z:+.2%}<extra></extra>",
            colorscale=[[0.0, "#f87171"], [0.5, "#ffffff"], [1.0, "#34d399"]],
            zmin=-reach or -0.01,
            zmax=reach or 0.01,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(side="top")
    return styled(figure, 90 + 27 * len(table.years), hovermode="closest")
