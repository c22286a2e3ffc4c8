"""The plain way: one Numba loop over the bars for each backtest, with the same figures as the kernel."""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.market.candles import FloatArray, IntArray

RSI_RULE, CROSS_RULE = 0, 1


@njit(cache=True)
def scan(
    opens: FloatArray,
    close: FloatArray,
    day_ends: IntArray,
    rule: int,
    first: FloatArray,
    second: FloatArray,
    low: float,
    high: float,
    entry_factor: float,
    exit_factor: float,
    outcome: FloatArray,
    daily_equity: FloatArray,
) -> None:
    """Run one long-only backtest bar by bar; `outcome` as `alpharay.backtest.walk.OUTCOME_FIELDS`."""
    bars = len(close)
    equity, previous, peak, start, quantity = 1.0, 1.0, 1.0, 1.0, 0.0
    peak_bar, longest, count, wins, exposure, day, pending = 0, 0, 0, 0, 0, 0, 0
    drawdown, gross_profit, gross_loss, total, squared, downside = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    held = False
    for bar in range(bars):
        if pending == 1:
            quantity = previous * entry_factor / opens[bar]
            held, start = True, previous
            count += 1
        if pending == -1:
            equity = quantity * (opens[bar] * exit_factor)
            held = False
            profit = equity - start
            if profit > 0.0:
                wins += 1
                gross_profit += profit
            else:
                gross_loss -= profit
        elif held:
            equity = quantity * close[bar]
            exposure += 1
        pending = 0
        change = equity / previous - 1.0
        previous = equity
        total += change
        squared += change * change
        if change < 0.0:
            downside += change * change
        if equity > peak:
            longest = max(longest, bar - peak_bar)
            peak, peak_bar = equity, bar
        else:
            drawdown = max(drawdown, 1.0 - equity / peak)
        if rule == RSI_RULE:
            enter, leave = first[bar] < low, first[bar] > high
        else:
            enter = bar > 0 and first[bar] > second[bar] and first[bar - 1] <= second[bar - 1]
            leave = bar > 0 and first[bar] < second[bar] and first[bar - 1] >= second[bar - 1]
        if not held and enter and not leave:
            pending = 1
        elif held and leave:
            pending = -1
        while day < len(day_ends) and day_ends[day] <= bar:
            daily_equity[day] = equity
            day += 1
    open_sides = 2 * count
    if held:
        open_sides -= 1
        profit = equity - start
        if profit > 0.0:
            wins += 1
            gross_profit += profit
        else:
            gross_loss -= profit
    mean = total / bars
    outcome[0], outcome[1], outcome[2] = equity, drawdown, max(longest, bars - 1 - peak_bar)
    outcome[3], outcome[4], outcome[5], outcome[6], outcome[7] = (
        count,
        wins,
        gross_profit,
        gross_loss,
        exposure,
    )
    outcome[8], outcome[9], outcome[10], outcome[11] = (
        open_sides,
        mean,
        max(squared / bars - mean * mean, 0.0),
        downside / bars,
    )


@njit(cache=True)
def scan_population(
    opens: FloatArray,
    close: FloatArray,
    day_ends: IntArray,
    rule: int,
    columns: FloatArray,
    picks: IntArray,
    levels: FloatArray,
    entry_factor: float,
    exit_factor: float,
    outcome: FloatArray,
    daily_equity: FloatArray,
) -> None:
    """Scan every set: `picks` (sets, 2) are its columns, `levels` (sets, 2) its thresholds."""
    for row in range(len(picks)):
        scan(
            opens, close, day_ends, rule, columns[picks[row, 0]], columns[picks[row, 1]], levels[row, 0],
            levels[row, 1], entry_factor, exit_factor, outcome[row], daily_equity[row],
        )  # fmt: skip


def empty_results(sets: int, days: int, fields: int) -> tuple[FloatArray, FloatArray]:
    """Return arrays for the outcome and the daily equity."""
    return np.empty((sets, fields)), np.empty((sets, days))
