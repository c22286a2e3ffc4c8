from __future__ import annotations

import numpy as np

from alpharay.discovery.operators import LEAST_STEP, MOST_STEP, adapted_step, crossover, differ, mutate, tournament
from alpharay.discovery.search_space import SearchSpace, search_space
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

SPACE: SearchSpace = search_space(
    Strategy(
        "TEST",
        "",
        (Integer("n", 2, 100, 10), Real("x", 0.0, 1.0, 0.5)),
        enter=ta.sma(P.n) > P.x,
        exit=close < P.x,
    )
)


def test_a_tournament_of_many_prefers_the_best_and_of_one_is_a_draw() -> None:
    generator = np.random.default_rng(0)
    strong = np.bincount(tournament(4, 4000, 8, generator), minlength=4)
    draw = np.bincount(tournament(4, 4000, 1, generator), minlength=4)
    assert strong[0] > 3500
    assert strong[3] == 0
    assert draw.min() > 850


def test_the_mutation_step_grows_with_success_shrinks_without_and_stays_in_its_bounds() -> None:
    assert adapted_step(0.1, 0.5) > 0.1 > adapted_step(0.1, 0.0)
    assert adapted_step(MOST_STEP, 1.0) == MOST_STEP
    assert adapted_step(LEAST_STEP, 0.0) == LEAST_STEP


def test_crossover_swaps_whole_numbers_and_mixes_reals_around_their_mean() -> None:
    parents = np.tile(np.array([[10.0, 0.2], [20.0, 0.6]]), (500, 1))
    children = crossover(SPACE, parents, 1.0, np.random.default_rng(0))
    assert set(children[:, 0]) == {10.0, 20.0}
    np.testing.assert_allclose(children[0::2] + children[1::2], np.tile([30.0, 0.8], (500, 1)))
    assert len(np.unique(children[:, 1])) > 400


def test_crossover_with_probability_zero_returns_the_parents() -> None:
    parents = np.random.default_rng(0).random((20, 2))
    np.testing.assert_array_equal(crossover(SPACE, parents, 0.0, np.random.default_rng(1)), parents)


def test_mutation_changes_about_the_share_it_is_told_and_keeps_whole_numbers_whole() -> None:
    genomes = np.tile(np.array([[50.0, 0.5]]), (4000, 1))
    mutated = mutate(SPACE, genomes, 0.25, 0.1, np.random.default_rng(0))
    changed = (mutated != genomes).mean(axis=0)
    assert 0.2 < changed[0] < 0.3
    assert 0.2 < changed[1] < 0.3
    np.testing.assert_array_equal(mutated[:, 0], np.rint(mutated[:, 0]))


def test_mutation_with_probability_zero_changes_nothing() -> None:
    genomes = np.random.default_rng(0).random((20, 2))
    np.testing.assert_array_equal(mutate(SPACE, genomes, 0.0, 0.1, np.random.default_rng(1)), genomes)


def test_children_moved_by_differences_lie_along_the_populations_own_direction() -> None:
    generator = np.random.default_rng(0)
    along = generator.normal(size=(200, 1)) * np.array([[3.0, 1.0]])
    children = differ(along, np.arange(200), generator)
    moved = (children != along).all(axis=1)
    assert 0.7 < moved.mean() < 0.9
    steps = (children - along)[moved]
    np.testing.assert_allclose(steps[:, 0], 3.0 * steps[:, 1], rtol=1e-9)


def test_children_of_a_population_without_differences_are_its_copies() -> None:
    same = np.tile([[4.0, 0.5]], (10, 1))
    np.testing.assert_array_equal(differ(same, np.arange(6), np.random.default_rng(0)), same[:6])
