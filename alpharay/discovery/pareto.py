"""Which genomes are best when several objectives count: non-dominated sorting and crowding, on arrays.

Deb, Pratap, Agarwal & Meyarivan 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II". A row is a
genome, a column an objective; larger is better.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import FloatArray

IndexArray = npt.NDArray[np.intp]


def best_first(fitness: FloatArray) -> IndexArray:
    """Return the rows in the order in which they survive.

    One objective: by its value, of equal ones the earlier. Several: by front, within a front the least crowded.
    """
    if fitness.shape[1] == 1:
        return np.argsort(-fitness[:, 0], kind="stable")
    ranks = domination_ranks(fitness)
    crowding = np.empty(len(fitness))
    for rank in range(int(ranks.max(initial=-1)) + 1):
        front = np.flatnonzero(ranks == rank)
        crowding[front] = crowding_distances(fitness[front])
    return np.lexsort((-crowding, ranks))


def domination_ranks(fitness: FloatArray) -> IndexArray:
    """Return each row's front: 0 is dominated by no row, 1 by rows of front 0 only, and so on.

    A row dominates another that it is nowhere worse than and somewhere better than.
    """
    rows = len(fitness)
    dominates = np.ones((rows, rows), dtype=np.bool_)
    better = np.zeros((rows, rows), dtype=np.bool_)
    for column in fitness.T:
        dominates &= column[:, None] >= column[None, :]
        better |= column[:, None] > column[None, :]
    dominates &= better
    dominators = dominates.sum(axis=0)
    ranks = np.full(rows, -1, dtype=np.intp)
    rank = 0
    while True:
        front = (dominators == 0) & (ranks < 0)
        if not front.any():
            return ranks
        ranks[front] = rank
        dominators = dominators - dominates[front].sum(axis=0)
        rank += 1


def crowding_distances(fitness: FloatArray) -> FloatArray:
    """Return how far each row of one front is from its neighbours; infinite at the ends of each objective.

    Each objective's distance is a share of its range, and they are averaged. Objectives that are equal or not
    finite say nothing.
    """
    rows, objectives = fitness.shape
    distances = np.zeros(rows)
    for column in fitness.T:
        order = np.argsort(column, kind="stable")
        values = column[order]
        if not np.isfinite(values).all():
            continue
        distances[order[[0, -1]]] = np.inf
        span = values[-1] - values[0]
        if span > 0.0:
            distances[order[1:-1]] += (values[2:] - values[:-2]) / (span * objectives)
    return distances
