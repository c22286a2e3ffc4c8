"""Cross-validation in time without a leak: purged of labels that overlap, and embargoed.

López de Prado 2018, "Advances in Financial Machine Learning", chapter 7. A label looks ahead, so a sample from shortly
before the tested stretch is labelled by prices inside it: such samples are purged. One from shortly after it has
features and moves that still resemble the stretch: the embargo leaves out so many bars.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from alpharay.market.candles import IntArray


class Fold(NamedTuple):
    """Places of samples: those to learn from, and those to foretell."""

    train: IntArray
    test: IntArray


def purged_folds(starts: IntArray, ends: IntArray, *, folds: int, embargo: int) -> Iterator[Fold]:
    """Yield `folds` stretches of about equally many samples, oldest first, each with what may be learned from.

    Sample i is decided at bar `starts[i]` and its label is known at bar `ends[i]`; starts ascend. A sample is learned
    from when its label is known before the stretch begins, or when it is decided more than `embargo` bars after the
    stretch's last label is known. Raises ValueError for fewer samples than folds.
    """
    if folds < 2:
        raise ValueError(f"folds must be at least 2, was {folds}")
    if embargo < 0:
        raise ValueError(f"embargo must be at least 0, was {embargo}")
    if len(starts) < folds:
        raise ValueError(f"samples must be at least as many as folds ({folds}), were {len(starts)}")
    if len(starts) != len(ends) or (ends < starts).any() or (np.diff(starts) < 0).any():
        raise ValueError("starts must ascend, and each label be known no earlier than its start")
    for test in np.array_split(np.arange(len(starts)), folds):
        before = ends < starts[test[0]]
        after = starts > ends[test].max() + embargo
        yield Fold(np.flatnonzero(before | after), test)
