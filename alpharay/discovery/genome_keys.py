"""Genomes as 64-bit keys: which ones a search has tried is a sorted array of numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray

KeyArray = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)


def genome_keys(genomes: FloatArray) -> KeyArray:
    """Return a key for each row; equal rows have equal keys.

    Each value is mixed with its column's number by the finaliser of SplitMix64 (Steele, Lea & Flood 2014), and their
    sum once more. Two different genomes of a million share a key with a chance of 3e-8; the later one is then taken
    for tried.
    """
    bits = np.ascontiguousarray(genomes, dtype=np.float64).view(np.uint64)
    columns = np.arange(1, bits.shape[1] + 1, dtype=np.uint64) * _INCREMENT
    return _mixed(_mixed(bits + columns).sum(axis=1, dtype=np.uint64))


def _mixed(values: KeyArray) -> KeyArray:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def untried(keys: KeyArray, tried: KeyArray) -> BoolArray:
    """Tell of each key whether it is neither in `tried` (sorted) nor earlier in `keys`."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    fresh = np.ones(len(keys), dtype=np.bool_)
    fresh[order[1:]] = ordered[1:] != ordered[:-1]
    if len(tried):
        fresh &= tried[np.minimum(np.searchsorted(tried, keys), len(tried) - 1)] != keys
    return fresh


def with_keys(tried: KeyArray, keys: KeyArray) -> KeyArray:
    """Return the keys of both, sorted; none of `keys` may be in `tried`."""
    return np.sort(np.concatenate([tried, keys]))
