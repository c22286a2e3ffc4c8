"""Stops of one position of the shared account: on one bar, and the next bar that meets one."""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.backtest.account_positions import ENTRY_BAR, ENTRY_PRICE, EXTREME, OWN_CASH, QUANTITY, RATCHET, SIDE
from alpharay.backtest.holdings import LIQUIDATION, SIGNAL, STOP_LOSS, TAKE_PROFIT, TRAILING_STOP
from alpharay.market.candles import FloatArray, IntArray


@njit(cache=True)
def stop_on(
    later: bool, opened: float, high: float, low: float, side: float, entry: float, liquidation: float, extreme: float,
    ratchet: float, stop_loss: float, take_profit: float, trailing_stop: float,
) -> tuple[float, int]:  # fmt: skip
    """Return (price, reason) of the stop that a position meets on a bar, `later` than its entry bar or not.

    The reason is SIGNAL when it meets none. `extreme` and `ratchet` are those of the bar before.
    """
    adverse, reason = liquidation, LIQUIDATION
    if stop_loss > 0.0 and side * (entry * (1.0 - side * stop_loss)) >= side * adverse:
        adverse, reason = entry * (1.0 - side * stop_loss), STOP_LOSS
    if trailing_stop > 0.0 and side * (extreme * (1.0 - side * trailing_stop)) > side * adverse:
        adverse, reason = extreme * (1.0 - side * trailing_stop), TRAILING_STOP
    # A distance that is not known yet is NaN, and no comparison with it holds.
    if side * ratchet > side * adverse:
        adverse, reason = ratchet, TRAILING_STOP
    target = entry * (1.0 + side * take_profit) if take_profit > 0.0 else side * np.inf
    against, favourable = (low, high) if side > 0.0 else (high, low)
    if later and side * opened <= side * adverse:
        return opened, reason
    if later and side * opened >= side * target:
        return opened, TAKE_PROFIT
    if side * against <= side * adverse:
        return adverse, reason
    if side * favourable >= side * target:
        return target, TAKE_PROFIT
    return 0.0, SIGNAL


@njit(cache=True)
def next_fixed_stop(
    step: int, end: int, highs: FloatArray, lows: FloatArray, volumes: FloatArray, step_of: IntArray,
    bar_at: IntArray, stop_loss: float, take_profit: float, needs_volume: bool, market: int, last_bar: int,
    book: FloatArray,
) -> int:  # fmt: skip
    """Return the first step from `step` to before `end` on which a position meets a stop; `end` when it meets none."""
    side, entry = book[market, SIDE], book[market, ENTRY_PRICE]
    adverse = -book[market, OWN_CASH] / book[market, QUANTITY]
    if stop_loss > 0.0 and side * (entry * (1.0 - side * stop_loss)) >= side * adverse:
        adverse = entry * (1.0 - side * stop_loss)
    target = entry * (1.0 + side * take_profit) if take_profit > 0.0 else side * np.inf
    lower, upper = (adverse, target) if side > 0.0 else (target, adverse)
    # No price is below zero: a long without stops has nothing to meet.
    if lower <= 0.0 and upper == np.inf:
        return end
    bar = bar_at[market, step]
    if step_of[bar] < step:
        bar += 1
    while bar <= last_bar and step_of[bar] < end:
        if (lows[bar] <= lower or highs[bar] >= upper) and (not needs_volume or volumes[bar] > 0.0):
            return step_of[bar]
        bar += 1
    return end


@njit(cache=True)
def next_trailing_stop(
    step: int, end: int, opens: FloatArray, highs: FloatArray, lows: FloatArray, volumes: FloatArray,
    step_of: IntArray, bar_at: IntArray, trail_distance: FloatArray, stop_loss: float, take_profit: float,
    trailing_stop: float, needs_volume: bool, market: int, last_bar: int, book: FloatArray, keep: bool,
) -> int:  # fmt: skip
    """Do as `next_fixed_stop`; with `keep` carry the stops that follow the price to there."""
    side, entry_bar, entry = book[market, SIDE], book[market, ENTRY_BAR], book[market, ENTRY_PRICE]
    liquidation = -book[market, OWN_CASH] / book[market, QUANTITY]
    extreme, ratchet = book[market, EXTREME], book[market, RATCHET]
    bar = bar_at[market, step]
    if step_of[bar] < step:
        bar += 1
    while bar <= last_bar and step_of[bar] < end:
        if not needs_volume or volumes[bar] > 0.0:
            _, reason = stop_on(
                bar > entry_bar, opens[bar], highs[bar], lows[bar], side, entry, liquidation, extreme, ratchet,
                stop_loss, take_profit, trailing_stop,
            )  # fmt: skip
            if reason != SIGNAL:
                end = step_of[bar]
                break
            distance = trail_distance[bar] if len(trail_distance) > 0 else np.nan
            extreme, ratchet = follow(highs[bar] if side > 0.0 else lows[bar], side, distance, extreme, ratchet)
        bar += 1
    if keep:
        book[market, EXTREME], book[market, RATCHET] = extreme, ratchet
    return end


@njit(cache=True)
def follow(reached: float, side: float, distance: float, extreme: float, ratchet: float) -> tuple[float, float]:
    """Return the best price so far and the ratchet of an ATR trail after a bar that reached `reached`."""
    if side * reached > side * extreme:
        extreme = reached
    tighter = reached - side * distance
    # NaN is a distance that is off or not known yet.
    if not side * tighter <= side * ratchet and tighter == tighter:
        ratchet = tighter
    return extreme, ratchet
