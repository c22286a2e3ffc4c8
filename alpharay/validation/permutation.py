"""The permutation test of a whole search: is its best better than what it finds where there is nothing to find.

The search is run again, with the same budget, on sign-flipped candles (`alpharay.validation.sign_flip`): its best
statistics there are the null distribution, with all the multiple testing of the search in it.

p = (1 + number of null statistics >= the observed one) / (1 + number of permutations) (Phipson & Smyth 2010): the
observed series is one of the permutations, so p is never 0 and P(p <= a) <= a holds at any number of permutations.

With `stop_after` = h the permutations end when h null statistics have reached the observed one, at the n-th of them;
then p = h / n (Besag & Clifford 1991), which keeps P(p <= a) <= a: hopeless results take a few searches, promising ones
all. h = `exceedances_at(level, permutations)` never stops a test that could still have come to p <= level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, isnan

import numpy as np

from alpharay.discovery.evaluation import Executor, SerialExecutor
from alpharay.market.candles import Candles, FloatArray
from alpharay.validation.sign_flip import sign_flipped, without_bad_ticks

Statistic = Callable[[Candles], float]
"""One number for a series, higher is better, -inf when nothing was found; it depends on the candles alone."""

PERMUTATION_STREAM = 0x5167
"""Keeps the random numbers of the flips apart from others with the same seed."""


@dataclass(frozen=True, slots=True)
class PermutationResult:
    """The observed statistic among those of the permutations."""

    p_value: float
    observed: float
    null: FloatArray
    """The statistics of the permutations that count, in their order; -inf where a search found nothing."""
    exceedances: int
    """How many of them reach the observed one."""
    permutations: int
    """How many there would have been without stopping."""
    stopped_early: bool


@dataclass(frozen=True, slots=True)
class NullStatistic:
    """The statistic of the n-th flipped series: it depends on `seed` and the number alone, whoever computes it."""

    statistic: Statistic
    candles: Candles
    seed: int
    start: int

    def __call__(self, number: int) -> float:
        """Return the statistic of flip `number`, from 0."""
        generator = np.random.default_rng([PERMUTATION_STREAM, self.seed, number])
        return _checked(self.statistic(sign_flipped(self.candles, generator, start=self.start)))


def permutation_test(
    statistic: Statistic,
    candles: Candles,
    *,
    permutations: int,
    seed: int = 0,
    stop_after: int | None = None,
    start: int = 0,
    observed: float | None = None,
    known: Sequence[float] = (),
    executor: Executor | None = None,
    on_null: Callable[[int, float], None] | None = None,
) -> PermutationResult:
    """Test `statistic` of `candles` against that of their sign-flipped versions.

    Parameters
    ----------
    statistic : callable
        The whole search; picklable when the executor sends it elsewhere.
    permutations : int
        At most so many flipped series, at least 1.
    stop_after : int, optional
        Stop when so many of them reach the observed statistic.
    start : int
        Rows before it are never flipped: what indicators need to start.
    observed : float, optional
        The statistic of `candles`, when it is there already. It must be that of `without_bad_ticks(candles)`.
    known : sequence of float
        The first statistics of the null, from a run that was interrupted; they are not computed again.
    executor : Executor, optional
        Computes as many at a time as it has workers; the result is the same for any number.
    on_null : callable, optional
        Told each number and statistic as they come, to show progress and to keep them.

    Raises ValueError when a count is out of range or the statistic is NaN.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, was {permutations}")
    if stop_after is not None and stop_after < 1:
        raise ValueError(f"stop_after must be at least 1, was {stop_after}")
    executor = executor or SerialExecutor()
    reached = _checked(statistic(without_bad_ticks(candles)) if observed is None else observed)
    compute = NullStatistic(statistic, candles, seed, start)
    null = [_checked(value) for value in known[:permutations]]
    while len(null) < permutations and not _is_over(null, reached, stop_after):
        numbers = range(len(null), min(len(null) + max(executor.workers, 1), permutations))
        for number, value in zip(numbers, executor(compute, numbers), strict=True):
            null.append(value)
            if on_null is not None:
                on_null(number, value)
    return _result(np.array(null), reached, permutations, stop_after)


def exceedances_at(level: float, permutations: int) -> int:
    """Return the fewest exceedances with which p <= `level` is out of reach, for `stop_after`."""
    # p = (1 + g) / (1 + n) <= level allows g up to level * (1 + n) - 1; a hair for binary fractions.
    return max(floor(level * (1 + permutations) + 1e-9), 1)


def _is_over(null: Sequence[float], reached: float, stop_after: int | None) -> bool:
    return stop_after is not None and sum(value >= reached for value in null) >= stop_after


def _result(null: FloatArray, reached: float, permutations: int, stop_after: int | None) -> PermutationResult:
    """Return the result; what several workers computed past the stop does not count."""
    hits = np.flatnonzero(null >= reached)
    if stop_after is not None and len(hits) >= stop_after:
        counted = int(hits[stop_after - 1]) + 1
        p_value = stop_after / counted
        return PermutationResult(p_value, reached, null[:counted], stop_after, permutations, counted < permutations)
    p_value = (1 + len(hits)) / (1 + len(null))
    return PermutationResult(p_value, reached, null, len(hits), permutations, stopped_early=False)


def _checked(value: float) -> float:
    if isnan(value):
        raise ValueError("a permutation's statistic must be a number, was NaN: return -inf when nothing was found")
    return float(value)
