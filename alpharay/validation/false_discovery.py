"""False discoveries over many requests: at which level each p-value may count.

Testing at 5 % each, 12,000 requests without an edge would promote 600. A batch is controlled by Benjamini & Hochberg
(1995) or, under any dependence, Benjamini & Yekutieli (2001); a stream that never ends by an online procedure, which
fixes the level of a test from the outcomes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import zeta
from scipy.stats import false_discovery_control

from alpharay.market.candles import FloatArray, IntArray

RATE = 0.05
"""Share of false ones among the promotions that is accepted."""

CANDIDATE_LEVEL = 0.5
"""SAFFRON: the tests with a larger p-value tell how many have no edge, and only they spend its wealth."""

DECAY = 1.6
"""SAFFRON's and LORD's weights fall as j^-1.6 (Ramdas et al. 2018, section 4)."""

Procedure = Callable[[FloatArray, IntArray, float], float]
"""Takes the p-values of the tests before, which of them (places from zero) were discoveries, and the rate; returns the
level of the next test, which is a discovery when its p-value is at most that."""


def adjusted_p_values(p_values: Sequence[float], *, any_dependence: bool = False) -> FloatArray:
    """Return the p-values adjusted for a batch: what is at most the rate is a discovery.

    By Benjamini & Hochberg, which assumes independence or positive dependence, or for `any_dependence` by
    Benjamini & Yekutieli.
    """
    if len(p_values) == 0:
        return np.empty(0)
    adjusted: FloatArray = false_discovery_control(p_values, method="by" if any_dependence else "bh")
    return adjusted


def lond_level(p_values: FloatArray, found: IntArray, rate: float = RATE) -> float:
    """Return the next level of LOND: rate * b_j * (discoveries before + 1), with b_j = 6 / (pi j)^2.

    Javanmard & Montanari 2018, "Online rules for control of false discovery rate and false discovery exceedance".
    """
    return min(rate * 6.0 / (np.pi * (len(p_values) + 1)) ** 2 * (len(found) + 1), 1.0)


def lord_level(p_values: FloatArray, found: IntArray, rate: float = RATE) -> float:
    """Return the next level of LORD++ with a starting wealth of half the rate.

    Ramdas, Yang, Wainwright & Jordan 2017, "Online control of the false discovery rate with decaying memory".
    """
    now = len(p_values)
    return _spendable(rate, now + 1, now - found)


def saffron_level(p_values: FloatArray, found: IntArray, rate: float = RATE) -> float:
    """Return the next level of SAFFRON with a starting wealth of half the rate.

    Ramdas, Zrnic, Wainwright & Jordan 2018, "SAFFRON: an adaptive algorithm for online control of the false discovery
    rate". Of the rules here it finds the most when many edges are real: a test with a p-value up to `CANDIDATE_LEVEL`
    costs nothing. It assumes that a p-value without an edge is uniform given the outcomes before it; requests on one
    market depend on one another, which it does not cover.
    """
    now = len(p_values)
    candidates = np.concatenate([[0], np.cumsum(p_values <= CANDIDATE_LEVEL)]).astype(np.int64)
    since_start = now + 1 - int(candidates[now])
    since_found = now - found - (candidates[now] - candidates[found + 1])
    return min((1.0 - CANDIDATE_LEVEL) * _spendable(rate, since_start, since_found), CANDIDATE_LEVEL)


def online_levels(procedure: Procedure, p_values: Sequence[float], rate: float = RATE) -> FloatArray:
    """Return the level of each test of a stream, in the order of the tests."""
    tested = np.asarray(p_values, dtype=np.float64)
    levels = np.empty(len(tested))
    for place in range(len(tested)):
        found = np.flatnonzero(tested[:place] <= levels[:place]).astype(np.int64)
        levels[place] = procedure(tested[:place], found, rate)
    return levels


def _spendable(rate: float, since_start: int, since_found: IntArray) -> float:
    """Return what the starting wealth and each discovery's reward still give to a test so many places later."""
    wealth = rate / 2.0
    rewards = np.full(len(since_found), rate)
    rewards[:1] = rate - wealth
    return float(wealth * _weights(np.array([since_start]))[0] + rewards @ _weights(since_found))


def _weights(places: IntArray) -> FloatArray:
    """Return the weights of places from one on; all of them sum to one."""
    weights: FloatArray = places.astype(np.float64) ** -DECAY / zeta(DECAY)
    return weights
