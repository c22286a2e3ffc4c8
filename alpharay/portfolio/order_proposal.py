"""From a size to an order: a share of the equity, held to the limits, in a quantity that the exchange takes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from alpharay.backtest.frictions import Frictions
from alpharay.portfolio.ledger import PRODUCTS, QUANTITY_STEP, ZERO, Side
from alpharay.portfolio.order_quantity import OrderQuantity, order_quantity
from alpharay.risk.limits import Assessment, OpeningHalt, PortfolioState, ProposedTrade, RiskLimits, assess


@dataclass(frozen=True, slots=True)
class OrderProposal:
    """What could be ordered, and what every limit said.

    Parameters
    ----------
    price : float
        That the quantity was computed with.
    wanted : float
        Value of the trade before the limits, below zero to sell.
    assessment : Assessment or None
        None when nothing was wanted.
    ordered : OrderQuantity or None
        What the limits and the exchange's steps leave.
    quantity : Decimal
        Its size; 0 when no order can be made, and `reasons` says why.
    reasons : tuple of str
        Why it is not all that was wanted.
    """

    price: float
    wanted: float
    assessment: Assessment | None
    ordered: OrderQuantity | None
    quantity: Decimal
    reasons: tuple[str, ...]


def propose_order(
    symbol: str,
    side: Side,
    fraction: float,
    price: float,
    *,
    state: PortfolioState,
    limits: RiskLimits,
    frictions: Frictions | None = None,
    halt: OpeningHalt | None = None,
) -> OrderProposal:
    """Return the order for `fraction` of the equity (at least 0, as a `Sizing` says) at `price`.

    Raises ValueError for a fraction below zero or a price that is not above zero.
    """
    if not fraction >= 0.0:
        raise ValueError(f"fraction of an order must be at least 0, was {fraction}")
    sign = 1.0 if side == "buy" else -1.0
    wanted = sign * fraction * max(state.equity, 0.0)
    if wanted == 0.0:
        reason = "the size is 0" if state.equity > 0.0 else f"equity must be above 0, was {state.equity:,.2f}"
        return OrderProposal(price, 0.0, None, None, ZERO, (reason,))
    minimum = 0.0 if frictions is None or frictions.minimum_notional is None else frictions.minimum_notional
    assessment = assess(limits, state, ProposedTrade(symbol=symbol, notional=wanted, minimum_notional=minimum), halt)
    if assessment.notional == 0.0:
        return OrderProposal(price, wanted, assessment, None, ZERO, assessment.reasons)
    # A broker refuses what is below the minimum, whether it closes a position or not.
    ordered = order_quantity(assessment.notional, price, frictions)
    quantity = _whole_steps(ordered.quantity, frictions)
    reasons = assessment.reasons
    if quantity == ZERO:
        reasons = (*reasons, f"{abs(assessment.notional):,.2f} is too little: {ordered.binding or 'quantity step'}")
    return OrderProposal(price, wanted, assessment, ordered, quantity, reasons)


def _whole_steps(quantity: float, frictions: Frictions | None) -> Decimal:
    """Return the size of a float quantity in exact lots, or rounded down to the quantities' step."""
    size = Decimal(repr(abs(quantity)))
    if frictions is None or frictions.lot_size is None:
        return size.quantize(QUANTITY_STEP, ROUND_FLOOR, context=PRODUCTS)
    lot = Decimal(repr(frictions.lot_size))
    return PRODUCTS.divide(size, lot).to_integral_value() * lot
