"""What holdings do to an account: equity, drawdown, returns and marks, at a cost that the bars held do not add to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from alpharay.backtest.bits import leading_zeros
from alpharay.backtest.holdings import LIQUIDATION, OPEN, RecordArray, short_cash
from alpharay.market.candles import FloatArray, IntArray

RUIN = 1e-9

OUTCOME_FIELDS = (
    "final_equity",
    "max_drawdown",
    "drawdown_bars",
    "trades",
    "wins",
    "gross_profit",
    "gross_loss",
    "exposure_bars",
    "sides_traded",
    "bar_mean",
    "bar_variance",
    "bar_downside",
)
"""The columns of the kernel's result: money in units of the starting equity, moments of returns a bar."""

TRADE_FIELDS = (
    "side",
    "entry_bar",
    "exit_bar",
    "entry_price",
    "exit_price",
    "equity_before",
    "equity_after",
    "reason",
)
"""The columns of a recorded trade; the exit bar of an open position is the last bar."""

ACCOUNT = np.dtype(
    [
        ("equity", np.float64),
        ("peak", np.float64),
        ("low", np.float64),
        ("drawdown", np.float64),
        ("gross_profit", np.float64),
        ("gross_loss", np.float64),
        ("total", np.float64),
        ("total_squared", np.float64),
        ("total_downside", np.float64),
        ("peak_bar", np.int64),
        ("longest", np.int64),
        ("trades", np.int64),
        ("wins", np.int64),
        ("exposure", np.int64),
        ("sides", np.int64),
        ("day", np.int64),
    ]
)
"""An account between two holdings. `low` is the lowest equity since the peak, and `drawdown` the largest fall from the
peaks before it; `day` is the first day without a mark."""


