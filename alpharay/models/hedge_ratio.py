"""How much of one asset hedges another, when that changes: a Kalman filter over intercept and slope of a pair.

    y[t] = intercept[t] + ratio[t] * (x[t] - centre) + noise[t],   both walk: ratio[t] = ratio[t-1] + step[t]

The state-space regression of Harvey 1989, "Forecasting, Structural Time Series Models and the Kalman Filter", 3.2;
for pairs: Chan 2013, "Algorithmic Trading", chapter 3. With `y` and `x` as logarithms of prices the ratio is
in money: one of y against `ratio` of x. The centre keeps a step of the ratio from lifting the whole line, as it would
with x far from zero. Of the error's covariance its root is carried (Potter's form; Bierman 1977, "Factorization Methods
for Discrete Sequential Estimation", chapter II): stronger than Joseph's form, no rounding can make a variance negative,
and columns that are all but one keep their digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.optimize import minimize

from alpharay.market.candles import FloatArray
from alpharay.models.returns import finite_series

DIFFUSE = 1e4
"""Starting deviation of intercept and ratio, in units of the pair's own scale: nothing is known of them."""

LEAST_PAIRS = 30
"""Fewer do not tell three variances apart."""

SEARCH_STARTS = ((-12.0, -12.0, -2.0), (-6.0, -12.0, -2.0), (-12.0, -6.0, -2.0), (-6.0, -6.0, -6.0))
"""Logarithms of the three variances, in the pair's own scale, from which the likelihood is searched."""

