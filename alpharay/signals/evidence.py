"""How much a strategy counts: its out-of-sample Sharpe ratio, shrunk by how little is known about it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alpharay.strategies.strategy import Strategy

YEAR_MS = 365.0 * 86_400_000.0

FLOOR = 0.01
"""What a strategy counts without good evidence: next to nothing, but visible in the answer."""

PRIOR_DEVIATION = 0.5
"""Spread of the annual Sharpe ratios that strategies really have, around a mean of none."""

TRADES_FOR_HALF = 10.0
"""Out-of-sample trades at which a strategy's weight reaches half of what its Sharpe ratio gives."""

TRUST = {
    "DEPLOYED": (0.5, 1.0),
    "VALIDATED": (0.5, 1.0),
    "CANDIDATE": (FLOOR, 0.5),
    "INSUFFICIENT": (FLOOR, 0.5),
}
"""The least and the most that a strategy counts, by status; others have no vote.

A candidate is the best of thousands that were tried, and nothing has corrected for that yet; nor has it for one whose
validation waits for newer candles. So no candidate counts more than a strategy that was validated.
"""

TRUSTED_STATUSES = frozenset({"DEPLOYED", "VALIDATED"})
"""What has passed validation."""


@dataclass(frozen=True, slots=True)
class ScoredStrategy:
    """A stored strategy with its evidence; the figures are those of `alpharay.backtest.metrics`."""

    strategy_id: str
    strategy: Strategy
    parameters: Mapping[str, float]
    status: str
    in_sample: Mapping[str, float | None]
    out_of_sample: Mapping[str, float | None]
    start_time: int
    """Open time (UTC, ms) of the first candle that the search used: every vote starts there too."""
    train_end_time: int
    """First open time that the search did not see, UTC ms."""
    end_time: int
    """End of the window, exclusive, UTC ms."""
    selected_weight: float | None = None
    """What selection gives it, in [FLOOR, 1]; None in a market where selection has deployed nothing."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployed strategy as selection left it."""

    strategy_id: str
    confidence: float | None
    """In [0, 1]; None when it was never scored."""
    ensemble_weight: float | None
    """Its part of the market's ensemble; None when it is no member (any longer)."""


def selected_weights(deployed: Iterable[Deployed]) -> dict[str, float]:
    """Return the weight of each deployed strategy's vote, in [FLOOR, 1].

    Its confidence times its part of the ensemble over the largest part: the votes stand to each other as in the
    ensemble, and are as sure as selection is of them. One that is no member stays only until its place is taken
    (`alpharay.selection.rotation`), and counts as the least of the members; alone, without any member, in full.
    """
    found = list(deployed)
    parts = [item.ensemble_weight for item in found if item.ensemble_weight is not None]
    largest, least = max(parts, default=1.0), min(parts, default=1.0)
    return {
        item.strategy_id: min(max((item.confidence or 0.0) * (item.ensemble_weight or least) / largest, FLOOR), 1.0)
        for item in found
    }


def weight(stored: ScoredStrategy) -> float:
    """Return the weight of a strategy's vote, in [FLOOR, 1].

    Where selection has deployed strategies it is theirs to say (`selected_weights`), and all others count FLOOR.
    Elsewhere weight = least + (most - least) * q, with the bounds of its status (`TRUST`) and q = S * k * n / (n + 10),
    from 0 to 1:

    * S: the smaller of the annual Sharpe ratios in and out of sample; out of sample alone may be luck,
      in sample alone is selection.
    * k and n / (n + 10): see `shrunk_sharpe`, for the years and the trades n out of sample.

    A missing, infinite, zero or negative result makes q zero. A status without a vote leaves FLOOR.
    """
    if stored.selected_weight is not None:
        return stored.selected_weight
    least, most = TRUST.get(stored.status, (FLOOR, FLOOR))
    out, inside = _number(stored.out_of_sample, "sharpe"), _number(stored.in_sample, "sharpe")
    trades = _number(stored.out_of_sample, "trades")
    years = (stored.end_time - stored.train_end_time) / YEAR_MS
    if out is None or inside is None or trades is None or years <= 0.0:
        return least
    return least + (most - least) * min(shrunk_sharpe(min(out, inside), years, trades), 1.0)


def shrunk_sharpe(sharpe: float, years: float, trades: float) -> float:
    """Return what is left to believe of an annual Sharpe ratio measured over `years` (above 0) and `trades`.

    S * k * n / (n + 10): k = v / (v + 1 / years) is the part of a measured ratio that is no error, when the
    true ones spread with variance v = 0.25 and the error of a measured one has variance 1 / years (Lo 2002,
    "The Statistics of Sharpe Ratios"). One year keeps a fifth, four half. Ten trades halve it: few say little,
    however good.
    """
    variance = PRIOR_DEVIATION**2
    return sharpe * variance / (variance + 1.0 / years) * trades / (trades + TRADES_FOR_HALF)


def _number(metrics: Mapping[str, float | None], name: str) -> float | None:
    """Return a metric that is a finite number above zero."""
    value = metrics.get(name)
    return value if value is not None and math.isfinite(value) and value > 0.0 else None
