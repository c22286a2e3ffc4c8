"""What is held, from when to when and why until then: the part of a backtest that no equity enters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from alpharay.backtest.bits import WORD_BITS, WordArray, set_bits, trailing_zeros
from alpharay.backtest.touches import BarArray
from alpharay.market.candles import FloatArray, IntArray

EXIT_REASONS = ("signal", "stop_loss", "take_profit", "trailing_stop", "liquidation", "open")
SIGNAL, STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, LIQUIDATION, OPEN = range(6)

HOLDING = np.dtype(
    [
        ("entry", np.int64),
        ("exit_bar", np.int64),
        ("exit_price", np.float64),
        ("side", np.float64),
        ("reason", np.int64),
    ]
)
"""One holding; the exit bar of what is open at the end is the number of bars."""

POSITION = np.dtype(
    [
        ("side", np.float64),
        ("entry", np.int64),
        ("search", np.int64),
        ("touch", np.int64),
        ("extreme", np.float64),
        ("ratchet", np.float64),
    ]
)
"""Where a walk stands: its side (0 is flat), the entry bar, the bar to look for the next signal from; with stops the
bar of the next touch or, where they trail, the next bar to test, and what the trail has seen."""

RecordArray = npt.NDArray[np.void]

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


class StopLevels(NamedTuple):
    """Stops as the compiled code takes them: fractions of the price, zero where off."""

    stop_loss: float
    take_profit: float
    trailing_stop: float
    trail_distance: FloatArray
    """Distance of the ATR trail at each bar, in price; empty where off."""


class StopSearch(NamedTuple):
    """Stops, and for each entry bar the bar of the first touch: see `first_touches`; empty where the stops trail."""

    levels: StopLevels
    long_touches: BarArray
    short_touches: BarArray


@njit(cache=True, inline="always")
def short_cash(entry_price: float, exit_factor: float) -> float:
    """Return the cash of a short, and the price at which it is worth nothing, for each unit held."""
    return entry_price * (1.0 + exit_factor)


@njit(cache=True)
def stop_prices(
    entry: float, stop_loss: float, take_profit: float, side: float, liquidation: float
) -> tuple[float, float, int]:
    """Return the prices of stop and target, infinitely far where off, and the reason of the first."""
    adverse = entry * (1.0 - side * stop_loss) if stop_loss > 0.0 else (-np.inf if side > 0.0 else np.inf)
    target = entry * (1.0 + side * take_profit) if take_profit > 0.0 else side * np.inf
    if side < 0.0 and liquidation < adverse:
        return liquidation, target, LIQUIDATION
    return adverse, target, STOP_LOSS


@njit(cache=True)
def stop_bounds(
    opens: FloatArray, stop_loss: float, take_profit: float, side: float, exit_factor: float
) -> tuple[FloatArray, FloatArray]:
    """Return for each entry bar the price below and the price above at which the position ends."""
    lower, upper = np.empty((2, len(opens)))
    for bar in range(len(opens)):
        liquidation = short_cash(opens[bar], exit_factor)
        adverse, target, _ = stop_prices(opens[bar], stop_loss, take_profit, side, liquidation)
        lower[bar], upper[bar] = (adverse, target) if side > 0.0 else (target, adverse)
    return lower, upper


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
def _follow_trail(
    opens: FloatArray,
    high: FloatArray,
    low: FloatArray,
    levels: StopLevels,
    exit_factor: float,
    entry: int,
    side: float,
    first: int,
    last: int,
    extreme: float,
    ratchet: float,
) -> tuple[int, float, int, float, float]:
    """Return (bar, fill price, reason) of the first stop on bars `first` to `last`, and what the trail has seen.

    The bar is the one after `last` when none is hit.
    """
    liquidation = short_cash(opens[entry], exit_factor)
    adverse, target, adverse_reason = stop_prices(opens[entry], levels.stop_loss, levels.take_profit, side, liquidation)
    follows_range = len(levels.trail_distance) > 0
    for bar in range(first, last + 1):
        level, reason = adverse, adverse_reason
        if levels.trailing_stop > 0.0:
            trail = extreme * (1.0 - side * levels.trailing_stop)
            if side * trail > side * level:
                level, reason = trail, TRAILING_STOP
        if side * ratchet > side * level:
            level, reason = ratchet, TRAILING_STOP
        price, kind = _fill_of_touch(opens[bar], low[bar], high[bar], bar > entry, side, level, target, reason)
        if kind != SIGNAL:
            return bar, price, kind, extreme, ratchet
        reached = high[bar] if side > 0.0 else low[bar]
        extreme = max(extreme, reached) if side > 0.0 else min(extreme, reached)
        if follows_range:
            tighter = reached - side * levels.trail_distance[bar]
            # A distance that is not known yet is NaN, and no comparison with it holds.
            if not side * tighter <= side * ratchet and tighter == tighter:
                ratchet = tighter
    return max(first, last + 1), 0.0, SIGNAL, extreme, ratchet


@njit(cache=True)
def _list_by_signals(
    opens: FloatArray,
    decisions: WordArray,
    row: int,
    first_word: int,
    last_word: int,
    positions: RecordArray,
    holdings: RecordArray,
    found: int,
) -> int:
    """List what a row holds in some words where signals alone begin and end it; return where its holdings end.

    The side after a bar, `enter or (side and not leave)`, is the carry of an addition: one sum gives those of 64 bars.
    """
    held = positions[row]["side"] != 0.0
    carry = np.uint64(held)
    begun, ended = found + int(held), found
    holdings[found]["entry"] = positions[row]["entry"]
    # What is decided on the last bar has no open to fill at.
    end = len(opens) - 1
    for index in range(last_word - first_word):
        base = (first_word + index) * WORD_BITS
        # Unsigned places: one that may count from the end costs three instructions more.
        word = np.uint64(index)
        enter, leave = decisions[np.uint64(row), 0, word], decisions[np.uint64(row), 1, word]
        if base + WORD_BITS > end:
            real = (np.uint64(1) << np.uint64(end - base)) - np.uint64(1)
            enter, leave = enter & real, leave & real
        before = (~leave + enter + carry) ^ ~leave ^ enter
        starts, stops = enter & ~before, leave & before
        carry = (enter | (before & ~leave)) >> np.uint64(63)
        # The first two without asking: how many there are is what the processor cannot foretell.
        count, end_count = int(set_bits(starts)), int(set_bits(stops))
        for place in range(2):
            holdings[np.uint64(begun + place)]["entry"] = base + int(trailing_zeros(starts)) + 1
            holdings[np.uint64(ended + place)]["exit_bar"] = base + int(trailing_zeros(stops)) + 1
            starts &= starts - np.uint64(1)
            stops &= stops - np.uint64(1)
        for place in range(2, count):
            holdings[np.uint64(begun + place)]["entry"] = base + int(trailing_zeros(starts)) + 1
            starts &= starts - np.uint64(1)
        for place in range(2, end_count):
            holdings[np.uint64(ended + place)]["exit_bar"] = base + int(trailing_zeros(stops)) + 1
            stops &= stops - np.uint64(1)
        begun += count
        ended += end_count
    for place in range(found, ended):
        holding = holdings[np.uint64(place)]
        holding["exit_price"] = opens[np.uint64(holding["exit_bar"])]
        holding["side"] = 1.0
        holding["reason"] = SIGNAL
    positions[row]["side"] = float(begun - ended)
    positions[row]["entry"] = holdings[ended]["entry"]
    return ended


@njit(cache=True, nogil=True)
def list_holdings(  # noqa: C901 - one pass over the words; splitting it would hand the position around
    opens: FloatArray,
    high: FloatArray,
    low: FloatArray,
    exit_factor: float,
    stops: StopSearch,
    decisions: WordArray,
    first_word: int,
    last_word: int,
    minimum_holdings: IntArray,
    first_row: int,
    positions: RecordArray,
    holdings: RecordArray,
    ends: IntArray,
) -> int:
    """List what is held in words `first_word` to `last_word`, a row of `decisions` after the other from `first_row` on.

    `decisions` are those of these words alone.
    Rows are taken while there is room for one holding a bar and one more; returns the row after the last one taken.
    `ends[row]` is where a row's holdings end, the next row's begin. `positions` are carried from call to call.
    """
    # What is decided on the last bar has no open to fill at.
    end = len(opens) - 1
    both_sides = decisions.shape[1] > 2
    loss, target_share, trailing_stop, distance = stops.levels
    long_touches, short_touches = stops.long_touches, stops.short_touches
    trails = trailing_stop > 0.0 or len(distance) > 0
    stopped = trails or len(long_touches) > 0
    room = (last_word - first_word) * WORD_BITS + 1
    found = 0
    row = first_row
    while row < len(positions) and found + room <= len(holdings):
        if not both_sides and not stopped and minimum_holdings[row] == 0:
            found = _list_by_signals(opens, decisions, row, first_word, last_word, positions, holdings, found)
            ends[row] = found
            row += 1
            continue
        side, entry, search = positions[row]["side"], positions[row]["entry"], positions[row]["search"]
        touch, extreme, ratchet = positions[row]["touch"], positions[row]["extreme"], positions[row]["ratchet"]
        for index in range(first_word, last_word):
            base = index * WORD_BITS
            limit = min(base + WORD_BITS, end)
            enter, leave = decisions[row, 0, index - first_word], decisions[row, 1, index - first_word]
            enter_short, leave_short = np.uint64(0), np.uint64(0)
            if both_sides:
                enter_short = decisions[row, 2, index - first_word]
                leave_short = decisions[row, 3, index - first_word]
            while True:
                word = enter | enter_short
                if side != 0.0:
                    word = leave if side > 0.0 else leave_short
                if search > base:
                    word = word & (_ALL << np.uint64(search - base)) if search - base < WORD_BITS else np.uint64(0)
                bar = base + int(trailing_zeros(word))
                if side == 0.0:
                    if bar >= limit:
                        break
                    side = -1.0 if (enter_short >> np.uint64(bar - base)) & np.uint64(1) else 1.0
                    entry = bar + 1
                    search = entry + minimum_holdings[row]
                    if trails:
                        touch, extreme, ratchet = entry, opens[entry], -side * np.inf
                        if len(distance) > 0:
                            ratchet = opens[entry] - side * distance[bar]
                    elif stopped:
                        touch = long_touches[entry] if side > 0.0 else short_touches[entry]
                    continue
                if stopped:
                    # Held on this bar at least: what leaves fills one bar later.
                    held = min(bar, limit)
                    price, reason = 0.0, SIGNAL
                    if trails:
                        touch, price, reason, extreme, ratchet = _follow_trail(
                            opens, high, low, stops.levels, exit_factor, entry, side, touch, held, extreme, ratchet
                        )
                    elif touch <= held:
                        liquidation = short_cash(opens[entry], exit_factor)
                        adverse, target, reason = stop_prices(opens[entry], loss, target_share, side, liquidation)
                        price, reason = _fill_of_touch(
                            opens[touch], low[touch], high[touch], touch > entry, side, adverse, target, reason
                        )
                    if reason != SIGNAL:
                        holdings[found]["entry"] = entry
                        holdings[found]["exit_bar"] = touch
                        holdings[found]["exit_price"] = price
                        holdings[found]["side"] = side
                        holdings[found]["reason"] = reason
                        found += 1
                        side, search = 0.0, touch
                        continue
                if bar >= limit:
                    break
                holdings[found]["entry"] = entry
                holdings[found]["exit_bar"] = bar + 1
                holdings[found]["exit_price"] = opens[bar + 1]
                holdings[found]["side"] = side
                holdings[found]["reason"] = SIGNAL
                found += 1
                side, search = 0.0, bar
        positions[row]["side"], positions[row]["entry"], positions[row]["search"] = side, entry, search
        positions[row]["touch"], positions[row]["extreme"], positions[row]["ratchet"] = touch, extreme, ratchet
        ends[row] = found
        row += 1
    return row
