"""A market's view and the state of trading into what is answered: the last word is risk's."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from alpharay.signals.decision import Decision
from alpharay.signals.opinion import Component, Opinion
from alpharay.signals.snapshot import MarketView
from alpharay.signals.trading_state import TradingState, risk_ruling


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is answered for a market.

    Parameters
    ----------
    decision : Decision
        HOLD with confidence 0 where risk vetoes.
    fraction : float
        Of the account's equity that is suggested, at least 0: what sizing gives, less what limits forbid.
    candle_components : tuple of Component
        Those that rest on the newest candle, without its age.
    risk : Component
        Rests on the state of trading, whose age is missing too.
    """

    decision: Decision
    fraction: float
    candle_components: tuple[Component, ...]
    risk: Component

    def components(self, candle_age_s: float, trading_age_s: float | None) -> tuple[Component, ...]:
        """Return all components with the ages of their data."""
        dated = [msgspec.structs.replace(one, data_age_seconds=candle_age_s) for one in self.candle_components]
        return (*dated, msgspec.structs.replace(self.risk, data_age_seconds=trading_age_s))


def conclude(view: MarketView, trading: TradingState, *, fresh: bool = True) -> Conclusion:
    """Return what the components and the state of trading come to; `fresh` tells whether that state may be believed."""
    ruling = risk_ruling(trading, view.symbol, view.decision.action, view.size.fraction, fresh=fresh)
    decision = view.decision
    if ruling.opinion.vetoes:
        told = f"risk vetoes: {ruling.opinion.why}; the other components say {decision.action} ({decision.reason})"
        decision = Decision("HOLD", 0.0, told)
    shares = view.combination.shares
    voting = tuple(_shown(one, shares[one.name]) for one in view.opinions)
    return Conclusion(decision, ruling.fraction, (*voting, _shown(view.size.opinion, 0.0)), _shown(ruling.opinion, 0.0))


def _shown(opinion: Opinion, share: float) -> Component:
    return Component(
        name=opinion.name,
        score=opinion.score,
        weight=share,
        confidence=opinion.confidence,
        data_age_seconds=None,
        why=opinion.why,
        flags=opinion.flags,
    )
