"""Where a series has changed its regime: Bayesian online change-point detection.

Adams & MacKay 2007, "Bayesian Online Changepoint Detection", with a constant hazard and normal observations whose mean
and precision are unknown (normal-gamma prior; Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution",
section 3). Each possible length of the running regime has its own posterior; the next observation is Student t.

Lengths are counted here after an observation x[t]: n >= 1 says that x[t] is the n-th of its regime. Adams & MacKay's
run length r[t] also counts the regime that begins after x[t]: P(r[t] = 0) is the hazard whatever was observed, and
P(r[t] = n) = (1 - hazard) * P(n). So "has it changed" is asked here of the lengths that data speak of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from alpharay.market.candles import FloatArray, IntArray
from alpharay.models.returns import finite_series, share


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimePrior:
    """What is believed of a regime before its first observation (normal-gamma).

    Parameters
    ----------
    mean : float
        Expected mean of a regime.
    mean_observations : float
        How many observations that belief is worth, above 0.
    shape : float
        Half of how many observations the belief about the variance is worth, above 0.
    variance : float
        Expected variance of a regime (inverse of the expected precision), above 0.
    """

    mean: float = 0.0
    mean_observations: float = 1.0
    shape: float = 1.0
    variance: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise ValueError(f"mean of a regime must be finite, was {self.mean}")
        for name in ("mean_observations", "shape", "variance"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} of a regime must be above 0 and finite, was {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePointSettings:
    """How often regimes end, and how much is kept.

    Parameters
    ----------
    prior : RegimePrior
    hazard : float
        Chance of a change before each observation; regimes last 1 / hazard observations on average.
    least_probability : float
        Lengths less probable are dropped; 0 keeps all up to `most_lengths`.
    most_lengths : int
        Lengths kept at most, the most probable ones: the bound of memory and work.
    """

    prior: RegimePrior
    hazard: float = 1.0 / 250.0
    least_probability: float = 1e-8
    most_lengths: int = 500

    def __post_init__(self) -> None:
        share(self.hazard, "hazard")
        if not 0.0 <= self.least_probability < 0.01:
            raise ValueError(f"least_probability must be in [0, 0.01), was {self.least_probability}")
        if self.most_lengths < 2:
            raise ValueError(f"most_lengths must be at least 2, was {self.most_lengths}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangePointState:
    """The posterior after the last observation: one row a length that is still possible, shortest first.

    Parameters
    ----------
    settings : ChangePointSettings
    observations : int
    lengths : IntArray
        Observations of the running regime, from 1; empty before the first observation.
    probabilities : FloatArray
        Of each length; they sum to 1.
    means, squares : FloatArray
        Of each length: posterior mean, and the gamma's rate (half the sum of squares, the prior's included).
    log_evidence : float
        Log density of all observations and the histories that pruning has kept: K. With the density of all histories
        Z >= K, the kept posterior is at most 1 - K / Z in total variation from the one without pruning.
    dropped : float
        Sum over observations of the probability that pruning has dropped: by so much, in total variation, it moved
        the posterior at each of them.
    """

    settings: ChangePointSettings
    observations: int = 0
    lengths: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    probabilities: FloatArray = field(default_factory=lambda: np.empty(0))
    means: FloatArray = field(default_factory=lambda: np.empty(0))
    squares: FloatArray = field(default_factory=lambda: np.empty(0))
    log_evidence: float = 0.0
    dropped: float = 0.0


@dataclass(frozen=True, slots=True)
class Regime:
    """What the posterior says of the regime that runs now.

    Parameters
    ----------
    change_probability : float
        Probability that the regime began within the last `recent` observations.
    recent : int
    length : int
        The most probable length, in observations.
    length_probability : float
        Its probability.
    expected_length : float
    mean, volatility : float
        Of the regime with the most probable length: posterior mean, and root of the inverse expected precision.
    """

    change_probability: float
    recent: int
    length: int
    length_probability: float
    expected_length: float
    mean: float
    volatility: float


@dataclass(frozen=True, slots=True)
class RegimeHistory:
    """`Regime` after each observation, as columns."""

    change_probability: FloatArray
    length: IntArray
    mean: FloatArray
    volatility: FloatArray


def regime_prior(calm: npt.ArrayLike, *, mean_observations: float = 1.0, shape: float = 1.0) -> RegimePrior:
    """Return a prior with the mean and variance of the observations `calm`, worth a few observations.

    Raises ValueError for fewer than two, NaN, or a series that does not move: it says nothing about a variance.
    """
    series = finite_series(calm, "observations", least=2)
    variance = float(np.var(series))
    if not variance > 0.0:
        raise ValueError(f"the variance of the observations must be above 0, was {variance}: use a longer window")
    return RegimePrior(mean=float(series.mean()), mean_observations=mean_observations, shape=shape, variance=variance)


def observed(state: ChangePointState, observations: npt.ArrayLike) -> ChangePointState:
    """Return the state after `observations`, oldest first; none change nothing. Raises ValueError for NaN."""
    return _observed(state, finite_series(observations, "observations", least=0), recent=1)[0]


def regime(state: ChangePointState, *, recent: int = 10) -> Regime:
    """Return what the state says of the running regime; raises ValueError before the first observation."""
    if recent < 1:
        raise ValueError(f"recent must be at least 1, was {recent}")
    if state.observations == 0:
        raise ValueError("no observation has been seen: there is no regime yet")
    best = int(np.argmax(state.probabilities))
    length = int(state.lengths[best])
    shape = state.settings.prior.shape + 0.5 * length
    return Regime(
        change_probability=float(min(state.probabilities[state.lengths <= recent].sum(), 1.0)),
        recent=recent,
        length=length,
        length_probability=float(state.probabilities[best]),
        expected_length=float(state.probabilities @ state.lengths),
        mean=float(state.means[best]),
        volatility=math.sqrt(float(state.squares[best]) / shape),
    )


def regime_history(
    settings: ChangePointSettings, observations: npt.ArrayLike, *, recent: int = 10
) -> tuple[RegimeHistory, ChangePointState]:
    """Return the regime after each observation, and the state after the last; none give empty columns."""
    if recent < 1:
        raise ValueError(f"recent must be at least 1, was {recent}")
    series = finite_series(observations, "observations", least=0)
    state, columns = _observed(ChangePointState(settings=settings), series, recent=recent)
    change, length, mean, volatility = columns
    return RegimeHistory(change, length.astype(np.int64), mean, volatility), state


def _observed(state: ChangePointState, series: FloatArray, recent: int) -> tuple[ChangePointState, FloatArray]:
    """Return the state after a series, and `RegimeHistory`'s columns."""
    settings, prior = state.settings, state.settings.prior
    count = len(state.lengths)
    # One place more than is kept: the regime that begins with an observation, before the pruning.
    rows = np.zeros((4, max(settings.most_lengths, count) + 1))
    for row, column in enumerate((state.lengths, state.probabilities, state.means, state.squares)):
        rows[row, :count] = column
    columns = np.empty((4, len(series)))
    beliefs = np.array([prior.mean, prior.mean_observations, prior.shape, prior.shape * prior.variance])
    limits = np.array([settings.hazard, settings.least_probability])
    sums = np.array([state.log_evidence, state.dropped])
    count, seen = _observe(rows, count, series, beliefs, limits, settings.most_lengths, recent, columns, sums)
    if seen < len(series):
        raise ValueError(f"an observation must be within reach of the prior, was {series[seen]}: check its unit")
    after = replace(
        state,
        observations=state.observations + len(series),
        lengths=rows[0, :count].astype(np.int64),
        probabilities=rows[1, :count].copy(),
        means=rows[2, :count].copy(),
        squares=rows[3, :count].copy(),
        log_evidence=float(sums[0]),
        dropped=float(sums[1]),
    )
    return after, columns


