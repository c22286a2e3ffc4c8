"""What is ordered, and how it goes: an order never changes after it was made, only its state does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from alpharay.portfolio.ledger import MOST_QUANTITY, QUANTITY_STEP, ZERO, Fill, Side

OrderKind = Literal["market", "limit"]
OrderStatus = Literal["intended", "sending", "open", "partially_filled", "filled", "rejected", "cancelled"]
BrokerStatus = Literal["open", "partially_filled", "filled", "rejected", "cancelled"]

UNDER_WAY: tuple[OrderStatus, ...] = ("intended", "sending", "open", "partially_filled")
ENDED: frozenset[OrderStatus] = frozenset({"filled", "rejected", "cancelled"})
LONGEST_ID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A wish to trade.

    Parameters
    ----------
    order_id : str
        Made by the client, at most 64 characters; the broker's client order id too, so the same id is one order.
    account_id, symbol : str
    side : {"buy", "sell"}
    kind : {"market", "limit"}
    quantity : Decimal
        Above 0, a multiple of 10^-12 and below 10^15.
    limit_price : Decimal or None
        The worst price, of a limit order.
    expires_ms : int or None
        From when on (UTC ms) it is cancelled rather than sent: a halt may last, and what was sized then is old.
    """

    order_id: str
    account_id: str
    symbol: str
    side: Side
    quantity: Decimal
    kind: OrderKind = "market"
    limit_price: Decimal | None = None
    expires_ms: int | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.order_id) <= LONGEST_ID:
            raise ValueError(f"order_id must have 1 to {LONGEST_ID} characters, was {self.order_id!r}")
        if self.side not in ("buy", "sell"):
            raise ValueError(f"side of order {self.order_id} must be buy or sell, was {self.side!r}")
        if self.kind not in ("market", "limit"):
            raise ValueError(f"kind of order {self.order_id} must be market or limit, was {self.kind!r}")
        if not (self.quantity.is_finite() and ZERO < self.quantity < MOST_QUANTITY) or self.quantity % QUANTITY_STEP:
            raise ValueError(
                f"quantity of order {self.order_id} must be a multiple of {QUANTITY_STEP} above 0 and below "
                f"{MOST_QUANTITY:,}, was {self.quantity}"
            )
        if (self.kind == "limit") != (self.limit_price is not None):
            raise ValueError(f"a limit order has a limit_price and a market order none, was {self.limit_price}")
        if self.limit_price is not None and not (self.limit_price.is_finite() and self.limit_price > ZERO):
            raise ValueError(f"limit_price of order {self.order_id} must be above 0 and finite, was {self.limit_price}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """An order as it stands.

    Parameters
    ----------
    order : Order
    status : OrderStatus
    revision : int
        Grows by one with every change, from 1.
    filled_quantity : Decimal
    reason : str or None
        Why it was rejected or cancelled.
    cancel_wanted : bool
        Somebody has asked to cancel it; it may fill before that reaches the broker.
    """

    order: Order
    status: OrderStatus
    revision: int
    filled_quantity: Decimal = ZERO
    reason: str | None = None
    cancel_wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order as the broker knows it, with all of its fills so far, oldest first."""

    order_id: str
    status: BrokerStatus
    fills: tuple[Fill, ...] = ()
    reason: str | None = None

    @property
    def filled_quantity(self) -> Decimal:
        """What has been traded."""
        return sum((fill.quantity for fill in self.fills), ZERO)
