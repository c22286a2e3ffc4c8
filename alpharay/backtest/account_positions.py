"""How the shared account enters and leaves one position: fees by tier, fills, lots, funding."""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.backtest.account_terms import (
    IMPACT,
    LONG_FUNDING,
    LOT,
    MINIMUM_NOTIONAL,
    PARTICIPATION,
    SHORT_FUNDING,
    TICK,
)
from alpharay.backtest.holdings import LIQUIDATION, OPEN
from alpharay.market.candles import FloatArray
from alpharay.market.timeframe import DAY_MS

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
def charge(price: float, rate: float, time: int, position: FloatArray) -> None:
    """Charge the funding since the last charge on the position at `price`."""
    if rate != 0.0 and time > position[CHARGED_UNTIL]:
        due = abs(position[QUANTITY]) * price * rate * (time - position[CHARGED_UNTIL])
        position[OWN_CASH] -= due
        position[FUNDED] += due
        position[CHARGED_UNTIL] = time


@njit(cache=True)
def open_position(
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
def close_position(
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
        charge(price, frictions[market, LONG_FUNDING if long else SHORT_FUNDING], time, position)
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
