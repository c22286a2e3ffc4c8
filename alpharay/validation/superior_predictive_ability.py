"""Hansen's test whether the best of many trials beats the benchmark, given that it was picked as the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpharay.market.candles import FloatArray


@dataclass(frozen=True, slots=True)
class SuperiorAbility:
    """p-values of "no trial beats the benchmark"."""

    lower: float
    """Trials worse than the benchmark are taken as such: too small when they are not."""
    consistent: float
    """Hansen's choice between the two."""
    upper: float
    """All trials count as just as good as the benchmark (White's reality check): too large with many poor ones."""
    trials: int
    block_days: int


def superior_ability(excess: FloatArray, *, repetitions: int = 1000, seed: int = 0) -> SuperiorAbility:
    """Test daily returns in excess of the benchmark, (trials, days), by a stationary bootstrap.

    Studentised, mean block length sqrt(days) (Hansen 2005, "A test for superior predictive ability"; White 2000),
    through the `arch` library. Trials whose excess never varies carry no information and are left out.

    Raises ValueError when no trial varies or there are fewer than ten days.
    """
    days = excess.shape[1]
    if days < 10:
        raise ValueError(f"superior ability needs at least 10 days, was {days}")
    varying = excess[excess.std(axis=1) > 0.0]
    if len(varying) == 0:
        raise ValueError(f"superior ability needs a trial whose excess varies, was none of {len(excess)}")
    # Imported here: the package takes a second, which whoever never asks for this test need not wait for.
    from arch.bootstrap import SPA

    block_days = max(int(np.sqrt(days)), 1)
    test = SPA(np.zeros(days), -varying.T, block_size=block_days, reps=repetitions, seed=seed)
    test.compute()
    found = test.pvalues
    return SuperiorAbility(
        float(found["lower"]), float(found["consistent"]), float(found["upper"]), len(varying), block_days
    )