SMALLEST_NOISE = 1e-10
"""Share of the variance of y that the noise has at least: with none, a surprise has no scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeState:
    """The filter after the last pair of prices: all that the next pair needs.

    Parameters
    ----------
    centre : float
        What x is measured from: the intercept is y's level there.
    intercept, ratio : float
        Their filtered means.
    root : tuple of three floats
        Lower triangle (intercept; shared, ratio) whose product with its transpose is the covariance of their error.
    intercept_step, ratio_step : float
        Variance of their changes from one pair to the next, at least 0; both 0 is least squares.
    noise : float
        Variance of y around the line, above 0.
    observations : int
    log_likelihood : float
        Of all pairs but the first two, which the diffuse start needs.
    """

    centre: float = 0.0
    intercept: float = 0.0
    ratio: float = 0.0
    root: tuple[float, float, float]
    intercept_step: float
    ratio_step: float
    noise: float
    observations: int = 0
    log_likelihood: float = 0.0

    def __post_init__(self) -> None:
        for name in ("intercept_step", "ratio_step"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} of a hedge must be at least 0 and finite, was {getattr(self, name)}")
        if not 0.0 < self.noise < math.inf:
            raise ValueError(f"noise of a hedge must be above 0 and finite, was {self.noise}")
        for name in ("centre", "intercept", "ratio", "log_likelihood"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} of a hedge must be finite, was {getattr(self, name)}")
        if not all(map(math.isfinite, self.root)):
            raise ValueError(f"root of a hedge must be finite, was {self.root}")

    @property
    def covariance(self) -> FloatArray:
        """Covariance of the error of intercept and ratio: (2, 2)."""
        triangle = np.array([[self.root[0], 0.0], [self.root[1], self.root[2]]])
        return triangle @ triangle.T


@dataclass(frozen=True, slots=True)
class HedgePath:
    """What the filter said at each pair, one element each, known at that pair's time.

    Parameters
    ----------
    intercept, ratio : FloatArray
        Filtered: after the pair.
    ratio_deviation : FloatArray
        Standard deviation of the ratio's error.
    surprise : FloatArray
        y less what was predicted before the pair: the tradable spread.
    z_score : FloatArray
        The surprise in its own predicted standard deviations: standard normal when the model holds.
    """

    intercept: FloatArray
    ratio: FloatArray
    ratio_deviation: FloatArray
    surprise: FloatArray
    z_score: FloatArray


@dataclass(frozen=True, slots=True)
class MeanReversion:
    """How a spread returns to its level: s[t] = level + coefficient * (s[t-1] - level) + noise.

    Parameters
    ----------
    coefficient : float
        Of the first-order autoregression, by least squares.
    level : float or None
        Where it returns to; None when it does not.
    deviation : float or None
        Standard deviation around that level in the long run; None when there is none.
    half_life : float or None
        Steps until half of a distance is gone: log(1/2) / log(abs(coefficient)); None when it does not return.
    t_statistic : float
        Of coefficient - 1, as Dickey & Fuller's: below -3.34 a residual of two prices reverts at 5 % (MacKinnon 2010,
        one regressor, many observations); a half-life without it may be chance.
    """

    coefficient: float
    level: float | None
    deviation: float | None
    half_life: float | None
    t_statistic: float


def hedged(state: HedgeState, y: npt.ArrayLike, x: npt.ArrayLike) -> tuple[HedgePath, HedgeState]:
    """Return what the filter says at each new pair, oldest first, and the state after the last.

    No pairs give empty columns and the same state. Raises ValueError for columns of different lengths, or NaN.
    """
    ys, xs = _pairs(y, x, least=0)
    beliefs, rows = np.array([state.intercept, state.ratio, *state.root]), np.empty((5, len(ys)))
    steps = np.array([state.intercept_step, state.ratio_step, state.noise])
    likelihood = _filter(beliefs, steps, state.observations, ys, xs - state.centre, rows, state.log_likelihood)
    intercept, ratio, first, shared, last = beliefs.tolist()
    after = replace(
        state,
        intercept=intercept,
        ratio=ratio,
        root=(first, shared, last),
        observations=state.observations + len(ys),
        log_likelihood=float(likelihood),
    )
    return HedgePath(*rows), after


def fit_hedge(y: npt.ArrayLike, x: npt.ArrayLike) -> HedgeState:
    """Return the filter with the variances that make all pairs likeliest, after the last of them.

    The likelihood is searched over the logarithms of three variances from four starting points (Nelder & Mead 1965),
    each scaled by the pair's own spread. Raises ValueError for fewer than 30 pairs, NaN, or a y or x that does not
    move.
    """
    ys, xs = _pairs(y, x, least=LEAST_PAIRS)
    y_scale, x_scale = float(ys.std()), float(xs.std())
    for name, series, scale in (("y", ys, y_scale), ("x", xs, x_scale)):
        if scale <= 1e-12 * float(np.abs(series).max()):
            raise ValueError(f"{name} of a pair must move, was {series[0]} throughout: there is nothing to hedge")
    units = np.array([y_scale**2, (y_scale / x_scale) ** 2, y_scale**2])
    start = HedgeState(
        centre=float(xs.mean()),
        root=(DIFFUSE * y_scale, 0.0, DIFFUSE * y_scale / x_scale),
        intercept_step=0.0,
        ratio_step=0.0,
        noise=y_scale**2,
    )
    offsets, rows = xs - start.centre, np.empty((5, len(ys)))

    def cost(logarithms: FloatArray) -> float:
        return -float(_filter(np.array([0.0, 0.0, *start.root]), np.exp(logarithms) * units, 0, ys, offsets, rows, 0.0))

    bounds = [(-30.0, 5.0), (-30.0, 5.0), (math.log(SMALLEST_NOISE), 5.0)]
    searches = [minimize(cost, begin, method="Nelder-Mead", bounds=bounds, tol=1e-4) for begin in SEARCH_STARTS]
    best = min(searches, key=lambda search: float(search.fun))
    intercept_step, ratio_step, noise = (np.exp(best.x) * units).tolist()
    return hedged(replace(start, intercept_step=intercept_step, ratio_step=ratio_step, noise=noise), ys, xs)[1]


def spread(state: HedgeState, y: npt.ArrayLike, x: npt.ArrayLike) -> FloatArray:
    """Return y less the state's newest line throughout: what the hedge of now would have done."""
    ys, xs = _pairs(y, x, least=0)
    return ys - state.intercept - state.ratio * (xs - state.centre)


