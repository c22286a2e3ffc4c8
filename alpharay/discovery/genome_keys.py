"""Genomes as 64-bit keys: which ones a search has tried is a sorted array of numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray

KeyArray = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

_MULTIPLIERS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)


def genome_keys(genomes: FloatArray) -> KeyArray:
    """Return a key for each row; equal rows have equal keys.

    Each column is mixed in by the finaliser of SplitMix64 (Steele, Lea & Flood 2014). Two different genomes of a
    million share a key with a chance of 3e-8; the later one is then taken for tried.
    """
    bits = np.ascontiguousarray(genomes, dtype=np.float64).view(np.uint64)
    keys = np.zeros(len(bits), dtype=np.uint64)
    for column in bits.T:
        keys = (keys ^ column) + _INCREMENT
        keys = (keys ^ (keys >> np.uint64(30))) * _MULTIPLIERS[0]
        keys = (keys ^ (keys >> np.uint64(27))) * _MULTIPLIERS[1]
        keys = keys ^ (keys >> np.uint64(31))
    return keys


def untried(keys: KeyArray, tried: KeyArray) -> BoolArray:
    """Tell of each key whether it is neither in `tried` (sorted) nor earlier in `keys`."""
    first = np.zeros(len(keys), dtype=np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    if len(tried) == 0:
        return first
    places = np.minimum(np.searchsorted(tried, keys), len(tried) - 1)
    found: BoolArray = first & (tried[places] != keys)
    return found


def with_keys(tried: KeyArray, keys: KeyArray) -> KeyArray:
    """Return the sorted union."""
    return np.union1d(tried, keys)
