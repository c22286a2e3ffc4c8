"""A slow, plain account over several markets, candle by candle in Python: what the shared account must equal.

It shares no code with it: markets are looked up by open time, positions are objects, fills are kept in a list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@dataclass
class PlainRules:
    """One market's flags, a list each, and its frictions (None: none)."""

    enter: list[bool]
    leave: list[bool]
    enter_short: list[bool]
    leave_short: list[bool]
    frictions: object = None
    distance: list[float] | None = None


@dataclass
class Position:
    side: int
    units: float
    money: float  # a short's stake and proceeds, less the funding
    paid: float
    bar: int
    price: float
    fill: float
    equity: float
    last_charge: int
    extreme: float
    ratchet: float
    fees: float
    funding: float = 0.0
    leaving: bool = False

    def worth(self, price):
        return max(self.money + self.side * self.units * price, 0.0)


@dataclass
class PlainAccount:
    cash: float
    held: dict[int, Position] = field(default_factory=dict)
    orders: dict[int, int] = field(default_factory=dict)
    fills: list[tuple[int, float]] = field(default_factory=list)  # (time, money)
    trades: list[tuple] = field(default_factory=list)
    points: list[tuple[int, float]] = field(default_factory=list)
    closes: list[float] = field(default_factory=list)
    exposure: float = 0.0


