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

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from alpharay.backtest.bits import WordArray, next_set_bit
from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.pool_tables import PoolPrices, PoolTables
from alpharay.backtest.stops import Stops
from alpharay.backtest.walk import (
    LIQUIDATION,
    OPEN,
    RUIN,
    SIGNAL,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    StopLevels,
    stop_levels_of,
)
from alpharay.market.candles import FloatArray, IntArray
from alpharay.market.timeframe import DAY_MS

HOUR_MS = 3_600_000

ROUNDING = 1e-9
"""A price or a quantity this share of a tick or a lot away from one is on it."""

ACCOUNT_TRADE_FIELDS = (
    "market",
    "side",
    "entry_bar",
    "exit_bar",
    "entry_price",
    "exit_price",
    "equity_before",
    "reason",
    "quantity",
    "entry_fill",
    "exit_fill",
    "paid",
    "received",
    "fees",
    "funding",
)
"""The columns of a recorded trade: bars of its own market, prices before slippage, fills after it, money."""


class Terms(NamedTuple):
    """Costs and frictions as the compiled code takes them; zero is off."""

    slippage: float
    fee: float
    starting_capital: float
    tiers: FloatArray
    """(tiers, 2): volume and fee."""
    frictions: FloatArray
    """(markets, 7)."""


# The columns of `Terms.frictions`; funding is the share of the position's value a millisecond.
IMPACT, PARTICIPATION, TICK, LOT, MINIMUM_NOTIONAL, LONG_FUNDING, SHORT_FUNDING = range(7)

# The columns of the book, one row a market.
SIDE, QUANTITY, OWN_CASH, PAID, ENTRY_BAR, ENTRY_PRICE, ENTRY_FILL, EQUITY_BEFORE = range(8)
EXTREME, RATCHET, CHARGED_UNTIL, FEES, FUNDED, ORDER, LEAVING = range(8, 15)
BOOK_COLUMNS = 15
"""Quantity is below zero in a short. A position's own cash is a short's stake and proceeds, less the funding. An order
is the side of an entry that waits for its fill."""

# The places of the account's totals.
FREE, POINT, PEAK, PEAK_STEP, DRAWDOWN, LONGEST, MEAN, SQUARED, DOWNSIDE, COUNT, WINS, PROFIT, LOSS = range(13)
TRADED_SIDES, HELD, WAITING, EXPOSURE, FEE, FEE_DAY = range(13, 19)
TOTALS = 19

TRADED_DAYS = 31
"""Days whose traded money is kept: thirty, and the one that runs."""


def terms_of(costs: Costs, frictions: Sequence[Frictions | None], tables: PoolTables) -> Terms:
    """Return the kernel's view of costs and frictions, one of these for each market.

    Raises ValueError when their number differs from the markets', when they do not agree on what belongs to the whole
    account, or when a tick is larger than a price.
    """
    if len(frictions) != len(tables.markets):
        raise ValueError(
            f"frictions must be one, or one for each of {len(tables.markets)} markets, was {len(frictions)}"
        )
    first = frictions[0]
    for one, market in zip(frictions, tables.markets, strict=True):
        if (one is None) != (first is None):
            raise ValueError("frictions must be given for every market or for none, was None for some")
        if one is None or first is None:
            continue
        for name in ("starting_capital", "fee_tiers"):
            if getattr(one, name) != getattr(first, name):
                raise ValueError(f"{name} must be the same for all markets, was {getattr(one, name)} for one of them")
        lowest = float(market.candles.low.min(initial=np.inf))
        if one.tick_size is not None and one.tick_size > lowest:
            raise ValueError(
                f"tick_size must be at most the lowest price {lowest} of {market.candles.symbol}, was {one.tick_size}"
            )
    given = [one if one is not None else Frictions(starting_capital=1.0) for one in frictions]
    return Terms(
        slippage=costs.slippage,
        fee=costs.fee,
        starting_capital=given[0].starting_capital,
        tiers=np.array([(tier.volume, tier.fee) for tier in given[0].fee_tiers], dtype=np.float64).reshape(-1, 2),
        frictions=np.array([_friction_row(one) for one in given]),
    )


