"""How much of the equity a trade gets: one function a method, each saying what it was given and what decided.

All sizes are fractions of equity, at least 0; the direction is the signal's. A size of zero always has its reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

BY_FORMULA = "formula"
BY_MAXIMUM = "maximum"


@dataclass(frozen=True, slots=True)
class Sizing:
    """A size and how it came about.

    Parameters
    ----------
    method : str
    fraction : float
        Of equity, at least 0.
    binding : str
        What decided: "formula", "maximum", or the reason why nothing is bought.
    inputs : Mapping
        Every number that went in, and those between, by name.
    parts : tuple of (weight, Sizing)
        What a blend is made of.
    """

    method: str
    fraction: float
    binding: str
    inputs: Mapping[str, float]
    parts: tuple[tuple[float, Sizing], ...] = ()

    @property
    def explanation(self) -> str:
        """One sentence for people."""
        numbers = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in self.inputs.items())
        decided = {BY_FORMULA: "", BY_MAXIMUM: ", which is the most"}.get(self.binding, f", because {self.binding}")
        return f"{self.method.replace('_', ' ')} gives {self.fraction:.6g} of equity{decided} ({numbers})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRecord:
    """Closed trades of a strategy that its search has not seen.

    Parameters
    ----------
    wins, losses : int
    average_win, average_loss : float
        Mean gain of the first and mean loss of the second, both positive, as fractions of what was invested.
    """

    wins: int
    losses: int
    average_win: float
    average_loss: float

    def __post_init__(self) -> None:
        for name in ("wins", "losses", "average_win", "average_loss"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} of a record must be at least 0 and finite, was {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Shares of the three parts of `blended`, which sum to 1; TradeStream's by default."""

    kelly: float = 0.4
    volatility_target: float = 0.3
    confidence: float = 0.3

    def __post_init__(self) -> None:
        shares = (self.kelly, self.volatility_target, self.confidence)
        if not all(0.0 <= value <= 1.0 for value in shares) or abs(sum(shares) - 1.0) > 1e-9:
            raise ValueError(f"the shares of a blend must be in [0, 1] and sum to 1, were {shares}")


def fixed_fraction(*, risk: float, stop_distance: float, maximum: float = 1.0) -> Sizing:
    """Return the size at which a stop `stop_distance` (share of the price) away loses `risk` of the equity.

    risk / stop_distance: fixed fractional sizing (Vince 1990, "Portfolio Management Formulas").
    """
    inputs = {"risk": _at_least_zero("risk", risk), "stop_distance": stop_distance, "maximum": maximum}
    if not 0.0 < stop_distance <= 1.0:
        raise ValueError(f"stop_distance must be in (0, 1], was {stop_distance}")
    return _held("fixed_fraction", risk / stop_distance, maximum, inputs)


def fractional_kelly(record: TradeRecord, *, fraction: float = 0.25, maximum: float = 1.0) -> Sizing:
    """Return a fraction of Kelly's bet, shrunk by how little the record tells.

    With payoff b = average win / average loss, Kelly (1956) bets ((b + 1) p - 1) / b in units of the average loss,
    so the position is that over the average loss. p is the mean (wins + 1) / (trades + 2) of its posterior under a
    uniform prior, and the bet is multiplied by k = e^2 / (e^2 + (b + 1)^2 v), with the edge e = (b + 1) p - 1 and
    the posterior variance v of p: what grows most when p is only estimated (Baker & McHale 2013, "Optimal betting
    under parameter uncertainty: improving the Kelly criterion", equation 6). Without an edge, without a trade, or
    while the payoff is unknown because there was no win or no loss, the size is 0.
    """
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"fraction must be in (0, 1], was {fraction}")
    trades = record.wins + record.losses
    inputs = {
        "wins": float(record.wins),
        "losses": float(record.losses),
        "average_win": record.average_win,
        "average_loss": record.average_loss,
        "fraction": fraction,
        "maximum": maximum,
    }
    if trades == 0:
        return Sizing("fractional_kelly", 0.0, "there are no trades to judge by", inputs)
    if min(record.average_win, record.average_loss, record.wins, record.losses) <= 0.0:
        return Sizing("fractional_kelly", 0.0, "the payoff is unknown without a win and a loss", inputs)
    payoff = record.average_win / record.average_loss
    win_rate = (record.wins + 1.0) / (trades + 2.0)
    variance = win_rate * (1.0 - win_rate) / (trades + 3.0)
    edge = (payoff + 1.0) * win_rate - 1.0
    inputs |= {"payoff": payoff, "win_rate": win_rate, "edge": edge}
    if edge <= 0.0:
        return Sizing("fractional_kelly", 0.0, "there is no edge", inputs)
    shrinkage = edge**2 / (edge**2 + (payoff + 1.0) ** 2 * variance)
    full = edge / payoff / record.average_loss
    return _held("fractional_kelly", fraction * shrinkage * full, maximum, inputs | {"shrinkage": shrinkage})