@njit(cache=True)
def _observe(
    rows: FloatArray, count: int, series: FloatArray, beliefs: FloatArray, limits: FloatArray, most: int, recent: int,
    columns: FloatArray, sums: FloatArray,
) -> tuple[int, int]:  # fmt: skip
    """Take the observations into `rows` (length, probability, mean, half the sum of squares): algorithm 1, and prune.

    Log evidence and dropped probability are added to `sums`. Return the lengths kept and the observations taken.
    """
    mean, mean_observations, shape, square = beliefs
    hazard, least = limits
    for place in range(len(series)):
        value = series[place]
        begun = hazard if count > 0 else 1.0
        # Every length moves one place on; the regime of no observations yet comes first.
        for row in range(count, 0, -1):
            rows[0, row], rows[2, row], rows[3, row] = rows[0, row - 1], rows[2, row - 1], rows[3, row - 1]
            rows[1, row] = (1.0 - begun) * rows[1, row - 1]
        rows[0, 0], rows[1, 0], rows[2, 0], rows[3, 0] = 0.0, begun, mean, square
        count += 1
        top = -np.inf
        for row in range(count):
            trust = mean_observations + rows[0, row]
            freedom = shape + 0.5 * rows[0, row]
            distance = value - rows[2, row]
            surprise = distance * distance * trust / (2.0 * (trust + 1.0))
            # The density of a Student t with 2 * freedom degrees, as the ratio of two normal-gamma evidences.
            rows[1, row] = (
                np.log(rows[1, row])
                + math.lgamma(freedom + 0.5)
                - math.lgamma(freedom)
                + 0.5 * np.log(trust / (2.0 * np.pi * rows[3, row] * (trust + 1.0)))
                - (freedom + 0.5) * np.log1p(surprise / rows[3, row])
            )
            rows[0, row] += 1.0
            rows[2, row] += distance / (trust + 1.0)
            rows[3, row] += surprise
            top = max(top, rows[1, row])
        if not np.isfinite(top):
            return count, place
        total = 0.0
        for row in range(count):
            rows[1, row] = np.exp(rows[1, row] - top)
            total += rows[1, row]
        count, left = _pruned(rows, count, total, least, most)
        sums[0] += top + np.log(total) + np.log(left)
        sums[1] += max(1.0 - left, 0.0)
        _describe(rows, count, shape, recent, columns[:, place])
    return count, len(series)


