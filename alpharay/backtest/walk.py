"""One backtest: from signal to signal over bit sets, with every metric, at a cost that flat time does not add to.

Rules of the fill, the same in every engine of this project:

* A rule is decided on the close of bar t and filled at the open of bar t + 1.
* Entry and exit on one bar while flat: no entry. An entry while in a position is dropped. Exits count from the close
  of the entry bar. A short entry while long closes the long and opens the short at the same open, and the mirror.
* A long puts all equity in: scale = equity * entry_factor / open, worth scale * price, and scale * price * exit_factor
  after the exit. A short sells equity / open units and holds that quantity; its proceeds net of costs stay as cash;
  buying a unit back costs price / entry_factor. It is liquidated where its equity reaches zero.
* An exit signal or an opposite entry before bar `entry + minimum_holding` is not followed; stops never wait.
* Stops are searched from the entry bar on. An open beyond the stop fills at the open; the stop is taken before the
  target when one bar holds both; a trailing stop follows the extreme up to the bar before.
* A last open position is marked to the last close. Equity below 1e-9 is ruin and ends trading.
* The equity points are the closes held and the cash after each exit: drawdown runs over these, never over the close
  of an exit bar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from alpharay.backtest.bits import WordArray, leading_zeros, next_set_bit
from alpharay.backtest.costs import Costs
from alpharay.backtest.prefetch import prefetch
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import PriceTables, first_touch
from alpharay.indicators.registry import INDICATORS
from alpharay.market.candles import Candles, FloatArray, IntArray

RUIN = 1e-9

HOLDINGS_LISTED = 64
"""Holdings that are looked up ahead of being settled."""

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

EXIT_REASONS = ("signal", "stop_loss", "take_profit", "trailing_stop", "liquidation", "open")
SIGNAL, STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, LIQUIDATION, OPEN = range(6)


class Prices(NamedTuple):
    """The arrays of `PriceTables` as the compiled code takes them."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    close_ranges: FloatArray
    close_blocks: FloatArray
    stop_ranges: FloatArray
    stop_blocks: FloatArray
    return_sums: FloatArray
    day_ends: IntArray


class Factors(NamedTuple):
    """Costs as the compiled code takes them: see `Costs`."""

    entry: float
    exit: float


class StopLevels(NamedTuple):
    """Stops as the compiled code takes them: fractions of the price, zero where off."""

    stop_loss: float
    take_profit: float
    trailing_stop: float
    trail_distance: FloatArray
    """Distance of the ATR trail at each bar, in price; empty where off."""


def prices_of(tables: PriceTables) -> Prices:
    """Return the kernel's view of `tables`."""
    candles = tables.candles
    return Prices(
        candles.open,
        candles.high,
        candles.low,
        candles.close,
        tables.close_ranges,
        tables.close_blocks,
        tables.stop_ranges,
        tables.stop_blocks,
        tables.return_sums,
        tables.day_ends,
    )


def factors_of(costs: Costs) -> Factors:
    """Return the kernel's view of `costs`."""
    return Factors(costs.entry_factor, costs.exit_factor)


def stop_levels_of(stops: Stops, candles: Candles, *, both_sides: bool) -> StopLevels | None:
    """Return the kernel's view of `stops`; None when nothing has to be searched (a short always may be liquidated)."""
    if stops == NO_STOPS and not both_sides:
        return None
    distance = np.empty(0)
    if stops.atr_trail is not None:
        inputs = (candles.high, candles.low, candles.close)
        distance = stops.atr_trail.multiple * INDICATORS["atr"](*inputs, stops.atr_trail.length)
    return StopLevels(stops.stop_loss or 0.0, stops.take_profit or 0.0, stops.trailing_stop or 0.0, distance)


@njit(cache=True)
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
    drawdown: float,
    longest: int,
) -> tuple[float, int, float, int]:
    """Carry peak and drawdown bar by bar over a holding that makes a new peak; blocks that make none are skipped."""
    bar = first
    while bar <= last:
        if (bar & 63) == 0 and bar + 63 <= last:
            lowest, highest = close_blocks[0, bar >> 6, 0], close_blocks[0, bar >> 6, 1]
            best = scale * (offset + side * (highest if side > 0.0 else lowest))
            if best <= peak:
                worst = scale * (offset + side * (lowest if side > 0.0 else highest))
                if worst < (1.0 - drawdown) * peak:
                    drawdown = 1.0 - worst / peak
                bar += 64
                continue
        value = scale * (offset + side * close[bar])
        if value > peak:
            longest = max(longest, bar - peak_bar)
            peak = value
            peak_bar = bar
        elif value < (1.0 - drawdown) * peak:
            drawdown = 1.0 - value / peak
        bar += 1
    return peak, peak_bar, drawdown, longest