def volatility_target(*, target: float, volatility: float, maximum: float = 1.0) -> Sizing:
    """Return the size whose volatility is `target`: target / volatility, both over the same time.

    Moreira & Muir 2017, "Volatility-managed portfolios". A volatility of zero says that the market does not move or
    that its prices are old: nothing is bought.
    """
    inputs = {
        "target": _at_least_zero("target", target),
        "volatility": _at_least_zero("volatility", volatility),
        "maximum": maximum,
    }
    if volatility == 0.0:
        return Sizing("volatility_target", 0.0, "the market does not move", inputs)
    return _held("volatility_target", target / volatility, maximum, inputs)


def confidence_size(*, confidence: float, volatility: float, maximum: float = 1.0) -> Sizing:
    """Return TradeStream's volatility-adjusted size: confidence / (1 + volatility), the latter a year's."""
    inputs = {"confidence": confidence, "volatility": _at_least_zero("volatility", volatility), "maximum": maximum}
    if not 0.0 <= confidence <= 1.0:
        raise ValueError(f"confidence must be in [0, 1], was {confidence}")
    if confidence == 0.0:
        return Sizing("confidence_size", 0.0, "there is no confidence", inputs)
    return _held("confidence_size", confidence / (1.0 + volatility), maximum, inputs)


def blended(
    record: TradeRecord,
    *,
    confidence: float,
    volatility: float,
    risk_budget: float = 0.005,
    kelly_fraction: float = 0.25,
    blend: Blend = Blend(),
    maximum: float = 2.0,
) -> Sizing:
    """Return TradeStream's blend of three sizes, 0.4, 0.3 and 0.3 by default, each and so all held to `maximum`.

    A quarter of Kelly's bet, a volatility target of `risk_budget` (what it calls risk parity) and the confidence over
    one plus the volatility. There the win rate, payoff and volatility were constants of a query; here they are the
    strategy's unseen trades and a forecast of the year's volatility, and Kelly's part is shrunk by its uncertainty. As
    there, Kelly's bet is taken as if a loss took all that is invested, which is cautious. Where a part is zero for lack
    of evidence the others still count.
    """
    payoff = record.average_win / record.average_loss if record.average_loss > 0.0 else 0.0
    whole = replace(record, average_win=payoff, average_loss=1.0)
    parts = (
        (blend.kelly, fractional_kelly(whole, fraction=kelly_fraction, maximum=maximum)),
        (blend.volatility_target, volatility_target(target=risk_budget, volatility=volatility, maximum=maximum)),
        (blend.confidence, confidence_size(confidence=confidence, volatility=volatility, maximum=maximum)),
    )
    total = sum(weight * part.fraction for weight, part in parts)
    inputs = {part.method: part.fraction for _, part in parts} | {"maximum": maximum}
    if volatility == 0.0:
        return Sizing("blended", 0.0, "the market does not move", inputs, parts)
    if total == 0.0:
        return Sizing("blended", 0.0, "no part gives a size", inputs, parts)
    return Sizing("blended", total, BY_FORMULA, inputs, parts)


def _held(method: str, fraction: float, maximum: float, inputs: Mapping[str, float]) -> Sizing:
    if not 0.0 <= maximum < math.inf:
        raise ValueError(f"maximum must be at least 0 and finite, was {maximum}")
    if fraction > maximum:
        return Sizing(method, maximum, BY_MAXIMUM, inputs)
    return Sizing(method, fraction, BY_FORMULA, inputs)


def _at_least_zero(name: str, value: float) -> float:
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name} must be at least 0 and finite, was {value}")
    return value
