"""When a deployed strategy has decayed: what it earned since is no longer what it was deployed for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kurtosis, norm, skew

from alpharay.market.candles import FloatArray
from alpharay.selection.track import annual_sharpe

DAYS_A_YEAR = 365.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetirementSettings:
    """When to retire.

    Parameters
    ----------
    test_every_days : int
        Live days between two tests; the first is after as many. Rare tests keep false alarms rare.
    doubt : float
        Retire when the probability that the true Sharpe ratio is still at least half of the expected one is lower.
    drawdown_factor : float
        Retire when the live drawdown is more than so many times the worst one before deployment.
    least_drawdown : float
        A smaller live drawdown never retires.
    stale_days : int
        Retire when the newest evidence is older.
    """

    test_every_days: int = 30
    doubt: float = 0.05
    drawdown_factor: float = 2.0
    least_drawdown: float = 0.1
    stale_days: int = 180

    def __post_init__(self) -> None:
        for name in ("test_every_days", "stale_days"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, was {getattr(self, name)}")
        if not 0.0 < self.doubt < 1.0:
            raise ValueError(f"doubt must be in (0, 1), was {self.doubt}")
        if not self.drawdown_factor >= 1.0:
            raise ValueError(f"drawdown_factor must be at least 1, was {self.drawdown_factor}")
        if not 0.0 <= self.least_drawdown < 1.0:
            raise ValueError(f"least_drawdown must be in [0, 1), was {self.least_drawdown}")


def probabilistic_sharpe(returns: FloatArray, benchmark: float) -> float:
    """Return the probability that the true annual Sharpe ratio of daily `returns` is above `benchmark` (annual).

    Bailey & López de Prado 2012, "The Sharpe Ratio Efficient Frontier", eq. 9:
    Phi((s - b) sqrt(n - 1) / sqrt(1 - g3 s + (g4 - 1) / 4 s^2)) with daily s and b, skewness g3 and kurtosis g4 (3 for
    a normal). Fewer than three returns tell nothing: 0.5. Flat ones have a ratio of 0: 1 above a negative benchmark,
    0 under a positive one, else 0.5.
    """
    if len(returns) < 3:
        return 0.5
    daily, wanted = annual_sharpe(returns) / np.sqrt(DAYS_A_YEAR), benchmark / np.sqrt(DAYS_A_YEAR)
    if returns.std() == 0.0:
        return 0.5 if wanted == 0.0 else float(wanted < 0.0)
    variance = 1.0 - float(skew(returns)) * daily + (float(kurtosis(returns, fisher=False)) - 1.0) / 4.0 * daily**2
    return float(norm.cdf((daily - wanted) * np.sqrt(len(returns) - 1) / np.sqrt(variance)))


def worst_drawdown(returns: FloatArray) -> float:
    """Return the largest fall of the equity of daily returns from its peak, the start included; 0 for none."""
    equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    return float((1.0 - equity / np.maximum.accumulate(equity)).max())


def reason_to_retire(
    before: FloatArray,
    live: FloatArray,
    evidence_age_days: float,
    settings: RetirementSettings = RetirementSettings(),
) -> str | None:
    """Return why a strategy must go, from its unseen daily returns before deployment and those since; None to stay.

    The live returns are tested in whole periods of `settings.test_every_days`, so the answer between two tests is that
    of the earlier one. The drawdown is looked at every day.
    """
    if evidence_age_days > settings.stale_days:
        return f"its newest evidence is {evidence_age_days:.0f} days old, more than {settings.stale_days}"
    fallen = worst_drawdown(live)
    allowed = max(settings.drawdown_factor * worst_drawdown(before), settings.least_drawdown)
    if fallen > allowed:
        return f"it has lost {fallen:.1%} from its peak since deployment; {allowed:.1%} is allowed"
    tested = live[: len(live) // settings.test_every_days * settings.test_every_days]
    expected = annual_sharpe(before)
    if len(tested) == 0 or expected <= 0.0:
        return None
    chance = probabilistic_sharpe(tested, expected / 2.0)
    if chance < settings.doubt:
        return (
            f"a Sharpe ratio of {annual_sharpe(tested):.2f} over {len(tested)} live days leaves a chance of "
            f"{chance:.1%} that half of the expected {expected:.2f} is still there"
        )
    return None