@njit(cache=True)
def _stop_prices(
    entry: float, stop_loss: float, take_profit: float, side: float, liquidation: float
) -> tuple[float, float, int]:
    """Return the prices of stop and target, infinitely far where off, and the reason of the first."""
    adverse = entry * (1.0 - side * stop_loss) if stop_loss > 0.0 else (-np.inf if side > 0.0 else np.inf)
    target = entry * (1.0 + side * take_profit) if take_profit > 0.0 else side * np.inf
    if side < 0.0 and liquidation < adverse:
        return liquidation, target, LIQUIDATION
    return adverse, target, STOP_LOSS


@njit(cache=True)
def _find_stop(
    prices: Prices, stops: StopLevels, first: int, last: int, side: float, liquidation: float
) -> tuple[int, float, int]:
    """Return (bar, fill price, reason) of the first stop on bars `first` to `last`; bar -1 when none is hit."""
    entry = prices.open[first]
    adverse, target, adverse_reason = _stop_prices(entry, stops.stop_loss, stops.take_profit, side, liquidation)
    extreme = entry
    follows_range = len(stops.trail_distance) > 0
    # A distance that is not known yet is NaN, and no comparison with it holds.
    ratchet = entry - side * stops.trail_distance[first - 1] if follows_range else -side * np.inf
    for bar in range(first, last + 1):
        level, reason = adverse, adverse_reason
        if stops.trailing_stop > 0.0:
            trail = extreme * (1.0 - side * stops.trailing_stop)
            if side * trail > side * level:
                level, reason = trail, TRAILING_STOP
        if side * ratchet > side * level:
            level, reason = ratchet, TRAILING_STOP
        price, kind = _fill_of_touch(
            prices.open[bar], prices.low[bar], prices.high[bar], bar > first, side, level, target, reason
        )
        if kind != SIGNAL:
            return bar, price, kind
        reached = prices.high[bar] if side > 0.0 else prices.low[bar]
        extreme = max(extreme, reached) if side > 0.0 else min(extreme, reached)
        if follows_range:
            tighter = reached - side * stops.trail_distance[bar]
            if not side * tighter <= side * ratchet and tighter == tighter:
                ratchet = tighter
    return -1, 0.0, SIGNAL


@njit(cache=True, inline="always")
def _fill_of_touch(
    opened: float,
    low: float,
    high: float,
    held_at_open: bool,
    side: float,
    adverse: float,
    target: float,
    adverse_reason: int,
) -> tuple[float, int]:
    """Return (fill price, reason) on one bar; the reason is SIGNAL when neither level is touched."""
    against = low if side > 0.0 else high
    favourable = high if side > 0.0 else low
    if held_at_open and side * opened <= side * adverse:
        return opened, adverse_reason
    if held_at_open and side * opened >= side * target:
        return opened, TAKE_PROFIT
    if side * against <= side * adverse:
        return adverse, adverse_reason
    if side * favourable >= side * target:
        return target, TAKE_PROFIT
    return 0.0, SIGNAL


