"""A rate with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """A share and the interval that holds the true one; all None where nothing was observed."""

    value: float | None
    low: float | None
    high: float | None


NO_RATE = Rate(None, None, None)


def wilson_rate(successes: float, observations: float, level: float = LEVEL) -> Rate:
    """Return successes / observations with Wilson's score interval.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference"; recommended for few
    observations by Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion". With n observations,
    p the share and z the normal quantile: (p + z² / 2n ± z sqrt(p (1 - p) / n + z² / 4n²)) / (1 + z² / n). Numbers need
    not be whole: overlapping observations count for less than one each (`alpharay.analytics.uniqueness`).

    Raises ValueError for successes outside [0, observations] or a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be in (0, 1), was {level}")
    if not -1e-9 <= successes <= observations * (1.0 + 1e-9) + 1e-9:
        raise ValueError(f"successes must be in [0, {observations}], was {successes}")
    if observations <= 0.0:
        return NO_RATE
    share = min(max(successes / observations, 0.0), 1.0)
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    squared = z * z / observations
    center = share + squared / 2.0
    half = z * math.sqrt(share * (1.0 - share) / observations + squared / (4.0 * observations))
    low, high = (center - half) / (1.0 + squared), (center + half) / (1.0 + squared)
    # Rounding must not leave the share itself outside.
    return Rate(share, max(min(low, share), 0.0), min(max(high, share), 1.0))
