"""Whether the account that signals are for may trade, and how much of a suggested trade its limits allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from alpharay.risk.limits import OpeningHalt, PortfolioState, ProposedTrade, RiskLimits, assess
from alpharay.signals.decision import Action
from alpharay.signals.opinion import ABSTAINS, DEGRADED, VETO, Opinion

REDUCED = "reduced"
UNKNOWN = "trading_state_unknown"
NO_PORTFOLIO = "portfolio_not_available"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingState:
    """How trading stands, as it was last read.

    Parameters
    ----------
    account : str
        Whose limits and positions these are.
    halts : tuple of str
        Why nothing may be traded, one sentence a kill switch; empty while something may.
    opening : OpeningHalt or None
        What keeps positions from being opened, such as a circuit breaker.
    limits : RiskLimits or None
        The account's; None when it was never opened.
    portfolio : PortfolioState or None
        What it holds and has under way; None when that cannot be valued.
    """

    account: str
    halts: tuple[str, ...] = ()
    opening: OpeningHalt | None = None
    limits: RiskLimits | None = None
    portfolio: PortfolioState | None = None


@dataclass(frozen=True, slots=True)
class RiskRuling:
    """The word of risk on one signal, and the fraction of equity that it allows."""

    opinion: Opinion
    fraction: float


_SIDES: Mapping[Action, float] = MappingProxyType({"BUY": 1.0, "SELL": -1.0, "HOLD": 0.0})


def risk_ruling(state: TradingState, symbol: str, action: Action, fraction: float, *, fresh: bool = True) -> RiskRuling:
    """Return what risk says of trading `fraction` of the equity, at least 0.

    A halt vetoes, and so does a limit that allows nothing of the trade; one that allows a part reduces it. Where the
    positions are not known, every trade counts as one that opens a position. The last halt that was read stays in force
    while the state is not `fresh`; without one, risk then abstains and flags it: who places an order asks the switch
    itself, in the order's own transaction.
    """
    stale = () if fresh else (DEGRADED, UNKNOWN)
    if state.halts:
        return RiskRuling(_opinion("; ".join(state.halts), VETO, *stale), 0.0)
    if state.limits is None or state.portfolio is None or not fresh:
        return _without_positions(state, action, fraction, *(stale or (DEGRADED, NO_PORTFOLIO)))
    notional = _SIDES[action] * fraction * state.portfolio.equity
    if notional == 0.0:
        return RiskRuling(_opinion("there is no trade to hold against halts and limits"), fraction)
    made = assess(state.limits, state.portfolio, ProposedTrade(symbol=symbol, notional=notional), state.opening)
    told = "; ".join(made.reasons)
    if made.decision == "refused":
        return RiskRuling(_opinion(told, VETO), 0.0)
    if made.decision == "reduced":
        return RiskRuling(_opinion(told, REDUCED), fraction * made.notional / notional)
    return RiskRuling(_opinion(f"nothing is halted and all limits of account {state.account!r} allow it"), fraction)


def _without_positions(state: TradingState, action: Action, fraction: float, *flags: str) -> RiskRuling:
    if state.opening is not None and action != "HOLD":
        if state.opening.share == 0.0:
            return RiskRuling(_opinion(state.opening.reason, VETO, *flags), 0.0)
        return RiskRuling(_opinion(state.opening.reason, REDUCED, *flags), fraction * state.opening.share)
    if UNKNOWN in flags:
        why = f"whether account {state.account!r} may trade is not known: its switches were last read too long ago"
        return RiskRuling(_opinion(why, ABSTAINS, *flags), fraction)
    why = f"nothing is halted; what account {state.account!r} holds is not known, so no limit was asked"
    return RiskRuling(_opinion(why, *flags), fraction)


def _opinion(why: str, *flags: str) -> Opinion:
    return Opinion(name="risk", score=0.0, confidence=0.0 if ABSTAINS in flags else 1.0, why=why, flags=flags)
