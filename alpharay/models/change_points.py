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
from scipy.special import gammaln

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
    for value in finite_series(observations, "observations", least=0).tolist():
        state = _observe(state, value)
    return state


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
    series = finite_series(observations, "observations", least=0)
    change, length = np.empty(len(series)), np.empty(len(series), dtype=np.int64)
    mean, volatility = np.empty(len(series)), np.empty(len(series))
    state = ChangePointState(settings=settings)
    for place, value in enumerate(series.tolist()):
        state = _observe(state, value)
        now = regime(state, recent=recent)
        change[place], length[place] = now.change_probability, now.length
        mean[place], volatility[place] = now.mean, now.volatility
    return RegimeHistory(change, length, mean, volatility), state


def _observe(state: ChangePointState, value: float) -> ChangePointState:
    """Return the state after one observation: Adams & MacKay's algorithm 1, then the pruning."""
    settings, prior = state.settings, state.settings.prior
    # A regime of no observations yet stands first: with the hazard's chance, or for certain at the very start.
    begun = settings.hazard if state.observations else 1.0
    lengths = np.concatenate(([0], state.lengths))
    weights = np.concatenate(([begun], (1.0 - begun) * state.probabilities))
    means = np.concatenate(([prior.mean], state.means))
    squares = np.concatenate(([prior.shape * prior.variance], state.squares))
    trust = prior.mean_observations + lengths
    shape = prior.shape + 0.5 * lengths
    with np.errstate(over="ignore"):  # what is out of reach is refused below
        surprise = (value - means) ** 2 * trust / (2.0 * (trust + 1.0))
    # The density of a Student t with 2 * shape degrees of freedom, as the ratio of two normal-gamma evidences.
    log_density = (
        gammaln(shape + 0.5)
        - gammaln(shape)
        + 0.5 * np.log(trust / (2.0 * np.pi * squares * (trust + 1.0)))
        - (shape + 0.5) * np.log1p(surprise / squares)
    )
    with np.errstate(divide="ignore"):
        joint = np.log(weights) + log_density
    top = joint.max()
    if not math.isfinite(top):
        raise ValueError(f"an observation must be within reach of the prior, was {value}: check its unit")
    probabilities = np.exp(joint - top)
    total = float(probabilities.sum())
    probabilities /= total
    kept = _kept(probabilities, settings)
    left = float(probabilities[kept].sum())
    return replace(
        state,
        observations=state.observations + 1,
        lengths=lengths[kept] + 1,
        probabilities=probabilities[kept] / left,
        means=(means + (value - means) / (trust + 1.0))[kept],
        squares=(squares + surprise)[kept],
        log_evidence=state.log_evidence + float(top) + math.log(total) + math.log(left),
        dropped=state.dropped + max(1.0 - left, 0.0),
    )


def _kept(probabilities: FloatArray, settings: ChangePointSettings) -> IntArray:
    """Return the places of the lengths that stay, in order: the probable ones, and of them the most probable."""
    kept = np.flatnonzero(probabilities >= settings.least_probability)
    if len(kept) > settings.most_lengths:
        order = np.argsort(-probabilities[kept], kind="stable")[: settings.most_lengths]
        kept = np.sort(kept[order])
    return kept