def mean_reversion(values: npt.ArrayLike) -> MeanReversion:
    """Return how a spread returns to its level, by least squares of each value on the one before.

    The discrete form of an Ornstein-Uhlenbeck process (Uhlenbeck & Ornstein 1930). Least squares finds the coefficient
    too small by about (1 + 3 * coefficient) / n (Kendall 1954): half-lives of short windows are too short. Raises
    ValueError for fewer than 10 values, NaN, or a spread that does not move.
    """
    series = finite_series(values, "values of a spread", least=10)
    before, after = series[:-1], series[1:]
    centred = before - before.mean()
    weight = float(centred @ centred)
    if weight <= (1e-12 * float(np.abs(series).max())) ** 2 * len(series):
        raise ValueError(f"a spread must move, was {series[0]} throughout: it has no half-life")
    coefficient = float(centred @ after) / weight
    constant = float(after.mean() - coefficient * before.mean())
    errors = after - constant - coefficient * before
    noise = float(errors @ errors) / (len(errors) - 2)
    deviation = math.sqrt(noise / weight)
    t_statistic = (coefficient - 1.0) / deviation if deviation > 0.0 else math.copysign(math.inf, coefficient - 1.0)
    if abs(coefficient) >= 1.0:
        return MeanReversion(coefficient, None, None, None, t_statistic)
    half_life = math.log(0.5) / math.log(abs(coefficient)) if coefficient != 0.0 else 0.0
    long_run = math.sqrt(noise / (1.0 - coefficient**2))
    return MeanReversion(coefficient, constant / (1.0 - coefficient), long_run, half_life, t_statistic)


@njit(cache=True)
def _filter(
    beliefs: FloatArray, variances: FloatArray, seen: int, ys: FloatArray, xs: FloatArray, rows: FloatArray,
    likelihood: float,
) -> float:  # fmt: skip
    """Filter all pairs into `HedgePath`'s columns; return the likelihood with theirs, the first two ever seen apart."""
    intercept_step, ratio_step, noise = np.sqrt(variances[0]), np.sqrt(variances[1]), variances[2]
    for place in range(len(ys)):
        x = xs[place]
        a, b, c = beliefs[2], beliefs[3], beliefs[4]
        if seen + place > 0:
            # The root of covariance + diag(steps), by rotations: first the intercept's step, then the ratio's.
            longer = np.hypot(a, intercept_step)
            if longer > 0.0:
                b, spilled = b * a / longer, b * intercept_step / longer
                a, c = longer, np.hypot(c, spilled)
            c = np.hypot(c, ratio_step)
        # f = root' h and K = root f / variance for h = (1, x).
        f, g = a + b * x, c * x
        variance = f * f + g * g + noise
        surprise = ys[place] - beliefs[0] - beliefs[1] * x
        beliefs[0] += a * f / variance * surprise
        beliefs[1] += (b * f + c * g) / variance * surprise
        # The new root is the old one times that of I - f f' / variance, which is [[top, 0], [across, lower]].
        top = np.sqrt((g * g + noise) / variance)
        lower = np.sqrt(noise / (g * g + noise))
        across = -f * g / (variance * top)
        beliefs[2], beliefs[3], beliefs[4] = a * top, b * top + c * across, c * lower
        if seen + place >= 2:
            likelihood -= 0.5 * (np.log(2.0 * np.pi * variance) + surprise * surprise / variance)
        rows[0, place], rows[1, place] = beliefs[0], beliefs[1]
        rows[2, place] = np.hypot(beliefs[3], beliefs[4])
        rows[3, place], rows[4, place] = surprise, surprise / np.sqrt(variance)
    return likelihood


def _pairs(y: npt.ArrayLike, x: npt.ArrayLike, *, least: int) -> tuple[FloatArray, FloatArray]:
    ys, xs = finite_series(y, "y of a pair", least=least), finite_series(x, "x of a pair", least=least)
    if len(ys) != len(xs):
        raise ValueError(f"y and x must have the same length, had {len(ys)} and {len(xs)}")
    return ys, xs
