from __future__ import annotations

import numpy as np
import pytest

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


def test_crossed_reals_are_those_of_deb_and_agrawal() -> None:
    """Simulated binary crossover, written out for one pair: c = ((1 ± b) p + (1 ∓ b) q) / 2."""
    generator = np.random.default_rng(5)
    parents = np.column_stack([generator.integers(2, 100, 60), generator.random(60)]).astype(np.float64)
    children = crossover(SPACE, parents, 0.7, np.random.default_rng(9))
    draws = np.random.default_rng(9)
    pairs, columns, spreads = draws.random((30, 1)), draws.random((30, 2)), draws.random((30, 2))
    kinds = set()
    for pair in range(30):
        for column in range(2):
            p, q = parents[2 * pair, column], parents[2 * pair + 1, column]
            u = spreads[pair, column]
            b = (2 * u) ** (1 / 16) if u <= 0.5 else (1 / (2 * (1 - u))) ** (1 / 16)
            expected = (((1 + b) * p + (1 - b) * q) / 2, ((1 - b) * p + (1 + b) * q) / 2) if column == 1 else (q, p)
            crossed = pairs[pair, 0] < 0.7 and columns[pair, column] < 0.5
            np.testing.assert_allclose(
                children[2 * pair : 2 * pair + 2, column], expected if crossed else (p, q), rtol=1e-12
            )
            kinds.add((crossed, column, u <= 0.5))
    assert len(kinds) == 8, "every case was met"


def test_a_mutated_value_is_a_step_of_its_range_or_a_new_whole_number() -> None:
    generator = np.random.default_rng(5)
    genomes = np.column_stack([generator.integers(2, 101, 400), generator.random(400)]).astype(np.float64)
    mutated = mutate(SPACE, genomes, 0.6, 0.05, np.random.default_rng(9))
    draws = np.random.default_rng(9)
    changed, steps = draws.random((400, 2)), draws.standard_normal((400, 2))
    places, fresh = draws.random((400, 2)), draws.random((400, 2))
    ranges = (98.0, 1.0)
    for row in range(400):
        for column in range(2):
            step = steps[row, column] * ranges[column] * 0.05
            value = genomes[row, column]
            if changed[row, column] >= 0.6:
                expected = value
            elif column == 1:
                expected = value + step
            elif fresh[row, column] < 0.5:
                # From 2 to 100, all with the same chance.
                expected = 2 + int(places[row, column] * 99)
            else:
                expected = value + (-1 if step < 0 else 1) * np.ceil(abs(step))
            assert mutated[row, column] == pytest.approx(expected, abs=1e-12)


def test_a_child_moves_by_thirty_to_ninety_percent_of_a_difference() -> None:
    population = np.arange(1.0, 41.0)[:, None] * np.array([[1.0, 100.0]])
    parents = np.arange(40).repeat(50)
    children = differ(population, parents, np.random.default_rng(3))
    draws = np.random.default_rng(3)
    first, second = draws.integers(40, size=(2, 2000))
    difference = population[first] - population[second]
    moved = (children - population[parents]) / np.where(difference == 0.0, np.nan, difference)
    some = np.isfinite(moved) & (children != population[parents])
    assert 0.3 <= moved[some].min() < 0.31
    assert 0.89 < moved[some].max() <= 0.9
    assert 0.88 < some[difference[:, 0] != 0.0].mean() < 0.92
    both = some.all(axis=1)
    np.testing.assert_allclose(moved[both, 0], moved[both, 1], rtol=1e-9)


def test_the_step_changes_by_three_tenths_about_a_fifth_of_success() -> None:
    assert adapted_step(0.1, 0.21) == pytest.approx(0.13)
    assert adapted_step(0.1, 0.2) == pytest.approx(0.1 / 1.3)
    assert (LEAST_STEP, MOST_STEP) == (0.005, 0.3)
    assert adapted_step(0.29, 0.9) == 0.3
    assert adapted_step(0.006, 0.0) == 0.005


def test_every_winner_of_a_tournament_is_the_best_of_those_drawn() -> None:
    winners = tournament(50, 300, 3, np.random.default_rng(4))
    drawn = np.random.default_rng(4).integers(50, size=(300, 3))
    assert winners.tolist() == [min(row) for row in drawn.tolist()]
