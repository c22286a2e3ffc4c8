"""The risk of an account and of one more trade, as the portfolio service answers it: shares of equity, and money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from alpharay.portfolio.portfolio_risk import MarginalRisk, PortfolioRisk, marginal_risk, portfolio_risk
from alpharay.store.account_returns import AccountReturns
from serve_apps.portfolio_requests import MarginalRiskRequest

_MONEY = ("value_at_risk", "historical_value_at_risk", "expected_shortfall")


def risk_answer(found: AccountReturns, account: str, *, level: float, stop_deviations: float) -> dict[str, Any]:
    """Return whose risk an account's is; nothing held has none."""
    answer = _account(found, account)
    if found.returns is None:
        return {**answer, "risk": None, "explanation": "nothing is held"}
    risk = portfolio_risk(
        found.weights,
        found.symbols,
        found.returns,
        groups=_groups(found.symbols, {}),
        level=level,
        stop_deviations=stop_deviations,
    )
    return {**answer, "risk": _told(risk, found.equity), "explanation": _explanation(risk)}


def marginal_answer(found: AccountReturns, asked: MarginalRiskRequest) -> dict[str, Any]:
    """Return what the trade does to the account's risk."""
    assert found.returns is not None, "the trade's symbol is among them"
    size = asked.fraction if asked.fraction is not None else (asked.notional or 0.0) / found.equity
    change = size if asked.side == "buy" else -size
    made = marginal_risk(
        found.weights,
        found.symbols,
        found.returns,
        asked.symbol,
        change,
        groups=_groups(found.symbols, asked.groups),
        level=asked.level,
        stop_deviations=asked.stop_deviations,
    )
    return {
        **_account(found, asked.account),
        "symbol": asked.symbol,
        "side": asked.side,
        "change": change,
        "before": _told(made.before, found.equity),
        "after": _told(made.after, found.equity),
        "incremental_volatility": made.incremental_volatility,
        "incremental_value_at_risk": made.incremental_value_at_risk,
        "incremental_value_at_risk_money": made.incremental_value_at_risk * found.equity,
        "incremental_shortfall": made.incremental_shortfall,
        "marginal_volatility": made.marginal_volatility,
        "marginal_value_at_risk": made.marginal_value_at_risk,
        "best_hedge": made.best_hedge,
        "explanation": _trade_explanation(made, asked.symbol),
    }


def _account(found: AccountReturns, account: str) -> dict[str, Any]:
    ages = [one.age_ms for one in found.standing.prices.values()]
    return {
        "account": account,
        "currency": found.standing.book.currency,
        "equity": found.equity,
        "data_age_seconds": max(ages, default=0) / 1000.0,
    }


def _told(risk: PortfolioRisk, equity: float) -> dict[str, Any]:
    told = asdict(risk)
    return told | {f"{name}_money": told[name] * equity for name in _MONEY}


def _groups(symbols: tuple[str, ...], asked: Mapping[str, str]) -> dict[str, str]:
    """Return each symbol's group: the one that was asked for, or what is traded: BTC of BTC/USD."""
    return {symbol: asked.get(symbol, symbol.partition("/")[0]) for symbol in symbols}


def _explanation(risk: PortfolioRisk) -> str:
    largest = max(risk.symbols, key=lambda symbol: risk.symbols[symbol].component_value_at_risk)
    part = risk.symbols[largest].component_value_at_risk
    share = part / risk.value_at_risk if risk.value_at_risk > 0.0 else 0.0
    return (
        f"one candle loses {risk.value_at_risk:.2%} of equity or more with a probability of {1.0 - risk.level:.2%}; "
        f"{share:.0%} of that is {largest}'s"
    )


def _trade_explanation(made: MarginalRisk, symbol: str) -> str:
    change = made.incremental_value_at_risk
    word = "adds" if change >= 0.0 else "takes away"
    return (
        f"{symbol} {word} {abs(change):.3%} of equity: value at risk {made.before.value_at_risk:.3%} before, "
        f"{made.after.value_at_risk:.3%} after"
    )