@njit(cache=True)
def _list_holdings(  # noqa: C901 - written out for speed, see `walk`
    opens: FloatArray,
    close: FloatArray,
    close_ranges: FloatArray,
    sums: FloatArray,
    exit_factor: float,
    prices: Prices,
    stops: StopLevels | None,
    enter: WordArray,
    leave: WordArray,
    enter_short: WordArray | None,
    leave_short: WordArray | None,
    minimum_holding: int,
    search: int,
    holdings: FloatArray,
) -> tuple[int, int]:
    """Write (side, entry bar, exit bar, exit price, reason) of the next holdings decided from bar `search` on.

    Return how many there are and the bar to search from for more, -1 when there are none. The exit bar of what is open
    at the end is the number of bars.
    """
    bars = len(close)
    # Local names: see `walk`.
    stop_ranges, stop_blocks = prices.stop_ranges, prices.stop_blocks
    stop_loss, take_profit, trails = 0.0, 0.0, False
    if stops is not None:
        stop_loss, take_profit = stops.stop_loss, stops.take_profit
        trails = stops.trailing_stop > 0.0 or len(stops.trail_distance) > 0
    found = 0
    while found < len(holdings):
        decision = next_set_bit(enter, search, bars)
        side = 1.0
        if enter_short is not None:
            decision_short = next_set_bit(enter_short, search, bars)
            if decision_short < decision:
                decision, side = decision_short, -1.0
        if decision >= bars - 1:
            return found, -1
        entry = decision + 1
        if leave_short is not None and side < 0.0:
            signal = next_set_bit(leave_short, entry + minimum_holding, bars)
        else:
            signal = next_set_bit(leave, entry + minimum_holding, bars)
        exit_bar = min(signal + 1, bars)
        reason = SIGNAL if exit_bar < bars else OPEN
        last = exit_bar - 1
        exit_price = opens[exit_bar] if exit_bar < bars else close[last]
        if stops is not None:
            liquidation = _short_cash(opens[entry], exit_factor)
            if trails:
                stop_bar, stop_price, stop_reason = _find_stop(prices, stops, entry, last, side, liquidation)
            else:
                adverse, target, stop_reason = _stop_prices(opens[entry], stop_loss, take_profit, side, liquidation)
                lower, upper = (adverse, target) if side > 0.0 else (target, adverse)
                # The extremes of the blocks round the holding: their table stays in the cache, and most holdings
                # touch nothing. Written out here: see `walk`.
                block, last_block = entry >> 6, last >> 6
                level = 63 - int(leading_zeros(np.uint64(last_block - block + 1)))
                tail = last_block - (1 << level) + 1
                lowest = min(stop_blocks[level, block, 0], stop_blocks[level, tail, 0])
                highest = max(stop_blocks[level, block, 1], stop_blocks[level, tail, 1])
                stop_bar, stop_price = -1, 0.0
                if not (lowest > lower and highest < upper):
                    stop_bar = first_touch(stop_ranges, stop_blocks, entry, last, lower, upper)
                if stop_bar >= 0:
                    low, high = stop_ranges[0, stop_bar, 0], stop_ranges[0, stop_bar, 1]
                    stop_price, stop_reason = _fill_of_touch(
                        opens[stop_bar], low, high, stop_bar > entry, side, adverse, target, stop_reason
                    )
            if stop_bar >= 0:
                exit_bar, exit_price, reason, last = stop_bar, stop_price, stop_reason, stop_bar - 1
        level = min(63 - int(leading_zeros(np.uint64(max(exit_bar - entry, 1)))), 6)
        prefetch(close_ranges, (level * bars + entry) * 2)
        prefetch(close_ranges, (level * bars + exit_bar - (1 << level)) * 2)
        prefetch(sums, (entry + 1) * 3)
        prefetch(sums, exit_bar * 3)
        prefetch(close, entry)
        prefetch(close, exit_bar - 1)
        prefetch(opens, entry)
        holdings[found, 0] = side
        holdings[found, 1] = entry
        holdings[found, 2] = exit_bar
        holdings[found, 3] = exit_price
        holdings[found, 4] = reason
        found += 1
        if reason == OPEN:
            return found, -1
        search = last if reason == SIGNAL else exit_bar
    return found, search


@njit(cache=True, inline="always")
def _short_cash(entry_price: float, exit_factor: float) -> float:
    """Return the cash of a short, and the price at which it is worth nothing, for each unit held."""
    return entry_price * (1.0 + exit_factor)