def _friction_row(frictions: Frictions) -> tuple[float, ...]:
    impact, funding = frictions.impact, frictions.funding
    period = funding.hours * HOUR_MS if funding else 1.0
    return (
        impact.coefficient if impact else 0.0,
        impact.participation if impact else 0.0,
        frictions.tick_size or 0.0,
        frictions.lot_size or 0.0,
        frictions.minimum_notional or 0.0,
        funding.long / period if funding else 0.0,
        funding.short / period if funding else 0.0,
    )


def pool_stop_levels(stops: Stops, tables: PoolTables) -> StopLevels:
    """Return the kernel's view of `stops`, the distances of an ATR trail of all markets one after the other."""
    levels = [stop_levels_of(stops, market.candles, both_sides=True) for market in tables.markets]
    known = [one for one in levels if one is not None]
    return known[0]._replace(trail_distance=np.concatenate([one.trail_distance for one in known]))


@njit(cache=True)
def _fee_on(day: int, fee: float, tiers: FloatArray, totals: FloatArray, traded: FloatArray) -> float:
    """Return the fee of a UTC day: the tier of the money traded on the 30 days before it."""
    if len(tiers) == 0:
        return fee
    before = int(totals[FEE_DAY])
    if day != before:
        for cleared in range(max(before + 1, day - TRADED_DAYS + 1), day + 1):
            traded[cleared % TRADED_DAYS] = 0.0
        volume = 0.0
        for past in range(max(day - TRADED_DAYS + 1, 0), day):
            volume += traded[past % TRADED_DAYS]
        totals[FEE], totals[FEE_DAY] = fee, day
        for tier in range(len(tiers)):
            if volume >= tiers[tier, 0]:
                totals[FEE] = tiers[tier, 1]
    return float(totals[FEE])


@njit(cache=True)
def _fill_price(
    price: float, buys: bool, quantity: float, volume: float, slippage: float, impact: float, tick: float
) -> float:
    """Return what the trader gets or pays for a unit: slippage, impact, then the tick that is worse."""
    if impact > 0.0:
        slippage += impact * np.sqrt(quantity / volume)
    filled = price * (1.0 + slippage) if buys else price * max(1.0 - slippage, 0.0)
    if tick > 0.0:
        ticks = filled / tick
        filled = tick * (np.ceil(ticks - ROUNDING) if buys else np.floor(ticks + ROUNDING))
    return filled


