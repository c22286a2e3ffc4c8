"""What the portfolio service answers: exact decimals as strings, shares as numbers."""

from __future__ import annotations

from typing import Any

from alpharay.portfolio.orders import OrderState
from alpharay.portfolio.sizing import Sizing
from alpharay.store.account_prices import AccountStanding, DatedPrice
from alpharay.store.equity_marks import EquityHistory
from alpharay.store.priced_orders import PricedPlacement
from serve_apps.portfolio_requests import OrderRequest
from serve_apps.portfolio_sizes import described_size


def positions_answer(standing: AccountStanding, account: str, oldest_ms: int) -> dict[str, Any]:
    """Return positions, cash and equity; a position without a price has no value, and then there is no equity."""
    book, unrealised = standing.book, standing.unrealised
    positions = [
        {
            "symbol": symbol,
            "quantity": held.quantity,
            "cost": held.cost,
            "value": held.cost + unrealised[symbol] if symbol in unrealised else None,
            "unrealised": unrealised.get(symbol),
            **_price(standing.prices.get(symbol)),
            "stale": symbol not in standing.prices or standing.prices[symbol].age_ms > oldest_ms,
        }
        for symbol, held in sorted(book.positions.items())
    ]
    return {
        "account": account,
        "currency": book.currency,
        "equity": None if standing.equity is None else standing.equity.equity,
        "cash": book.cash,
        "capital": book.capital,
        "realised": book.realised,
        "fees": book.fees,
        "funding": book.funding,
        "positions": positions,
        "unpriced": sorted(book.positions.keys() - standing.prices.keys()),
    }


def performance_answer(standing: AccountStanding, account: str) -> dict[str, Any]:
    """Return an account's return on what was paid in, its drawdown from the best and today's loss."""
    mark, capital = standing.equity, standing.book.capital
    answer: dict[str, Any] = {
        "account": account,
        "currency": standing.book.currency,
        "capital": capital,
        "equity": None,
        "unpriced": sorted(standing.book.positions.keys() - standing.prices.keys()),
    }
    if mark is None:
        return answer
    return answer | {
        "equity": mark.equity,
        "day_start_equity": mark.day_start,
        "peak_equity": mark.peak,
        "profit": mark.equity - capital,
        "return": None if capital <= 0 else float(mark.equity / capital) - 1.0,
        "drawdown": mark.drawdown,
        "today_loss": mark.day_loss,
        "data_age_seconds": max((one.age_ms for one in standing.prices.values()), default=0) / 1000.0,
    }


def equity_answer(history: EquityHistory, account: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Return an account's equity over time."""
    return {
        "account": account,
        "from": start_ms,
        "to": end_ms,
        "step_seconds": history.step_ms / 1000.0,
        "max_drawdown": history.max_drawdown,
        "max_drawdown_ms": history.max_drawdown_ms,
        "points": history.points,
    }


def order_answer(state: OrderState) -> dict[str, Any]:
    """Return an order as it stands, in one level."""
    order = state.order
    return {
        "order_id": order.order_id,
        "account": order.account_id,
        "symbol": order.symbol,
        "side": order.side,
        "kind": order.kind,
        "quantity": order.quantity,
        "limit_price": order.limit_price,
        "expires_ms": order.expires_ms,
        "status": state.status,
        "revision": state.revision,
        "filled_quantity": state.filled_quantity,
        "reason": state.reason,
        "cancel_wanted": state.cancel_wanted,
    }


def placement_answer(made: PricedPlacement, asked: OrderRequest, size: Sizing | None) -> dict[str, Any]:
    """Return what became of a wish: the order, or every limit's reason why there is none."""
    proposal, state = made.placement.proposal, made.placement.state
    answer: dict[str, Any] = {
        "account": asked.account,
        "order_id": asked.order_id,
        "symbol": asked.symbol,
        "side": asked.side,
        "dry_run": asked.dry_run,
        "repeated": proposal is None,
        "order": None if state is None else order_answer(state),
    }
    if proposal is None:
        # It was made by an earlier request: what was said then about limits is not said anew.
        return answer | {"decision": "repeated", "stored": True}
    assessment = proposal.assessment
    decision = "refused" if state is None or assessment is None else assessment.decision
    return answer | {
        "decision": decision,
        "stored": state is not None and not asked.dry_run,
        "quantity": proposal.quantity,
        "wanted": proposal.wanted,
        "reasons": proposal.reasons,
        "checks": () if assessment is None else assessment.checks,
        "size": None if size is None else described_size(size),
        **_price(made.prices.get(asked.symbol)),
    }


def _price(dated: DatedPrice | None) -> dict[str, Any]:
    if dated is None:
        return {"price": None, "price_closed_ms": None, "data_age_seconds": None}
    return {"price": dated.price, "price_closed_ms": dated.closed_ms, "data_age_seconds": dated.age_ms / 1000.0}
