"""How the market would have filled an order: the fills of a paper broker, from candles and the backtest's frictions.

A market order fills from the open of the first bar on, a limit order where the price goes through its limit. A bar
gives at most a share of its volume (`SquareRootImpact.participation`), of which an order gets a part that hangs on the
seed, the order's id and the bar alone: the same order on the same candles has the same fills, always.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from alpharay.backtest.account_positions import ROUNDING
from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, SquareRootImpact
from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.portfolio.ledger import MONEY_STEP, PRODUCTS, QUANTITY_STEP, ZERO, Fill
from alpharay.portfolio.orders import Order

FeeAt = Callable[[int, Sequence[Fill]], float]
"""The fee (fraction of the traded value) at a time, UTC ms, after fills that were just made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTerms:
    """What trading on paper costs.

    Parameters
    ----------
    costs, frictions
        As a backtest takes them; funding is not the broker's to charge. Without impact a bar fills every order whole.
    least_share : float
        An order gets from this share to all of what a bar may give, drawn for each order and bar.
    seed : int
        Of that draw.
    """

    costs: Costs = field(default_factory=Costs)
    frictions: Frictions = field(default_factory=lambda: Frictions(impact=SquareRootImpact()))
    least_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.least_share <= 1.0:
            raise ValueError(f"least_share must be in (0, 1], was {self.least_share}")


def refusal(order: Order, last_close: float, terms: PaperTerms) -> str | None:
    """Return why the exchange would not take an order; None when it would.

    Its quantity must be whole lots, its limit whole ticks, its value at the limit (at the last close, of a market
    order) at least the minimum.
    """
    frictions = terms.frictions
    if frictions.lot_size is not None and order.quantity % _decimal(frictions.lot_size) != ZERO:
        return f"quantity must be a multiple of the lot size {frictions.lot_size:g}, was {order.quantity}"
    tick = frictions.tick_size
    if order.limit_price is not None and tick is not None and order.limit_price % _decimal(tick) != ZERO:
        return f"limit_price must be a multiple of the tick size {tick:g}, was {order.limit_price}"
    if frictions.minimum_notional is not None:
        notional = order.quantity * (order.limit_price or _decimal(last_close))
        if notional < _decimal(frictions.minimum_notional):
            return f"the order must be worth at least {frictions.minimum_notional:g}, was {notional:.8f}"
    return None


def paper_fills(
    order: Order, filled: Decimal, bars: Candles, terms: PaperTerms, fee_at: FeeAt | None = None
) -> list[Fill]:
    """Return the fills that `bars` give an order of which `filled` has been traded before, oldest first.

    `fee_at` says the fee where tiers move it; without, it is that of the costs. A bar without volume fills nothing
    where there is impact.
    """
    fills: list[Fill] = []
    left = order.quantity - filled
    length = timeframe_ms(bars.timeframe)
    for bar in range(len(bars)):
        if left <= ZERO:
            break
        open_time = int(bars.open_time[bar])
        base = _base_price(order, float(bars.open[bar]), float(bars.high[bar]), float(bars.low[bar]))
        if base is None:
            continue
        quantity = min(left, _offered(order, open_time, float(bars.volume[bar]), terms))
        if quantity <= ZERO:
            continue
        price = _fill_price(order, base, quantity, float(bars.volume[bar]), terms)
        if price <= ZERO:
            continue
        # Within its bar a limit was reached some time; that is known when the bar has closed.
        time_ms = open_time if base == bars.open[bar] else open_time + length - 1
        rate = terms.costs.fee if fee_at is None else fee_at(time_ms, fills)
        fee = PRODUCTS.multiply(PRODUCTS.multiply(quantity, price), _decimal(rate))
        fills.append(
            Fill(
                fill_id=f"{order.order_id}:{open_time}",
                symbol=order.symbol,
                side=order.side,
                quantity=quantity,
                price=price,
                fee=fee.quantize(MONEY_STEP, ROUND_HALF_EVEN, context=PRODUCTS),
                time_ms=time_ms,
            )
        )
        left -= quantity
    return fills


def tier_fee(fee: float, tiers: Sequence[FeeTier], volume: float) -> float:
    """Return the fee of the highest tier whose volume was reached; `fee` below the first."""
    reached = [tier.fee for tier in tiers if volume >= tier.volume]
    return reached[-1] if reached else fee


def _base_price(order: Order, opened: float, high: float, low: float) -> float | None:
    """Return the price before slippage: the open, or the limit where the bar goes through it; None without a fill."""
    if order.limit_price is None:
        return opened
    limit = float(order.limit_price)
    if order.side == "buy":
        return opened if opened <= limit else limit if low < limit else None
    return opened if opened >= limit else limit if high > limit else None


def _offered(order: Order, open_time: int, volume: float, terms: PaperTerms) -> Decimal:
    """Return what the bar gives this order, in whole lots."""
    impact = terms.frictions.impact
    if impact is None:
        return order.quantity
    if not 0.0 < volume < math.inf:
        return ZERO
    digest = hashlib.blake2b(f"{terms.seed} {order.order_id} {open_time}".encode(), digest_size=8).digest()
    share = terms.least_share + (1.0 - terms.least_share) * int.from_bytes(digest, "big") / 2.0**64
    step = QUANTITY_STEP if terms.frictions.lot_size is None else _decimal(terms.frictions.lot_size)
    return _rounded(_decimal(impact.participation * volume * share), step, up=False)


def _fill_price(order: Order, base: float, quantity: Decimal, volume: float, terms: PaperTerms) -> Decimal:
    """Return the price with slippage, impact and tick, never worse than the limit (which is on a tick: `refusal`)."""
    buys = order.side == "buy"
    slippage = terms.costs.slippage
    if terms.frictions.impact is not None:
        slippage += terms.frictions.impact.coefficient * math.sqrt(float(quantity) / volume)
    price = _decimal(base * (1.0 + slippage) if buys else base * max(1.0 - slippage, 0.0))
    if order.limit_price is not None:
        price = min(price, order.limit_price) if buys else max(price, order.limit_price)
    if terms.frictions.tick_size is None:
        return price
    tick = _decimal(terms.frictions.tick_size)
    return _rounded(price, tick, up=buys)


def _rounded(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    """Return the multiple of `step` next to a value; one that is a billionth of a step away is on it."""
    steps = PRODUCTS.divide(value, step)
    nearest = steps.to_integral_value(ROUND_HALF_EVEN)
    if abs(steps - nearest) > _decimal(ROUNDING):
        nearest = steps.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return nearest * step


def _decimal(value: float) -> Decimal:
    """Return the decimal that a person reads for a float: 0.1 for 0.1."""
    return Decimal(repr(value))
