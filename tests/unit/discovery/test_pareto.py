from __future__ import annotations

import numpy as np
import pytest
from deap import base, creator, tools
from deap.tools.emo import assignCrowdingDist

from alpharay.discovery.pareto import best_first, crowding_distances, domination_ranks
from alpharay.market.candles import FloatArray


def individuals(fitness: FloatArray) -> list[base.Fitness]:
    """Return DEAP individuals with these fitness values, numbered."""
    if not hasattr(creator, "ThreeMaximised"):
        creator.create("ThreeMaximised", base.Fitness, weights=(1.0, 1.0, 1.0))
        creator.create("Numbered", list, fitness=creator.ThreeMaximised)
    made = []
    for number, values in enumerate(fitness):
        made.append(creator.Numbered([number]))
        made[-1].fitness.values = tuple(values)
    return made


@pytest.mark.parametrize("seed", range(5))
def test_fronts_crowding_and_survivors_are_those_of_deap(seed: int) -> None:
    fitness = np.random.default_rng(seed).normal(size=(90, 3))
    made = individuals(fitness)
    fronts = tools.sortNondominated(made, len(made))
    ranks = domination_ranks(fitness)
    for rank, front in enumerate(fronts):
        places = sorted(item[0] for item in front)
        assert np.flatnonzero(ranks == rank).tolist() == places
        assignCrowdingDist(front)
        expected = [item.fitness.crowding_dist for item in sorted(front)]
        np.testing.assert_allclose(crowding_distances(fitness[places]), expected, rtol=1e-12)
    for count in (1, 20, 60, 90):
        chosen = {item[0] for item in tools.selNSGA2(individuals(fitness), count)}
        mine = best_first(fitness)[:count]
        # At the last place equal distances (infinite at the ends of a front) may be chosen otherwise.
        assert sorted(ranks[mine].tolist()) == sorted(ranks[list(chosen)].tolist())
        assert len(chosen ^ set(mine.tolist())) <= 2 * int((ranks == ranks[mine[-1]]).sum() if count < 90 else 0)


def test_equal_rows_do_not_dominate_each_other() -> None:
    assert domination_ranks(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])).tolist() == [0, 0, 1]


def test_rows_that_never_traded_are_the_last_front_and_crowd_nothing() -> None:
    fitness = np.array([[-np.inf, -np.inf], [-5.0, -9.0], [-np.inf, -np.inf], [-6.0, -1.0]])
    assert domination_ranks(fitness).tolist() == [1, 0, 1, 0]
    assert best_first(fitness)[2:].tolist() == [0, 2]
    assert not np.isnan(crowding_distances(fitness)).any()


def test_one_objective_is_sorted_best_first_and_of_equals_the_earlier() -> None:
    assert best_first(np.array([[1.0], [5.0], [-np.inf], [5.0]])).tolist() == [1, 3, 0, 2]


def test_no_rows_have_no_fronts() -> None:
    assert len(domination_ranks(np.empty((0, 3)))) == 0
    assert len(best_first(np.empty((0, 3)))) == 0