class Prices(NamedTuple):
    """The arrays of `PriceTables` as the compiled code takes them."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    close_ranges: FloatArray
    close_blocks: FloatArray
    return_sums: FloatArray
    day_ends: IntArray


class Factors(NamedTuple):
    """Costs as the compiled code takes them: see `Costs`."""

    entry: float
    exit: float


@njit(cache=True, nogil=True)
def open_accounts(count: int) -> RecordArray:
    """Return accounts with an equity of one."""
    accounts = np.zeros(count, dtype=ACCOUNT)
    for row in range(count):
        accounts[row]["equity"] = 1.0
        accounts[row]["peak"] = 1.0
        accounts[row]["low"] = 1.0
    return accounts


@njit(cache=True, error_model="numpy")
def _climb(
    close: FloatArray,
    close_blocks: FloatArray,
    first: int,
    last: int,
    scale: float,
    offset: float,
    side: float,
    peak: float,
    peak_bar: int,
    low: float,
    drawdown: float,
    longest: int,
) -> tuple[float, int, float, float, int]:
    """Carry peak and drawdown bar by bar over a holding that makes a new peak; blocks that make none are skipped."""
    bar = first
    while bar <= last:
        if (bar & 63) == 0 and bar + 63 <= last:
            lowest, highest = close_blocks[0, bar >> 6, 0], close_blocks[0, bar >> 6, 1]
            if scale * (offset + side * (highest if side > 0.0 else lowest)) <= peak:
                low = min(low, scale * (offset + side * (lowest if side > 0.0 else highest)))
                bar += 64
                continue
        value = scale * (offset + side * close[bar])
        if value > peak:
            drawdown = max(drawdown, 1.0 - low / peak)
            longest = max(longest, bar - peak_bar)
            peak, low, peak_bar = value, value, bar
        else:
            low = min(low, value)
        bar += 1
    return peak, peak_bar, low, drawdown, longest


@njit(cache=True, nogil=True, error_model="numpy")
def settle(  # noqa: C901 - one pass over the holdings; splitting it would hand a dozen running values around
    prices: Prices,
    factors: Factors,
    holdings: RecordArray,
    ends: IntArray,
    first_row: int,
    last_row: int,
    accounts: RecordArray,
    daily_equity: FloatArray,
    trades: FloatArray,
) -> None:
    """Put the accounts of some rows through their next holdings, until ruin: see `list_holdings`.

    Writes equity at the end of each UTC day that is over to `daily_equity`, and the first rows of `TRADE_FIELDS` of
    each account to `trades` (which may have no rows).
    """
    # Local names: reading an array out of the tuple counts a reference each time, which would triple the cost.
    opens, close, day_ends = prices.open, prices.close, prices.day_ends
    close_ranges, close_blocks, sums = prices.close_ranges, prices.close_blocks, prices.return_sums
    bars = len(close)
    entry_factor, exit_factor = factors.entry, factors.exit
    begin, days = 0, daily_equity.shape[1]
    for row in range(first_row, last_row):
        account = accounts[row]
        equity, peak, low, drawdown = account["equity"], account["peak"], account["low"], account["drawdown"]
        peak_bar, longest, exposure = account["peak_bar"], account["longest"], account["exposure"]
        count, wins, sides = account["trades"], account["wins"], account["sides"]
        gross_profit, gross_loss = account["gross_profit"], account["gross_loss"]
        total, total_squared, total_downside = account["total"], account["total_squared"], account["total_downside"]
        day = account["day"]
        for index in range(begin, ends[row]):
            if equity < RUIN:
                break
            # Unsigned places: a place that may count from the end costs three instructions more.
            holding = holdings[np.uint64(index)]
            side, reason = holding["side"], holding["reason"]
            entry, exit_bar, exit_price = holding["entry"], holding["exit_bar"], holding["exit_price"]
            last = exit_bar - 1
            start, stop, final = np.uint64(entry), np.uint64(exit_bar), np.uint64(last)
            entry_price = opens[start]
            if side > 0.0:
                scale, offset = equity * entry_factor / entry_price, 0.0
            else:
                scale, offset = equity / entry_price, short_cash(entry_price, exit_factor)
            while day < days and day_ends[day] <= last:
                daily_equity[row, day] = (
                    equity if day_ends[day] < entry else scale * (offset + side * close[day_ends[day]])
                )
                day += 1

            before_exit = equity
            if last >= entry:
                if side > 0.0:
                    change = close[start] * entry_factor / entry_price - 1.0
                    fall = min(change, 0.0)
                    second = np.uint64(entry + 1)
                    total += change + (sums[stop, 0] - sums[second, 0])
                    total_squared += change * change + (sums[stop, 1] - sums[second, 1])
                    total_downside += fall * fall + (sums[stop, 2] - sums[second, 2])
                else:
                    value = equity
                    for bar in range(entry, exit_bar):
                        now = scale * (offset - close[bar])
                        change = now / value - 1.0
                        total += change
                        total_squared += change * change
                        total_downside += change * change if change < 0.0 else 0.0
                        value = now

                # The extreme closes of the holding, in constant time: two overlapping ranges of bars, and of blocks
                # where it is long. Written out here: handing the tables to a function would double the cost.
                length = exit_bar - entry
                level = min(63 - int(leading_zeros(np.uint64(length))), 6)
                table, tail = np.uint64(level), np.uint64(exit_bar - (1 << level))
                lowest = min(close_ranges[table, start, 0], close_ranges[table, tail, 0])
                highest = max(close_ranges[table, start, 1], close_ranges[table, tail, 1])
                if length > 128:
                    first_block, end_block = (entry + 63) >> 6, exit_bar >> 6
                    level = 63 - int(leading_zeros(np.uint64(end_block - first_block)))
                    table, head, tail = np.uint64(level), np.uint64(first_block), np.uint64(end_block - (1 << level))
                    lowest = min(lowest, min(close_blocks[table, head, 0], close_blocks[table, tail, 0]))
                    highest = max(highest, max(close_blocks[table, head, 1], close_blocks[table, tail, 1]))
                # Rounding is monotone: the extreme price gives the extreme equity to the bit.
                if side > 0.0:
                    best, worst, before_exit = scale * highest, scale * lowest, scale * close[final]
                else:
                    best, worst = scale * (offset - lowest), scale * (offset - highest)
                    before_exit = scale * (offset - close[final])
                if best > peak:
                    peak, peak_bar, low, drawdown, longest = _climb(
                        close, close_blocks, entry, last, scale, offset, side, peak, peak_bar, low, drawdown, longest
                    )
                else:
                    low = min(low, worst)
                exposure += length

            if reason == OPEN:
                after = before_exit
                sides += 1
            else:
                if reason == LIQUIDATION:
                    after = 0.0
                elif side > 0.0:
                    after = scale * (exit_price * exit_factor)
                else:
                    after = max(scale * (offset - exit_price / entry_factor), 0.0)
                sides += 2
                change = after / before_exit - 1.0
                fall = min(change, 0.0)
                total += change
                total_squared += change * change
                total_downside += fall * fall
                if after > peak:
                    drawdown = max(drawdown, 1.0 - low / peak)
                    longest = max(longest, exit_bar - peak_bar)
                    peak, low, peak_bar = after, after, exit_bar
                else:
                    low = min(low, after)
            profit = after - equity
            wins += 1 if profit > 0.0 else 0
            gross_profit += max(profit, 0.0)
            gross_loss -= min(profit, 0.0)
            if count < len(trades):
                trades[count, 0] = side
                trades[count, 1] = entry
                trades[count, 2] = min(exit_bar, bars - 1)
                trades[count, 3] = entry_price
                trades[count, 4] = exit_price
                trades[count, 5] = equity
                trades[count, 6] = after
                trades[count, 7] = reason
            count += 1
            equity = after
        account["equity"], account["peak"], account["low"], account["drawdown"] = equity, peak, low, drawdown
        account["peak_bar"], account["longest"], account["exposure"] = peak_bar, longest, exposure
        account["trades"], account["wins"], account["sides"] = count, wins, sides
        account["gross_profit"], account["gross_loss"] = gross_profit, gross_loss
        account["total"], account["total_squared"], account["total_downside"] = total, total_squared, total_downside
        account["day"] = day
        begin = ends[row]


@njit(cache=True, nogil=True)
def write_outcomes(bars: int, accounts: RecordArray, daily_equity: FloatArray, outcome: FloatArray) -> None:
    """Write `OUTCOME_FIELDS` of accounts that have seen all `bars`, and the marks of the days that are left."""
    for row in range(len(accounts)):
        account = accounts[row]
        daily_equity[row, account["day"] :] = account["equity"]
        outcome[row, 0] = account["equity"]
        outcome[row, 1] = max(account["drawdown"], 1.0 - account["low"] / account["peak"])
        outcome[row, 2] = max(account["longest"], bars - 1 - account["peak_bar"]) if bars > 0 else 0
        outcome[row, 3] = account["trades"]
        outcome[row, 4] = account["wins"]
        outcome[row, 5] = account["gross_profit"]
        outcome[row, 6] = account["gross_loss"]
        outcome[row, 7] = account["exposure"]
        outcome[row, 8] = account["sides"]
        mean = account["total"] / bars if bars > 0 else 0.0
        outcome[row, 9] = mean
        outcome[row, 10] = max(account["total_squared"] / bars - mean * mean, 0.0) if bars > 0 else 0.0
        outcome[row, 11] = account["total_downside"] / bars if bars > 0 else 0.0
