"""Trials that did the same: how many different things a search has really tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from alpharay.market.candles import FloatArray, IntArray

SAME_FROM_CORRELATION = 0.5
"""Trials whose clusters correlate at least so much on average count as one."""

MOST_TRIALS = 1500
"""Correlations grow with the square of the trials; more are thinned out evenly before."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Trials by what their returns did."""

    labels: IntArray
    """One a trial, from zero."""
    representatives: IntArray
    """One trial a cluster: its medoid, the one that correlates most with the others of its cluster."""

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return len(self.representatives)


def correlation_clusters(returns: FloatArray, same_from: float = SAME_FROM_CORRELATION) -> Clusters:
    """Cluster trials, (trials, days), by average linkage over the distance sqrt((1 - correlation) / 2).

    The distance is that of López de Prado (2016, "Building diversified portfolios that outperform out of sample").
    Trials whose returns never vary (no trade) are one cluster. Raises ValueError without a trial.
    """
    if len(returns) == 0:
        raise ValueError("there must be at least one trial to cluster, was 0")
    varies = returns.std(axis=1) > 0.0 if returns.shape[1] else np.zeros(len(returns), dtype=np.bool_)
    labels = np.zeros(len(returns), dtype=np.int64)
    places = np.flatnonzero(varies)
    if len(places) < 2:
        labels[places] = int((~varies).any())
        return Clusters(labels, np.unique(labels, return_index=True)[1].astype(np.int64))
    correlation = np.clip(np.corrcoef(returns[places]), -1.0, 1.0)
    distance = np.sqrt((1.0 - correlation) / 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    labels[places] = fcluster(tree, np.sqrt((1.0 - same_from) / 2.0), criterion="distance")
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    representatives = np.empty(labels.max() + 1, dtype=np.int64)
    for label in range(len(representatives)):
        members = np.flatnonzero(labels == label)
        rows = np.searchsorted(places, members) if varies[members[0]] else None
        inner = 0 if rows is None else int(np.argmax(correlation[np.ix_(rows, rows)].sum(axis=1)))
        representatives[label] = members[inner]
    return Clusters(labels, representatives)


def without_market(returns: FloatArray, market: FloatArray) -> FloatArray:
    """Return what is left of trials' returns, (trials, days), after a regression on the market's.

    Rules that only buy all rise and fall with the market: their raw returns correlate however different they are.
    """
    centred = market - market.mean() if len(market) else market
    spread = float(centred @ centred)
    betas = returns @ centred / spread if spread > 0.0 else np.zeros(len(returns))
    left = returns - betas[:, None] * market
    # Who held the market all the time has rounding errors left, and nothing else.
    return np.where(left.std(axis=1, keepdims=True) > 1e-12, left, 0.0)


def thinned(rows: int, most: int = MOST_TRIALS) -> IntArray:
    """Return at most `most` places out of `rows`, evenly spread."""
    if rows <= most:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, most).round().astype(np.int64))