@njit(cache=True)
def _charge(price: float, rate: float, time: int, position: FloatArray) -> None:
    """Charge the funding since the last charge on the position at `price`."""
    if rate != 0.0 and time > position[CHARGED_UNTIL]:
        due = abs(position[QUANTITY]) * price * rate * (time - position[CHARGED_UNTIL])
        position[OWN_CASH] -= due
        position[FUNDED] += due
        position[CHARGED_UNTIL] = time


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
def _open_position(
    market: int, bar: int, time: int, price: float, volume: float, side: float, stake: float, equity: float,
    slippage: float, fee: float, tiers: FloatArray, frictions: FloatArray, book: FloatArray, totals: FloatArray,
    traded: FloatArray,
) -> None:  # fmt: skip
    """Enter at `price` with at most `stake`; nothing happens where it buys less than a lot or too small an order."""
    impact, participation, tick = frictions[market, IMPACT], frictions[market, PARTICIPATION], frictions[market, TICK]
    day = time // DAY_MS
    kept = 1.0 - _fee_on(day, fee, tiers, totals, traded)
    long = side > 0.0
    quantity = stake * kept / (price * (1.0 + slippage)) if long else stake / price
    if participation > 0.0:
        quantity = min(quantity, participation * volume)
    if long and (impact > 0.0 or tick > 0.0):
        quantity = min(quantity, stake * kept / _fill_price(price, True, quantity, volume, slippage, impact, tick))
    lot = frictions[market, LOT]
    if lot > 0.0:
        quantity = lot * np.floor(quantity / lot + ROUNDING)
    if quantity <= 0.0:
        return
    # Fewer units than asked about at first move the price less, so the stake still pays for them.
    filled = _fill_price(price, long, quantity, volume, slippage, impact, tick)
    if quantity * filled < frictions[market, MINIMUM_NOTIONAL]:
        return
    paid = min(quantity * filled / kept if long else quantity * price, stake)
    totals[FREE] -= paid
    totals[HELD] += 1.0
    traded[day % TRADED_DAYS] += quantity * filled
    position = book[market]
    position[SIDE], position[QUANTITY], position[PAID] = side, side * quantity, paid
    position[OWN_CASH] = 0.0 if long else paid + quantity * filled * kept
    position[FEES] = paid - quantity * filled if long else quantity * filled * (1.0 - kept)
    position[ENTRY_BAR], position[ENTRY_PRICE], position[ENTRY_FILL] = bar, price, filled
    position[EQUITY_BEFORE], position[EXTREME], position[RATCHET] = equity, price, np.nan
    position[CHARGED_UNTIL], position[FUNDED], position[LEAVING] = time, 0.0, 0.0


@njit(cache=True)
def _close_position(
    market: int, bar: int, begin: int, time: int, price: float, volume: float, reason: int, fraction: float,
    slippage: float, fee: float, tiers: FloatArray, frictions: FloatArray, book: FloatArray, totals: FloatArray,
    traded: FloatArray, trades: FloatArray,
) -> None:  # fmt: skip
    """Leave at `price`, or only count the position where `reason` is OPEN."""
    position = book[market]
    side, quantity, paid = position[SIDE], abs(position[QUANTITY]), position[PAID]
    long, filled = side > 0.0, price
    if reason == OPEN:
        received = max(position[OWN_CASH] + position[QUANTITY] * price, 0.0)
    elif reason == LIQUIDATION:
        received = 0.0
    else:
        _charge(price, frictions[market, LONG_FUNDING if long else SHORT_FUNDING], time, position)
        impact, tick = frictions[market, IMPACT], frictions[market, TICK]
        filled = _fill_price(price, not long, quantity, volume, slippage, impact, tick)
        day = time // DAY_MS
        kept = 1.0 - _fee_on(day, fee, tiers, totals, traded)
        exchanged = quantity * filled * kept if long else -quantity * filled / kept
        received = max(position[OWN_CASH] + exchanged, 0.0)
        position[FEES] += abs(quantity * filled - abs(exchanged))
        traded[day % TRADED_DAYS] += quantity * filled
    profit = received - paid
    if profit > 0.0:
        totals[WINS] += 1.0
        totals[PROFIT] += profit
    else:
        totals[LOSS] -= profit
    count = int(totals[COUNT])
    if count < len(trades):
        trades[count, 0], trades[count, 1] = market, side
        trades[count, 2], trades[count, 3] = position[ENTRY_BAR] - begin, bar - begin
        trades[count, 4], trades[count, 5] = position[ENTRY_PRICE], price
        trades[count, 6], trades[count, 7] = position[EQUITY_BEFORE], reason
        trades[count, 8], trades[count, 9], trades[count, 10] = quantity, position[ENTRY_FILL], filled
        trades[count, 11], trades[count, 12] = paid, received
        trades[count, 13], trades[count, 14] = position[FEES], position[FUNDED]
    totals[COUNT] += 1.0
    totals[TRADED_SIDES] += fraction if reason == OPEN else 2.0 * fraction
    if reason != OPEN:
        totals[FREE] += received
        totals[HELD] -= 1.0
        totals[WAITING] -= position[LEAVING]
        position[SIDE], position[QUANTITY], position[LEAVING] = 0.0, 0.0, 0.0


