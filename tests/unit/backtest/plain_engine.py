"""A slow, plain backtest, bar by bar in Python floats: what the kernel must equal. It shares no code with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

DAY_MS = 86_400_000


@dataclass
class PlainResult:
    equity: float = 1.0
    max_drawdown: float = 0.0
    drawdown_bars: int = 0
    trades: list[tuple[int, int, int, float, float, str]] = field(
        default_factory=list
    )  # side, entry, exit, fills, reason
    profits: list[float] = field(default_factory=list)
    exposure: int = 0
    returns: list[float] = field(default_factory=list)
    daily: list[float] = field(default_factory=list)
    closes: list[float] = field(default_factory=list)  # equity after each bar


class _Curve:
    """Follows the equity points: peak, drawdown, time under water, returns."""

    def __init__(self) -> None:
        self.value, self.peak, self.peak_bar, self.drawdown, self.longest = 1.0, 1.0, 0, 0.0, 0
        self.returns: list[float] = []

    def point(self, bar: int, value: float) -> None:
        self.returns.append(value / self.value - 1.0)
        self.value = value
        if value > self.peak:
            self.longest = max(self.longest, bar - self.peak_bar)
            self.peak, self.peak_bar = value, bar
        else:
            self.drawdown = max(self.drawdown, 1.0 - value / self.peak)


def run_plain(
    candles,
    enter,
    leave,
    enter_short=None,
    leave_short=None,
    fee=0.0,
    slippage=0.0,
    stops=(0.0, 0.0, 0.0),
    distance=None,
    minimum_holding=0,
):
    o, h, l, c = (getattr(candles, name).tolist() for name in ("open", "high", "low", "close"))
    bars = len(c)
    enter_short = enter_short if enter_short is not None else [False] * bars
    leave_short = leave_short if leave_short is not None else [False] * bars
    stop_loss, take_profit, trailing = stops
    result, curve = PlainResult(), _Curve()
    side, quantity, cash, entry_bar, entry_price, start_equity, extreme = 0, 0.0, 0.0, -1, 0.0, 1.0, 0.0
    pending: list[str] = []
    ratchet = math.nan
    closes_equity = []

    def finish(bar, price, reason):
        nonlocal side
        if side > 0:
            value = quantity * (price * (1.0 - fee) * (1.0 - slippage))
        elif reason == "liquidation":
            value = 0.0
        else:
            value = max(cash - quantity * price * (1.0 + slippage) / (1.0 - fee), 0.0)
        curve.point(bar, value)
        result.trades.append((side, entry_bar, bar, entry_price, price, reason))
        result.profits.append(value - start_equity)
        side = 0

    for bar in range(bars):
        for order in pending:
            if order == "exit":
                finish(bar, o[bar], "signal")
            elif curve.value >= 1e-9:
                side = 1 if order == "long" else -1
                entry_bar, entry_price, start_equity, extreme = bar, o[bar], curve.value, o[bar]
                ratchet = o[bar] - side * distance[bar - 1] if distance is not None else math.nan
                if side > 0:
                    quantity = start_equity * ((1.0 - fee) / (1.0 + slippage)) / entry_price
                else:
                    quantity = start_equity / entry_price
                    cash = start_equity + quantity * entry_price * (1.0 - fee) * (1.0 - slippage)
        pending = []
        if side != 0:
            target = entry_price * (1.0 + side * take_profit) if take_profit else side * math.inf
            levels = []
            if stop_loss:
                levels.append((entry_price * (1.0 - side * stop_loss), "stop_loss"))
            if side < 0:
                levels.append((entry_price * (1.0 + (1.0 - fee) * (1.0 - slippage)), "liquidation"))
            if trailing:
                levels.append((extreme * (1.0 - side * trailing), "trailing_stop"))
            if not math.isnan(ratchet):
                levels.append((ratchet, "trailing_stop"))
            level, why = (-side * math.inf, "")
            for candidate, name in levels:
                if side * candidate > side * level:
                    level, why = candidate, name
            worst, best = (l[bar], h[bar]) if side > 0 else (h[bar], l[bar])
            later = bar > entry_bar
            if later and side * o[bar] <= side * level:
                finish(bar, o[bar], why)
            elif later and side * o[bar] >= side * target:
                finish(bar, o[bar], "take_profit")
            elif side * worst <= side * level:
                finish(bar, level, why)
            elif side * best >= side * target:
                finish(bar, target, "take_profit")
            else:
                extreme = max(extreme, h[bar]) if side > 0 else min(extreme, l[bar])
                if distance is not None and not math.isnan(distance[bar]):
                    tighter = h[bar] - distance[bar] if side > 0 else l[bar] + distance[bar]
                    ratchet = tighter if math.isnan(ratchet) else side * max(side * ratchet, side * tighter)
                value = quantity * c[bar] if side > 0 else cash - quantity * c[bar]
                curve.point(bar, value)
                result.exposure += 1
        wants_long = enter[bar] and not leave[bar]
        wants_short = enter_short[bar] and not leave_short[bar]
        if wants_long and wants_short:
            wants_long = wants_short = False
        if bar < bars - 1:
            if side == 0:
                pending = ["long"] if wants_long else ["short"] if wants_short else []
            elif bar - entry_bar < minimum_holding:
                pending = []
            elif side > 0 and (leave[bar] or wants_short):
                pending = ["exit", "short"] if wants_short else ["exit"]
            elif side < 0 and (leave_short[bar] or wants_long):
                pending = ["exit", "long"] if wants_long else ["exit"]
        closes_equity.append(curve.value)
    if side != 0:
        result.trades.append((side, entry_bar, bars - 1, entry_price, c[-1], "open"))
        result.profits.append(curve.value - start_equity)
    result.equity, result.max_drawdown = curve.value, curve.drawdown
    result.drawdown_bars = max(curve.longest, bars - 1 - curve.peak_bar) if bars else 0
    result.returns = curve.returns
    result.closes = closes_equity
    day = None
    for bar in range(bars):
        today = int(candles.open_time[bar]) // DAY_MS
        if day is not None and today != day:
            result.daily.extend([closes_equity[bar - 1]] * (today - day))
        day = today
    if bars:
        result.daily.append(closes_equity[-1])
    return result
