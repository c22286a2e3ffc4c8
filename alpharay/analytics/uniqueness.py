"""How many independent observations a set of overlapping ones is worth."""

from __future__ import annotations

import numpy as np

from alpharay.market.candles import FloatArray, IntArray


def average_uniqueness(start: IntArray, end: IntArray, group: IntArray | None = None) -> FloatArray:
    """Return each window's average uniqueness, in (0, 1]: the mean over its time of 1 / (windows open at that time).

    López de Prado 2018, "Advances in Financial Machine Learning", 4.2-4.3, in continuous time. Their sum is how many
    windows side by side would say as much: a signal that was asked for a hundred times counts once, and 24 signals of
    one candle each that are held for 24 candles count little more than once.

    `start` and `end` (exclusive) in any unit; a window that ends where it starts is taken as one unit long. Windows of
    different `group`s (markets) never share anything.
    """
    found = np.empty(len(start))
    groups = np.zeros(len(start), np.int64) if group is None else group
    order = np.argsort(groups, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(places):
            found[places] = _of_one_group(start[places], np.maximum(end[places], start[places] + 1))
    return found


def _of_one_group(start: IntArray, end: IntArray) -> FloatArray:
    # The number of open windows only changes where one starts or ends: the mean is an integral over steps.
    edges, places = np.unique(np.concatenate([start, end]), return_inverse=True)
    changes = np.bincount(places, np.repeat([1.0, -1.0], len(start)), len(edges))
    open_windows = np.cumsum(changes)[:-1]
    lengths = np.diff(edges).astype(np.float64)
    shared = np.divide(lengths, open_windows, out=np.zeros_like(lengths), where=open_windows > 0.5)
    integral = np.concatenate([[0.0], np.cumsum(shared)])
    first, last = places[: len(start)], places[len(start) :]
    unique: FloatArray = (integral[last] - integral[first]) / (end - start)
    return unique
