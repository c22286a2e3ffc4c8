"""The gate: a model speaks only when it foretells better than the base rate, by more than luck explains."""

from __future__ import annotations

import math

import numpy as np

from alpharay.market.candles import FloatArray
from alpharay.models.signal_model import Reliability

RELIABILITY_PARTS = 10


def log_losses(probabilities: FloatArray, outcomes: FloatArray) -> FloatArray:
    """Return the log loss of each sample, in nats: -ln of the probability given to what happened.

    One that was given no probability at all counts as the least that a float can tell from it: 36 nats.
    """
    given = np.where(outcomes == 1.0, probabilities, 1.0 - probabilities)
    return -np.log(np.maximum(given, np.finfo(np.float64).eps))


def mean_gain_bound(gains: FloatArray, *, block: int, bootstraps: int, confidence: float, seed: int) -> float:
    """Return the lower confidence bound of the mean of `gains`, which are in time order.

    Circular block bootstrap (Politis & Romano 1992): means of as many samples, drawn in blocks of `block` that follow
    each other in time, wrapped around the end. Outcomes of overlapping trades hang together, so single ones would be
    counted as more evidence than they are. The bound is the (1 - confidence) quantile of those means.
    """
    count = len(gains)
    if count == 0:
        raise ValueError("gains must be at least one, were none")
    block = min(max(block, 1), count)
    blocks = -(-count // block)
    last = count - (blocks - 1) * block
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([gains, gains[:block]]))])
    generator = np.random.default_rng(seed)
    starts = generator.integers(0, count, (bootstraps, blocks))
    lengths = np.full(blocks, block)
    lengths[-1] = last
    means = (sums[starts + lengths] - sums[starts]).sum(axis=1) / count
    return float(np.quantile(means, 1.0 - confidence))


def reliability(probabilities: FloatArray, outcomes: FloatArray) -> tuple[Reliability, ...]:
    """Return the calibration curve: the samples in order of probability, in ten parts of about equal size."""
    order = np.argsort(probabilities, kind="stable")
    return tuple(
        Reliability(len(part), float(probabilities[part].mean()), float(outcomes[part].mean()))
        for part in np.array_split(order, RELIABILITY_PARTS)
        if len(part)
    )


def verdict(gain: float, gain_bound: float, confidence: float) -> tuple[bool, str]:
    """Return whether a model is promoted, and why; losses are told in thousandths of a nat."""
    if not math.isfinite(gain_bound):
        return False, "its gain over the base rate is not known"
    told = f"log loss {1000 * gain:+.2f} mnat better than the base rate, bound {1000 * gain_bound:+.2f}"
    if gain_bound > 0.0:
        return True, f"{told}, above 0 with {confidence:.0%} confidence"
    return False, f"{told}: must be above 0 with {confidence:.0%} confidence, so it abstains"
