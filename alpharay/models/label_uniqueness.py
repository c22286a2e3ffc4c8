"""How much of what a label tells is its own: labels whose trades overlap tell much of the same.

López de Prado 2018, "Advances in Financial Machine Learning", chapter 4.
"""

from __future__ import annotations

import numpy as np

from alpharay.market.candles import FloatArray, IntArray


def average_uniqueness(starts: IntArray, ends: IntArray) -> FloatArray:
    """Return for each label the mean of 1 / (labels that rest on a bar) over the bars that it rests on, in (0, 1].

    A label decided at bar `start` and known at the open of bar `end` rests on the bars between the two. Summed over
    labels it says how many labels without overlap would tell as much.
    """
    if len(starts) == 0:
        return np.empty(0)
    if (ends <= starts + 1).any():
        raise ValueError("a label must rest on at least one bar between its start and its end")
    steps = np.zeros(int(ends.max()) + 1)
    np.add.at(steps, starts + 1, 1.0)
    np.add.at(steps, ends, -1.0)
    labels = np.cumsum(steps)
    shares = np.concatenate([[0.0], np.cumsum(np.where(labels > 0.5, 1.0 / np.maximum(labels, 1.0), 0.0))])
    return (shares[ends] - shares[starts + 1]) / (ends - starts - 1)