@njit(cache=True)
def _stop_on(
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
def _next_fixed_stop(
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
def _next_trailing_stop(
    step: int, end: int, opens: FloatArray, highs: FloatArray, lows: FloatArray, volumes: FloatArray,
    step_of: IntArray, bar_at: IntArray, trail_distance: FloatArray, stop_loss: float, take_profit: float,
    trailing_stop: float, needs_volume: bool, market: int, last_bar: int, book: FloatArray, keep: bool,
) -> int:  # fmt: skip
    """Do as `_next_fixed_stop`; with `keep` carry the stops that follow the price to there."""
    side, entry_bar, entry = book[market, SIDE], book[market, ENTRY_BAR], book[market, ENTRY_PRICE]
    liquidation = -book[market, OWN_CASH] / book[market, QUANTITY]
    extreme, ratchet = book[market, EXTREME], book[market, RATCHET]
    bar = bar_at[market, step]
    if step_of[bar] < step:
        bar += 1
    while bar <= last_bar and step_of[bar] < end:
        if not needs_volume or volumes[bar] > 0.0:
            _, reason = _stop_on(
                bar > entry_bar, opens[bar], highs[bar], lows[bar], side, entry, liquidation, extreme, ratchet,
                stop_loss, take_profit, trailing_stop,
            )  # fmt: skip
            if reason != SIGNAL:
                end = step_of[bar]
                break
            distance = trail_distance[bar] if len(trail_distance) > 0 else np.nan
            extreme, ratchet = _follow(highs[bar] if side > 0.0 else lows[bar], side, distance, extreme, ratchet)
        bar += 1
    if keep:
        book[market, EXTREME], book[market, RATCHET] = extreme, ratchet
    return end


@njit(cache=True)
def _follow(reached: float, side: float, distance: float, extreme: float, ratchet: float) -> tuple[float, float]:
    """Return the best price so far and the ratchet of an ATR trail after a bar that reached `reached`."""
    if side * reached > side * extreme:
        extreme = reached
    tighter = reached - side * distance
    # NaN is a distance that is off or not known yet.
    if not side * tighter <= side * ratchet and tighter == tighter:
        ratchet = tighter
    return extreme, ratchet


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
                            upcoming = _next_trailing_stop(
                                step, upcoming, opens, highs, lows, volumes, step_of, bar_at, trail_distance,
                                stop_loss, take_profit, trailing_stop, needs_volume, market, last_bar, book, keep,
                            )  # fmt: skip
                        elif not keep:
                            upcoming = _next_fixed_stop(
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
                _close_position(
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
                        _open_position(
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
                    price, reason = _stop_on(
                        bar > book[market, ENTRY_BAR], opens[bar], highs[bar], lows[bar], side,
                        book[market, ENTRY_PRICE], -book[market, OWN_CASH] / book[market, QUANTITY],
                        book[market, EXTREME], book[market, RATCHET], stop_loss, take_profit, trailing_stop,
                    )  # fmt: skip
                    if reason != SIGNAL:
                        _close_position(
                            market, bar, first_bar[market], step_time[step], price, volumes[bar], reason, fraction,
                            slippage, fee, tiers, frictions, book, totals, traded, trades,
                        )  # fmt: skip
                        changed = True
                        continue
                    distance = trail_distance[bar] if follows_range else np.nan
                    book[market, EXTREME], book[market, RATCHET] = _follow(
                        highs[bar] if side > 0.0 else lows[bar], side, distance, book[market, EXTREME],
                        book[market, RATCHET],
                    )  # fmt: skip
                rate = frictions[market, LONG_FUNDING if side > 0.0 else SHORT_FUNDING]
                if rate != 0.0:
                    _charge(closes[bar], rate, step_time[step] + bar_ms, book[market])
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
            _close_position(
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