@njit(cache=True)
def _pruned(rows: FloatArray, count: int, total: float, least: float, most: int) -> tuple[int, float]:
    """Drop the improbable lengths and, of too many, the least probable; return how many and how much is left."""
    kept, left = 0, 0.0
    for row in range(count):
        probability = rows[1, row] / total
        if probability >= least:
            for column in range(4):
                rows[column, kept] = rows[column, row]
            rows[1, kept] = probability
            left += probability
            kept += 1
    while kept > most:
        worst = np.argmin(rows[1, :kept])
        left -= rows[1, worst]
        for row in range(worst, kept - 1):
            for column in range(4):
                rows[column, row] = rows[column, row + 1]
        kept -= 1
    rows[1, :kept] /= left
    return kept, left


@njit(cache=True)
def _describe(rows: FloatArray, count: int, shape: float, recent: int, column: FloatArray) -> None:
    """Write what `regime` says: the probability of a recent change, the likeliest length, its mean and volatility."""
    best = np.argmax(rows[1, :count])
    changed = 0.0
    for row in range(count):
        if rows[0, row] <= recent:
            changed += rows[1, row]
    column[0] = min(changed, 1.0)
    column[1], column[2] = rows[0, best], rows[2, best]
    column[3] = np.sqrt(rows[3, best] / (shape + 0.5 * rows[0, best]))
