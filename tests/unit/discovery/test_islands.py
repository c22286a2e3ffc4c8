"""Islands, alone and in a ring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.discovery.genome_keys import genome_keys, untried
from alpharay.discovery.island import OPERATORS, Island, ask, begin, diversity, tell
from alpharay.discovery.migration import migrate
from alpharay.discovery.search_space import repair, search_space
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import FloatArray
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

SPACE = search_space(
    Strategy("TEST", "", (Integer("n", 2, 60, 10), Real("x", 0.0, 1.0, 0.5)), enter=ta.sma(P.n) > P.x, exit=close < P.x)
)
SETTINGS = SearchSettings(population=30, islands=3, min_trades=1, seed=4, migrants=2)


def hill(genomes: FloatArray) -> FloatArray:
    """Return metrics whose Sharpe ratio is highest at (40, 0.25)."""
    metrics = np.ones((len(genomes), len(METRIC_NAMES)))
    away = (genomes - np.array([40.0, 0.25])) / np.array([58.0, 1.0])
    metrics[:, METRIC_NAMES.index("sharpe")] = -np.abs(away).sum(axis=1)
    metrics[:, METRIC_NAMES.index("total_return")] = genomes @ np.array([1.0, 1e3])
    return metrics


def evolved(number: int, generations: int, settings: SearchSettings = SETTINGS) -> Island:
    island = begin(SPACE, settings, number)
    for _ in range(generations):
        genomes = ask(OPERATORS, SPACE, settings, island)
        island = tell(settings, island, genomes, hill(genomes))
    return island


def test_what_is_asked_is_valid_distinct_and_was_never_tried() -> None:
    island = begin(SPACE, SETTINGS)
    for _ in range(12):
        genomes = ask(OPERATORS, SPACE, SETTINGS, island)
        assert untried(genome_keys(genomes), island.tried).all()
        np.testing.assert_array_equal(genomes, repair(SPACE, genomes))
        island = tell(SETTINGS, island, genomes, hill(genomes))
    assert island.evaluations == len(island.tried)
    assert len(np.unique(island.population, axis=0)) == len(island.population)


def test_the_population_is_the_best_of_all_that_was_tried_best_first() -> None:
    settings = replace(SETTINGS, last_survivors=1.0)
    island = begin(SPACE, settings)
    seen = np.empty(0)
    for _ in range(6):
        genomes = ask(OPERATORS, SPACE, settings, island)
        island = tell(settings, island, genomes, hill(genomes))
        seen = np.concatenate([seen, hill(genomes)[:, METRIC_NAMES.index("sharpe")]])
    assert island.fitness[:, 0].tolist() == np.sort(seen)[::-1][:10].tolist()


def test_survivors_shrink_in_even_steps_to_their_last_share_and_children_do_not() -> None:
    settings = replace(SETTINGS, population=60, generations=8, last_survivors=0.2)
    island = begin(SPACE, settings)
    sizes = []
    for _ in range(9):
        genomes = ask(OPERATORS, SPACE, settings, island)
        assert len(genomes) >= 18, "hardly any child was tried before"
        island = tell(settings, island, genomes, hill(genomes))
        sizes.append(len(island.population))
    assert sizes == [18, 16, 14, 12, 10, 8, 6, 4, 4]


def test_a_front_of_several_objectives_keeps_its_room() -> None:
    settings = replace(SETTINGS, objective="nsga2", generations=2)
    assert len(evolved(0, 2, settings).population) == 10


def test_islands_of_one_seed_draw_different_genomes_and_the_same_ones_again() -> None:
    first, second = evolved(0, 1), evolved(1, 1)
    assert not set(genome_keys(first.population)) & set(genome_keys(second.population))
    np.testing.assert_array_equal(first.population, evolved(0, 1).population)


def test_a_space_that_is_used_up_is_asked_for_nothing_and_stagnates() -> None:
    small = search_space(
        Strategy("SMALL", "", (Integer("n", 2, 6, 3),), enter=ta.sma(P.n) > close, exit=close > ta.sma(P.n))
    )
    island = begin(small, SETTINGS)
    for _ in range(9):
        genomes = ask(OPERATORS, small, SETTINGS, island)
        metrics = np.ones((len(genomes), len(METRIC_NAMES)))
        metrics[:, METRIC_NAMES.index("sharpe")] = genomes[:, 0]
        island = tell(SETTINGS, island, genomes, metrics)
    assert island.evaluations == 5
    assert island.stagnant >= 1
    assert island.champions.genomes[:, 0].tolist() == [6.0, 5.0, 4.0, 3.0, 2.0]


def test_migrants_go_round_the_ring_and_push_out_the_worst() -> None:
    islands = [evolved(number, 2) for number in range(3)]
    settled = migrate(islands, SETTINGS)
    for place, (before, after) in enumerate(zip(islands, settled, strict=True)):
        sent = islands[place - 1].population[:2]
        arrived = set(genome_keys(after.population)) - set(genome_keys(before.population))
        assert arrived <= set(genome_keys(sent))
        assert len(after.population) == len(before.population)
        expected = np.sort(np.concatenate([before.fitness[:, 0], islands[place - 1].fitness[:2, 0]]))[::-1]
        expected = expected[: len(before.population)]
        assert after.fitness[:, 0].tolist() == expected.tolist()
        assert after.evaluations == before.evaluations
        assert not untried(genome_keys(sent), after.tried).any()


def test_migrants_that_the_island_has_tried_do_not_come_again() -> None:
    island = evolved(0, 3)
    twin = replace(island, number=1)
    for settled in migrate([island, twin], replace(SETTINGS, islands=2)):
        np.testing.assert_array_equal(settled.population, island.population[: len(settled.population)])


def test_diversity_is_about_one_for_a_uniform_draw_and_zero_for_copies() -> None:
    grid = np.random.default_rng(0).random((4000, 2)) * (SPACE.high - SPACE.low) + SPACE.low
    assert 0.95 < diversity(SPACE, grid) <= 1.0
    assert diversity(SPACE, np.tile(grid[:1], (9, 1))) < 1e-12
    assert diversity(SPACE, grid[:0]) == 0.0


def test_the_islands_follow_from_the_population_alone() -> None:
    assert SearchSettings(population=50).island_populations == (50,)
    assert SearchSettings(population=99).island_populations == (99,)
    assert SearchSettings(population=210).island_populations == (53, 53, 52, 52)
    assert len(SearchSettings(population=5000).island_populations) == 16
    assert SearchSettings(population=7, islands=3).island_populations == (3, 2, 2)


def test_the_front_of_several_objectives_is_what_nsga2_keeps() -> None:
    settings = SearchSettings(population=20, min_trades=1, objective="nsga2", top_n=50)
    island = begin(SPACE, settings)
    tried = []
    for _ in range(5):
        genomes = ask(OPERATORS, SPACE, settings, island)
        metrics = np.ones((len(genomes), len(METRIC_NAMES)))
        metrics[:, METRIC_NAMES.index("total_return")] = genomes[:, 0]
        metrics[:, METRIC_NAMES.index("max_drawdown")] = genomes[:, 0] / 100.0 + genomes[:, 1]
        metrics[:, METRIC_NAMES.index("turnover")] = genomes[:, 1]
        tried.append(np.column_stack([genomes[:, 0], -metrics[:, METRIC_NAMES.index("max_drawdown")], -genomes[:, 1]]))
        island = tell(settings, island, genomes, metrics)
    points = np.unique(np.concatenate(tried), axis=0)
    best = [p for p in points if not ((points >= p).all(axis=1) & (points > p).any(axis=1)).any()]
    assert sorted(island.champions.fitness.tolist()) == sorted(np.array(best).tolist())