@njit(cache=True)
def walk(  # noqa: C901 - one pass over the trades; splitting it would hand a dozen running values around
    prices: Prices,
    factors: Factors,
    stops: StopLevels | None,
    enter: WordArray,
    leave: WordArray,
    enter_short: WordArray | None,
    leave_short: WordArray | None,
    minimum_holding: int,
    outcome: FloatArray,
    daily_equity: FloatArray,
    trades: FloatArray,
) -> int:
    """Run one backtest from an equity of one; return the number of trades.

    `enter` and `enter_short` must be clear wherever the same bar also says to leave or to enter the other side, and
    `leave` must be set where `enter_short` is (and the mirror): see `alpharay.backtest.rules.settle_conflicts`. Without
    short words it is long only; what is None is compiled away, not tested a trade. Writes `OUTCOME_FIELDS` to
    `outcome`, equity at each UTC day's end to `daily_equity`, and the first rows of `TRADE_FIELDS` to `trades` (which
    may have no rows).
    """
    # Local names: reading an array out of the tuple counts a reference each time, which would triple the cost.
    opens, close, day_ends = prices.open, prices.close, prices.day_ends
    close_ranges, close_blocks, sums = prices.close_ranges, prices.close_blocks, prices.return_sums
    bars = len(close)
    entry_factor, exit_factor = factors.entry, factors.exit
    equity = 1.0
    peak, peak_bar, drawdown, longest = 1.0, 0, 0.0, 0
    count, wins, sides, exposure = 0, 0, 0, 0
    gross_profit, gross_loss = 0.0, 0.0
    total, total_squared, total_downside = 0.0, 0.0, 0.0
    day, days = 0, len(daily_equity)
    holdings = np.empty((HOLDINGS_LISTED, 5))
    search = 0
    while search >= 0 and equity >= RUIN:
        # What is held, and until when, does not depend on the equity: listed ahead, its prices are on their way from
        # memory while the holdings before it are settled.
        found, search = _list_holdings(
            opens, close, close_ranges, sums, exit_factor, prices, stops, enter, leave, enter_short, leave_short,
            minimum_holding, search, holdings,
        )  # fmt: skip
        for index in range(found):
            if equity < RUIN:
                break
            side = holdings[index, 0]
            entry, exit_bar = int(holdings[index, 1]), int(holdings[index, 2])
            exit_price, reason = holdings[index, 3], int(holdings[index, 4])
            last = min(exit_bar, bars) - 1
            entry_price = opens[entry]
            scale, offset = equity * entry_factor / entry_price, 0.0
            if side < 0.0:
                scale, offset = equity / entry_price, _short_cash(entry_price, exit_factor)

            while day < days and day_ends[day] < entry:
                daily_equity[day] = equity
                day += 1
            while day < days and day_ends[day] <= last:
                daily_equity[day] = scale * (offset + side * close[day_ends[day]])
                day += 1

            before_exit = equity
            if last >= entry:
                if side > 0.0:
                    change = close[entry] * entry_factor / entry_price - 1.0
                    total += change + (sums[last + 1, 0] - sums[entry + 1, 0])
                    total_squared += change * change + (sums[last + 1, 1] - sums[entry + 1, 1])
                    downside = change * change if change < 0.0 else 0.0
                    total_downside += downside + (sums[last + 1, 2] - sums[entry + 1, 2])
                else:
                    value = equity
                    for bar in range(entry, last + 1):
                        now = scale * (offset - close[bar])
                        change = now / value - 1.0
                        total += change
                        total_squared += change * change
                        total_downside += change * change if change < 0.0 else 0.0
                        value = now

                # The extreme closes of the holding, in constant time: two overlapping ranges of bars, and of blocks
                # where it is long. Written out here: handing the tables to an inlined function would double the cost.
                length = last - entry + 1
                level = min(63 - int(leading_zeros(np.uint64(length))), 6)
                tail = last - (1 << level) + 1
                lowest = min(close_ranges[level, entry, 0], close_ranges[level, tail, 0])
                highest = max(close_ranges[level, entry, 1], close_ranges[level, tail, 1])
                if length > 128:
                    first_block, end_block = (entry + 63) >> 6, (last + 1) >> 6
                    level = 63 - int(leading_zeros(np.uint64(end_block - first_block)))
                    tail = end_block - (1 << level)
                    lowest = min(lowest, min(close_blocks[level, first_block, 0], close_blocks[level, tail, 0]))
                    highest = max(highest, max(close_blocks[level, first_block, 1], close_blocks[level, tail, 1]))
                # Rounding is monotone: the extreme price gives the extreme equity to the bit.
                best = scale * (offset + side * (highest if side > 0.0 else lowest))
                worst = scale * (offset + side * (lowest if side > 0.0 else highest))
                if best > peak:
                    peak, peak_bar, drawdown, longest = _climb(
                        close, close_blocks, entry, last, scale, offset, side, peak, peak_bar, drawdown, longest
                    )
                elif worst < (1.0 - drawdown) * peak:
                    drawdown = 1.0 - worst / peak
                before_exit = scale * (offset + side * close[last])
                exposure += last - entry + 1

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
                total += change
                total_squared += change * change
                total_downside += change * change if change < 0.0 else 0.0
                if after > peak:
                    longest = max(longest, exit_bar - peak_bar)
                    peak, peak_bar = after, exit_bar
                elif after < (1.0 - drawdown) * peak:
                    drawdown = 1.0 - after / peak
            profit = after - equity
            if profit > 0.0:
                wins += 1
                gross_profit += profit
            else:
                gross_loss -= profit
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
    while day < days:
        daily_equity[day] = equity
        day += 1
    outcome[0] = equity
    outcome[1] = drawdown
    outcome[2] = max(longest, bars - 1 - peak_bar) if bars > 0 else 0
    outcome[3] = count
    outcome[4] = wins
    outcome[5] = gross_profit
    outcome[6] = gross_loss
    outcome[7] = exposure
    outcome[8] = sides
    mean = total / bars if bars > 0 else 0.0
    outcome[9] = mean
    outcome[10] = max(total_squared / bars - mean * mean, 0.0) if bars > 0 else 0.0
    outcome[11] = total_downside / bars if bars > 0 else 0.0
    return count