def run_plain_account(candles, rules, fee, slippage, stops=(0.0, 0.0, 0.0), holding=0, limit=1, fraction=None):
    """Return the account after trading `candles` (a list of Candles) by `rules` (a list of PlainRules)."""
    fraction = 1.0 / limit if fraction is None else fraction
    stop_loss, take_profit, trailing = stops
    any_frictions = rules[0].frictions
    capital = any_frictions.starting_capital if any_frictions else 1.0
    tiers = any_frictions.fee_tiers if any_frictions else ()
    account = PlainAccount(capital)
    length = {"m": 60_000, "h": HOUR_MS, "d": DAY_MS}[candles[0].timeframe[-1]] * int(candles[0].timeframe[:-1])
    rows = [{int(t): i for i, t in enumerate(one.open_time)} for one in candles]
    times = sorted({t for row in rows for t in row})
    last_close: dict[int, float] = {}

    def fee_at(time):
        today = time // DAY_MS
        volume = sum(money for when, money in account.fills if today - 30 <= when // DAY_MS < today)
        rate = fee
        for tier in tiers:
            if volume >= tier.volume:
                rate = tier.fee
        return rate

    def has(market, name):
        frictions = rules[market].frictions
        return getattr(frictions, name) if frictions else None

    def fill_of(market, bar, price, direction, units):
        slip = slippage
        impact = has(market, "impact")
        if impact and impact.coefficient > 0:
            slip += impact.coefficient * math.sqrt(units / candles[market].volume[bar])
        price = price * (1 + slip) if direction > 0 else price * max(1 - slip, 0.0)
        tick = has(market, "tick_size")
        if tick:
            whole = math.ceil(price / tick - 1e-9) if direction > 0 else math.floor(price / tick + 1e-9)
            price = whole * tick
        return price

    def charge(market, price, time):
        position, funding = account.held[market], has(market, "funding")
        if not funding or time <= position.last_charge:
            return
        rate = funding.long if position.side > 0 else funding.short
        due = position.units * price * rate * (time - position.last_charge) / (funding.hours * HOUR_MS)
        position.money -= due
        position.funding += due
        position.last_charge = time

    def equity(price_of):
        return account.cash + sum(position.worth(price_of(market)) for market, position in account.held.items())

    def enter(market, bar, time, side, stake, total):
        price = float(candles[market].open[bar])
        rate = fee_at(time)
        units = stake * (1 - rate) / (price * (1 + slippage)) if side > 0 else stake / price
        impact, lot = has(market, "impact"), has(market, "lot_size")
        if impact:
            units = min(units, impact.participation * float(candles[market].volume[bar]))
        if side > 0:
            units = min(units, stake * (1 - rate) / fill_of(market, bar, price, 1, units))
        if lot:
            units = math.floor(units / lot + 1e-9) * lot
        if units <= 0:
            return
        fill = fill_of(market, bar, price, side, units)
        if units * fill < (has(market, "minimum_notional") or 0.0):
            return
        if side > 0:
            paid, money, fees = units * fill / (1 - rate), 0.0, units * fill * rate / (1 - rate)
        else:
            paid, fees = units * price, units * fill * rate
            money = paid + units * fill - fees
        account.cash -= paid
        account.fills.append((time, units * fill))
        distance = rules[market].distance
        ratchet = price - side * distance[bar - 1] if distance else math.nan
        account.held[market] = Position(side, units, money, paid, bar, price, fill, total, time, price, ratchet, fees)

    def leave(market, bar, time, price, reason):
        fill = price
        if reason != "liquidation":
            charge(market, price, time)
        position = account.held.pop(market)
        if reason == "liquidation":
            received = 0.0
        else:
            rate = fee_at(time)
            fill = fill_of(market, bar, price, -position.side, position.units)
            value = position.units * fill
            if position.side > 0:
                received = max(position.money + value * (1 - rate), 0.0)
                position.fees += value * rate
            else:
                received = max(position.money - value / (1 - rate), 0.0)
                position.fees += value * rate / (1 - rate)
            account.fills.append((time, value))
        account.cash += received
        record(market, position, bar, price, fill, received, reason)

    def record(market, position, bar, price, fill, received, reason):
        account.trades.append(
            (market, position.side, position.bar, bar, position.price, price, reason, position.units, position.fill,
             fill, position.paid, received, position.fees, position.funding, position.equity)
        )  # fmt: skip

    def stop_of(market, bar):
        position, one = account.held[market], candles[market]
        side, o, h, l = position.side, float(one.open[bar]), float(one.high[bar]), float(one.low[bar])
        levels = [(-position.money / (side * position.units), "liquidation")]
        if stop_loss:
            levels.append((position.price * (1 - side * stop_loss), "stop_loss"))
        if trailing:
            levels.append((position.extreme * (1 - side * trailing), "trailing_stop"))
        if not math.isnan(position.ratchet):
            levels.append((position.ratchet, "trailing_stop"))
        # The level met first; where two are equal the one that was named first, but a stop-loss before a liquidation.
        level, why = levels[0]
        for price, name in levels[1:]:
            if side * price > side * level or (name == "stop_loss" and price == level):
                level, why = price, name
        target = position.price * (1 + side * take_profit) if take_profit else side * math.inf
        against, favour = (l, h) if side > 0 else (h, l)
        if bar > position.bar and side * o <= side * level:
            return o, why
        if bar > position.bar and side * o >= side * target:
            return o, "take_profit"
        if side * against <= side * level:
            return level, why
        if side * favour >= side * target:
            return target, "take_profit"
        position.extreme = max(position.extreme, h) if side > 0 else min(position.extreme, l)
        distance = rules[market].distance
        if distance and not math.isnan(distance[bar]):
            tighter = favour - side * distance[bar]
            if math.isnan(position.ratchet) or side * tighter > side * position.ratchet:
                position.ratchet = tighter
        return None

    for time in times:
        here = {market: row[time] for market, row in enumerate(rows) if time in row}
        fillable = {
            market: bar
            for market, bar in here.items()
            if not (has(market, "impact") and candles[market].volume[bar] == 0)
        }
        opens = {market: float(candles[market].open[bar]) for market, bar in here.items()}

        def at_open(market, opens=opens):
            return opens.get(market, last_close.get(market))

        gone = [market for market, position in account.held.items() if position.leaving and market in fillable]
        for market in sorted(gone):
            leave(market, fillable[market], time, opens[market], "signal")
        total = equity(at_open)
        if gone:
            account.points.append((time, total))
        for market in sorted(account.orders):
            if market not in fillable:
                continue
            side = account.orders.pop(market)
            stake = min(total * fraction, account.cash)
            if len(account.held) < limit and stake >= 1e-9 * capital:
                enter(market, fillable[market], time, side, stake, total)
        for market in sorted(account.held):
            if market in fillable:
                met = stop_of(market, fillable[market])
                if met:
                    leave(market, fillable[market], time, *met)
        for market, bar in here.items():
            last_close[market] = float(candles[market].close[bar])
        for market in account.held:
            charge(market, last_close[market], time + length)
        account.points.append((time, equity(last_close.get)))
        account.closes.append(account.points[-1][1])
        account.exposure += len(account.held) * fraction

        for market, bar in here.items():
            if bar == len(candles[market]) - 1:
                continue
            rule, position = rules[market], account.held.get(market)
            long = rule.enter[bar] and not rule.leave[bar]
            short = rule.enter_short[bar] and not rule.leave_short[bar]
            if long and short:
                long = short = False
            ends_long, ends_short = rule.leave[bar] or short, rule.leave_short[bar] or long
            if position and bar - position.bar >= holding and (ends_long if position.side > 0 else ends_short):
                position.leaving = True
            if position and not position.leaving:
                continue
            order = account.orders.get(market)
            if long or short:
                account.orders[market] = 1 if long else -1
            elif (order == 1 and ends_long) or (order == -1 and ends_short):
                del account.orders[market]
    for market in sorted(account.held):
        position, bar = account.held[market], len(candles[market]) - 1
        record(
            market, position, bar, last_close[market], last_close[market], position.worth(last_close[market]), "open"
        )
    return account, times
