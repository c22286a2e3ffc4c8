"""One account that trades several markets, with frictions: step by step where it holds or orders, else jumping.

The fills are those of `alpharay.backtest.walk` (next open, stops inside the bar, exits and opposite entries after the
minimum holding). What is added:

* A step is a time at which any market has a candle. A market without one keeps its last close; it fills nothing.
* At an open all exits are filled first, then the entries in the order of the markets while positions are free. An
  entry without a free position is dropped.
* An entry's stake is its share of the equity after those exits, at the opens, and never more than the free cash.
* A position is an account of its own: a long's units, or a short's stake and proceeds less the units owed. It is
  liquidated where that is gone, and what is left over comes back at the exit.
* Under market impact a bar without volume fills nothing: orders and stops wait. A waiting entry is dropped by its exit
  rule and replaced by an entry of the other side.
* The equity points are the account after the exits of an open, all positions at their opens, and after each close.

Money is in quote currency. Without frictions the account starts with one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.backtest.account_positions import (
    BOOK_COLUMNS,
    COUNT,
    DOWNSIDE,
    DRAWDOWN,
    ENTRY_BAR,
    ENTRY_PRICE,
    EXPOSURE,
    EXTREME,
    FEE,
    FEE_DAY,
    FREE,
    HELD,
    LEAVING,
    LONGEST,
    LOSS,
    MEAN,
    ORDER,
    OWN_CASH,
    PEAK,
    PEAK_STEP,
    POINT,
    PROFIT,
    QUANTITY,
    RATCHET,
    SIDE,
    SQUARED,
    TOTALS,
    TRADED_DAYS,
    TRADED_SIDES,
    WAITING,
    WINS,
    charge,
    close_position,
    open_position,
)
from alpharay.backtest.account_stops import follow, next_fixed_stop, next_trailing_stop, stop_on
from alpharay.backtest.account_terms import LONG_FUNDING, PARTICIPATION, SHORT_FUNDING, Terms
from alpharay.backtest.bits import WordArray, next_set_bit
from alpharay.backtest.holdings import OPEN, SIGNAL, StopLevels
from alpharay.backtest.pool_tables import PoolPrices
from alpharay.backtest.settlement import RUIN
from alpharay.market.candles import FloatArray, IntArray


@njit(cache=True)
def _equity_at_opens(
    step: int, opens: FloatArray, closes: FloatArray, step_of: IntArray, bar_at: IntArray, book: FloatArray,
    totals: FloatArray,
) -> float:  # fmt: skip
    """Return free cash and all positions at the opens of `step`; without a candle there, at the last close."""
    equity = totals[FREE]
    for market in range(len(book)):
        if book[market, SIDE] != 0.0:
            bar = bar_at[market, step]
            price = opens[bar] if step_of[bar] == step else closes[bar]
            equity += max(book[market, OWN_CASH] + book[market, QUANTITY] * price, 0.0)
    return float(equity)


@njit(cache=True)
def _point(step: int, equity: float, totals: FloatArray) -> None:
    """Carry returns, peak and drawdown over one equity point."""
    before = totals[POINT]
    change = equity / before - 1.0 if before > 0.0 else 0.0
    totals[MEAN] += change
    totals[SQUARED] += change * change
    totals[DOWNSIDE] += change * change if change < 0.0 else 0.0
    totals[POINT] = equity
    if equity > totals[PEAK]:
        totals[LONGEST] = max(totals[LONGEST], step - totals[PEAK_STEP])
        totals[PEAK], totals[PEAK_STEP] = equity, step
    elif equity < (1.0 - totals[DRAWDOWN]) * totals[PEAK]:
        totals[DRAWDOWN] = 1.0 - equity / totals[PEAK]


@njit(cache=True)
def _next_decision(
    step: int, minimum_holding: int, full: bool, first_bar: IntArray, step_of: IntArray, bar_at: IntArray,
    first_word: IntArray, decisions: WordArray, book: FloatArray,
) -> int:  # fmt: skip
    """Return the first step from `step` on whose rules may change something; the number of steps when none does.

    That is an exit of what is held and an entry of what is not. While all positions are taken (`full`) an entry is
    dropped at the next step's open, unless an exit comes before, which is found by itself; so it counts only where its
    market has no candle at the next step.
    """
    steps = bar_at.shape[1]
    soonest = steps
    for held in (True, False):
        for market in range(len(book)):
            side = book[market, SIDE]
            if (side != 0.0) != held:
                continue
            begin = first_bar[market]
            bars = first_bar[market + 1] - begin
            newest = bar_at[market, step]
            start = 0 if newest < 0 else newest - begin + (0 if step_of[newest] == step else 1)
            if held:
                start = max(start, int(book[market, ENTRY_BAR]) - begin + minimum_holding)
            words = slice(first_word[market], first_word[market + 1])
            for rule in range(len(decisions)):
                matters = rule == (1 if side > 0.0 else 3) if held else rule % 2 == 0
                if not matters:
                    continue
                bar = next_set_bit(decisions[rule, words], start, bars)
                while full and not held and bar < bars - 1 and step_of[begin + bar] < soonest:
                    if step_of[begin + bar + 1] > step_of[begin + bar] + 1:
                        break
                    bar = next_set_bit(decisions[rule, words], bar + 1, bars)
                if bar < bars - 1:
                    soonest = min(soonest, step_of[begin + bar])
    return soonest


@njit(cache=True)
def _hold(
    first: int, end: int, closes: FloatArray, bar_at: IntArray, book: FloatArray, totals: FloatArray,
    daily_equity: FloatArray, day_ends: IntArray, curve: FloatArray, capital: float, day: int,
) -> int:  # fmt: skip
    """Mark the closes of the steps from `first` to before `end`, on which nothing is traded; return the next day."""
    markets, days, draws = len(book), len(daily_equity), len(curve) > 0
    point, peak, peak_step, drawdown = totals[POINT], totals[PEAK], totals[PEAK_STEP], totals[DRAWDOWN]
    mean, squared, downside = totals[MEAN], totals[SQUARED], totals[DOWNSIDE]
    lowest = (1.0 - drawdown) * peak
    for step in range(first, end):
        equity = totals[FREE]
        for market in range(markets):
            if book[market, SIDE] != 0.0:
                price = closes[bar_at[market, step]]
                equity += max(book[market, OWN_CASH] + book[market, QUANTITY] * price, 0.0)
        while day < days and day_ends[day] < step:
            daily_equity[day] = point / capital
            day += 1
        if draws:
            curve[step] = equity / capital
        change = equity / point - 1.0 if point > 0.0 else 0.0
        mean += change
        squared += change * change
        downside += change * change if change < 0.0 else 0.0
        point = equity
        if equity > peak:
            totals[LONGEST] = max(totals[LONGEST], step - peak_step)
            peak, peak_step = equity, float(step)
            lowest = (1.0 - drawdown) * peak
        elif equity < lowest:
            drawdown = 1.0 - equity / peak
            lowest = (1.0 - drawdown) * peak
    totals[POINT], totals[PEAK], totals[PEAK_STEP], totals[DRAWDOWN] = point, peak, peak_step, drawdown
    totals[MEAN], totals[SQUARED], totals[DOWNSIDE] = mean, squared, downside
    return day


@njit(cache=True, nogil=True)
def trade_account(  # noqa: C901 - the phases of one step, each a few lines
    prices: PoolPrices,
    terms: Terms,
    stops: StopLevels,
    first_word: IntArray,
    decisions: WordArray,
    minimum_holding: int,
    positions: int,
    fraction: float,
    outcome: FloatArray,
    daily_equity: FloatArray,
    trades: FloatArray,
    curve: FloatArray,
) -> int:
    """Run one backtest; return the number of trades.

    `decisions` is (2 or 4 rules, words): settled bit sets (enter, exit, short enter, short exit), those of market m in
    the words `first_word[m]` to `first_word[m + 1]`. At most `positions` are held, each entered with `fraction` of the
    equity. Writes `walk.OUTCOME_FIELDS`, where a position counts with its fraction in exposure and sides traded; equity
    at the day ends and, unless `curve` has no rows, after each step, from a start of one; and the first rows of
    `ACCOUNT_TRADE_FIELDS`.
    """
    # Local names: reading an array out of a tuple counts a reference each time, many times the cost of a step.
    opens, highs, lows, closes, volumes = prices.open, prices.high, prices.low, prices.close, prices.volume
    first_bar, step_of, bar_at, step_time = prices.first_bar, prices.step_of, prices.bar_at, prices.step_time
    day_ends, bar_ms = prices.day_ends, prices.bar_ms
    slippage, fee, tiers, frictions = terms.slippage, terms.fee, terms.tiers, terms.frictions
    stop_loss, take_profit, trailing_stop = stops.stop_loss, stops.take_profit, stops.trailing_stop
    trail_distance, follows_range = stops.trail_distance, len(stops.trail_distance) > 0
    follows = follows_range or trailing_stop > 0.0
    both_sides = len(decisions) > 2
    funded = bool(np.any(frictions[:, LONG_FUNDING] != 0.0) or np.any(frictions[:, SHORT_FUNDING] != 0.0))
    steps, markets = len(step_time), len(first_bar) - 1
    capital = terms.starting_capital
    book, totals, traded = np.zeros((markets, BOOK_COLUMNS)), np.zeros(TOTALS), np.zeros(TRADED_DAYS)
    totals[FREE] = totals[POINT] = totals[PEAK] = capital
    totals[FEE], totals[FEE_DAY] = fee, -1.0
    # Whether an order can be filled: there is a candle, and under market impact it has volume.
    fills = np.zeros(markets, dtype=np.bool_)
    day, days, drawn, step = 0, len(daily_equity), 0, 0
    while step < steps:
        if totals[WAITING] == 0.0 and not (funded and totals[HELD] > 0.0):
            if totals[HELD] == 0.0 and totals[FREE] < RUIN * capital:
                break
            full = totals[HELD] >= positions
            upcoming = _next_decision(
                step, minimum_holding, full, first_bar, step_of, bar_at, first_word, decisions, book
            )  # fmt: skip
            if totals[HELD] > 0.0 and upcoming > step:
                # The second round carries trailing stops to the end that all markets agree on.
                for keep in (False, True):
                    for market in range(markets):
                        if book[market, SIDE] == 0.0:
                            continue
                        needs_volume, last_bar = frictions[market, PARTICIPATION] > 0.0, first_bar[market + 1] - 1
                        if follows:
                            upcoming = next_trailing_stop(
                                step, upcoming, opens, highs, lows, volumes, step_of, bar_at, trail_distance,
                                stop_loss, take_profit, trailing_stop, needs_volume, market, last_bar, book, keep,
                            )  # fmt: skip
                        elif not keep:
                            upcoming = next_fixed_stop(
                                step, upcoming, highs, lows, volumes, step_of, bar_at, stop_loss, take_profit,
                                needs_volume, market, last_bar, book,
                            )  # fmt: skip
                if len(curve) > 0:
                    curve[drawn:step] = totals[POINT] / capital
                    drawn = upcoming
                day = _hold(
                    step, upcoming, closes, bar_at, book, totals, daily_equity, day_ends, curve, capital, day
                )  # fmt: skip
                totals[EXPOSURE] += totals[HELD] * fraction * (upcoming - step)
            step = upcoming
            if step >= steps:
                break
        while day < days and day_ends[day] < step:
            daily_equity[day] = totals[POINT] / capital
            day += 1
        if len(curve) > 0:
            curve[drawn:step] = totals[POINT] / capital
            drawn = step

        changed = totals[HELD] > 0.0
        leaves = False
        for market in range(markets):
            bar = bar_at[market, step]
            fills[market] = (
                bar >= 0 and step_of[bar] == step and (frictions[market, PARTICIPATION] == 0.0 or volumes[bar] > 0.0)
            )
            if book[market, LEAVING] != 0.0 and fills[market]:
                close_position(
                    market, bar, first_bar[market], step_time[step], opens[bar], volumes[bar], SIGNAL, fraction,
                    slippage, fee, tiers, frictions, book, totals, traded, trades,
                )  # fmt: skip
                leaves = True
        if leaves or totals[WAITING] > 0.0:
            equity = _equity_at_opens(step, opens, closes, step_of, bar_at, book, totals)
            if leaves:
                _point(step, equity, totals)
            for market in range(markets):
                side = book[market, ORDER]
                if side != 0.0 and fills[market]:
                    stake = min(equity * fraction, totals[FREE])
                    if totals[HELD] < positions and stake >= RUIN * capital:
                        bar = bar_at[market, step]
                        open_position(
                            market, bar, step_time[step], opens[bar], volumes[bar], side, stake, equity,
                            slippage, fee, tiers, frictions, book, totals, traded,
                        )  # fmt: skip
                        if follows_range and book[market, SIDE] != 0.0:
                            book[market, RATCHET] = opens[bar] - side * trail_distance[bar - 1]
                    book[market, ORDER] = 0.0
                    totals[WAITING] -= 1.0

        if changed or totals[HELD] > 0.0:
            for market in range(markets):
                side = book[market, SIDE]
                if side == 0.0:
                    continue
                bar = bar_at[market, step]
                if fills[market]:
                    price, reason = stop_on(
                        bar > book[market, ENTRY_BAR], opens[bar], highs[bar], lows[bar], side,
                        book[market, ENTRY_PRICE], -book[market, OWN_CASH] / book[market, QUANTITY],
                        book[market, EXTREME], book[market, RATCHET], stop_loss, take_profit, trailing_stop,
                    )  # fmt: skip
                    if reason != SIGNAL:
                        close_position(
                            market, bar, first_bar[market], step_time[step], price, volumes[bar], reason, fraction,
                            slippage, fee, tiers, frictions, book, totals, traded, trades,
                        )  # fmt: skip
                        changed = True
                        continue
                    distance = trail_distance[bar] if follows_range else np.nan
                    book[market, EXTREME], book[market, RATCHET] = follow(
                        highs[bar] if side > 0.0 else lows[bar], side, distance, book[market, EXTREME],
                        book[market, RATCHET],
                    )  # fmt: skip
                rate = frictions[market, LONG_FUNDING if side > 0.0 else SHORT_FUNDING]
                if rate != 0.0:
                    charge(closes[bar], rate, step_time[step] + bar_ms, book[market])
            if changed or totals[HELD] > 0.0:
                # In the order of `_hold`: how the steps are cut must not change a bit.
                equity = totals[FREE]
                for market in range(markets):
                    if book[market, SIDE] != 0.0:
                        price = closes[bar_at[market, step]]
                        equity += max(book[market, OWN_CASH] + book[market, QUANTITY] * price, 0.0)
                _point(step, equity, totals)
                totals[EXPOSURE] += totals[HELD] * fraction

        for market in range(markets):
            bar = bar_at[market, step]
            if not (0 <= bar < first_bar[market + 1] - 1 and step_of[bar] == step):
                continue
            place = bar - first_bar[market]
            word, bit = first_word[market] + (place >> 6), np.uint64(1) << np.uint64(place & 63)
            leaves_long = decisions[1, word] & bit != 0
            leaves_short = both_sides and decisions[3, word] & bit != 0
            side = book[market, SIDE]
            if side != 0.0:
                said = leaves_long if side > 0.0 else leaves_short
                if said and book[market, LEAVING] == 0.0 and bar - book[market, ENTRY_BAR] >= minimum_holding:
                    book[market, LEAVING] = 1.0
                    totals[WAITING] += 1.0
                if book[market, LEAVING] == 0.0:
                    continue
            before = book[market, ORDER]
            if decisions[0, word] & bit != 0:
                book[market, ORDER] = 1.0
            elif both_sides and decisions[2, word] & bit != 0:
                book[market, ORDER] = -1.0
            elif (before > 0.0 and leaves_long) or (before < 0.0 and leaves_short):
                book[market, ORDER] = 0.0
            totals[WAITING] += abs(book[market, ORDER]) - abs(before)
        step += 1

    for market in range(markets):
        if book[market, SIDE] != 0.0:
            bar = bar_at[market, steps - 1]
            close_position(
                market, bar, first_bar[market], step_time[steps - 1], closes[bar], volumes[bar], OPEN, fraction,
                slippage, fee, tiers, frictions, book, totals, traded, trades,
            )  # fmt: skip
    daily_equity[day:] = totals[POINT] / capital
    curve[drawn:] = totals[POINT] / capital
    _write_outcome(steps, capital, totals, outcome)
    return int(totals[COUNT])


@njit(cache=True)
def _write_outcome(steps: int, capital: float, totals: FloatArray, outcome: FloatArray) -> None:
    """Write `walk.OUTCOME_FIELDS`, money in units of the starting equity."""
    outcome[0] = totals[POINT] / capital
    outcome[1] = totals[DRAWDOWN]
    outcome[2] = max(totals[LONGEST], steps - 1 - totals[PEAK_STEP]) if steps > 0 else 0.0
    outcome[3], outcome[4] = totals[COUNT], totals[WINS]
    outcome[5], outcome[6] = totals[PROFIT] / capital, totals[LOSS] / capital
    outcome[7], outcome[8] = totals[EXPOSURE], totals[TRADED_SIDES]
    mean = totals[MEAN] / steps if steps > 0 else 0.0
    outcome[9] = mean
    outcome[10] = max(totals[SQUARED] / steps - mean * mean, 0.0) if steps > 0 else 0.0
    outcome[11] = totals[DOWNSIDE] / steps if steps > 0 else 0.0
