"""From money to an order that the exchange takes: whole lots, and not too small."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alpharay.backtest.account_positions import ROUNDING
from alpharay.backtest.frictions import Frictions


@dataclass(frozen=True, slots=True)
class OrderQuantity:
    """What can be ordered.

    Parameters
    ----------
    quantity : float
        Signed as the money; 0 when nothing can be ordered.
    notional : float
        quantity * price.
    binding : str or None
        "lot size" or "minimum notional" when that made it smaller, else None.
    """

    quantity: float
    notional: float
    binding: str | None


def order_quantity(
    notional: float, price: float, frictions: Frictions | None = None, *, closes: bool = False
) -> OrderQuantity:
    """Return the order for `notional` (money, below zero to sell) at `price`, by the rules of the backtest's account.

    The quantity is rounded down to a lot, one that is a billionth of a lot short of it counts as whole; an order worth
    less than the minimum is not made, unless it `closes` a position, which a backtest always may. Raises ValueError for
    a price that is not positive and finite, or NaN.
    """
    if not math.isfinite(notional):
        raise ValueError(f"notional must be finite, was {notional}")
    if not 0.0 < price < math.inf:
        raise ValueError(f"price must be above 0 and finite, was {price}")
    quantity, binding = abs(notional) / price, None
    if frictions is not None and frictions.lot_size is not None:
        lots = math.floor(quantity / frictions.lot_size + ROUNDING) * frictions.lot_size
        binding = "lot size" if lots < quantity * (1.0 - ROUNDING) else None
        quantity = lots
    minimum = 0.0 if frictions is None or frictions.minimum_notional is None else frictions.minimum_notional
    if 0.0 < quantity * price < minimum and not closes:
        quantity, binding = 0.0, "minimum notional"
    quantity = math.copysign(quantity, notional) if quantity else 0.0
    return OrderQuantity(quantity, quantity * price, binding)
