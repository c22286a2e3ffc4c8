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

from alpharay.backtest.bits import WORD_BITS, WordArray
from alpharay.backtest.costs import Costs
from alpharay.backtest.decisions import DECIDED_WORDS
from alpharay.backtest.holdings import (
    HOLDING,
    OPEN,
    POSITION,
    RecordArray,
    StopLevels,
    StopSearch,
    list_holdings,
    stop_bounds,
)
from alpharay.backtest.settlement import Factors, Prices, open_accounts, settle, write_outcomes
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import PriceTables
from alpharay.backtest.touches import first_touches
from alpharay.indicators.registry import INDICATORS
from alpharay.market.candles import Candles, FloatArray, IntArray

TILE_WORDS = DECIDED_WORDS
"""Backtests go through so many words at a time side by side: what they look up in 2,048 bars stays in the cache."""

TILE_BARS = TILE_WORDS * WORD_BITS

NO_LEVELS = StopLevels(0.0, 0.0, 0.0, np.empty(0))


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


def stop_search_of(stops: Stops, candles: Candles, costs: Costs, *, both_sides: bool) -> StopSearch:
    """Return what a walk needs to find its stops."""
    levels = stop_levels_of(stops, candles, both_sides=both_sides)
    touches = [np.empty(0, dtype=np.int32)] * 2
    if levels is None:
        return StopSearch(NO_LEVELS, *touches)
    if stops.trailing_stop is None and stops.atr_trail is None:
        for number, side in enumerate((1.0, -1.0) if both_sides else (1.0,)):
            bounds = stop_bounds(candles.open, levels.stop_loss, levels.take_profit, side, costs.exit_factor)
            touches[number] = first_touches(candles.low, candles.high, *bounds)
    return StopSearch(levels, *touches)


class WalkMemory(NamedTuple):
    """Where the backtests of some rows stand, and where their next holdings are listed."""

    positions: RecordArray
    accounts: RecordArray
    holdings: RecordArray
    ends: IntArray


@njit(cache=True, nogil=True)
def open_walk(rows: int) -> WalkMemory:
    """Return backtests before the first bar, each with an equity of one."""
    return WalkMemory(
        np.zeros(rows, dtype=POSITION),
        open_accounts(rows),
        np.empty(2 * TILE_BARS, dtype=HOLDING),
        np.empty(rows, dtype=np.int64),
    )


@njit(cache=True, nogil=True)
def walk_tile(
    prices: Prices,
    factors: Factors,
    stops: StopSearch,
    decisions: WordArray,
    first_word: int,
    last_word: int,
    minimum_holdings: IntArray,
    memory: WalkMemory,
    daily_equity: FloatArray,
    trades: FloatArray,
) -> None:
    """Run the backtests of all rows through the next words, at most `TILE_WORDS`: those of `decisions`."""
    positions, accounts, holdings, ends = memory
    first_row = 0
    while first_row < len(positions):
        last_row = list_holdings(
            prices.open, prices.high, prices.low, factors.exit, stops, decisions, first_word, last_word,
            minimum_holdings, first_row, positions, holdings, ends,
        )  # fmt: skip
        settle(prices, factors, holdings, ends, first_row, last_row, accounts, daily_equity, trades)
        first_row = last_row


@njit(cache=True, nogil=True)
def close_walk(
    prices: Prices,
    factors: Factors,
    memory: WalkMemory,
    outcome: FloatArray,
    daily_equity: FloatArray,
    trades: FloatArray,
) -> None:
    """Mark open positions to the last close and write `OUTCOME_FIELDS` to `outcome`."""
    positions, accounts, holdings, ends = memory
    bars = len(prices.close)
    for row in range(len(positions)):
        if positions[row]["side"] != 0.0:
            holdings[0]["entry"] = positions[row]["entry"]
            holdings[0]["exit_bar"] = bars
            holdings[0]["exit_price"] = prices.close[bars - 1]
            holdings[0]["side"] = positions[row]["side"]
            holdings[0]["reason"] = OPEN
            ends[row] = 1
            settle(prices, factors, holdings, ends, row, row + 1, accounts, daily_equity, trades)
    write_outcomes(bars, accounts, daily_equity, outcome)


@njit(cache=True, nogil=True)
def walk(
    prices: Prices,
    factors: Factors,
    stops: StopSearch,
    decisions: WordArray,
    minimum_holdings: IntArray,
    outcome: FloatArray,
    daily_equity: FloatArray,
    trades: FloatArray,
) -> None:
    """Run the backtests of all rows of `decisions`, (rows, rules, words), each from an equity of one.

    Entries must be clear wherever the same bar also says to leave or to enter the other side, and a side's exit must
    be set where the other's entry is: see `alpharay.backtest.rules.settle_conflicts`. With two rules it is long only.
    Writes `OUTCOME_FIELDS` to `outcome`, equity at each UTC day's end to `daily_equity`, and the first rows of
    `TRADE_FIELDS` to `trades`, which must have none where there are several backtests.
    """
    memory = open_walk(len(decisions))
    words = decisions.shape[2]
    for first_word in range(0, words, TILE_WORDS):
        last_word = min(first_word + TILE_WORDS, words)
        tile = decisions[:, :, first_word:last_word].copy()
        walk_tile(
            prices, factors, stops, tile, first_word, last_word, minimum_holdings, memory, daily_equity, trades
        )  # fmt: skip
    close_walk(prices, factors, memory, outcome, daily_equity, trades)
