from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from market_series import random_walk

from alpharay.backtest.market import open_market
from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.backtest.population import backtest_population
from alpharay.discovery.evolution import IslandAdvance, IslandTask
from alpharay.discovery.island import ask, begin, genetic_operators, tell
from alpharay.discovery.search import (
    DiscoveryReport,
    Generation,
    SearchSettings,
    discover,
    discover_all,
)
from alpharay.discovery.search_space import random_population, search_space
from alpharay.market.candles import FloatArray
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.expression import Level, P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

CANDLES = random_walk(1500)
SETTINGS = SearchSettings(population=24, generations=8, seed=5, min_trades=1)
STRATEGIES = [CATALOGUE[name] for name in ("DOUBLE_EMA_CROSSOVER", "SMA_RSI", "PARABOLIC_SAR", "DONCHIAN_BREAKOUT")]


def found_by(reports: Iterable[DiscoveryReport]) -> list[Any]:
    return [(report.champions, report.evaluations, report.stop_reason) for report in reports]


class CuttingExecutor:
    """Says it has many workers; does the last task first, one generation at a time, and pickles all it is given."""

    workers = 7

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        function = pickle.loads(pickle.dumps(function))
        return [self.cut(function, pickle.loads(pickle.dumps(task))) for task in list(items)[::-1]][::-1]

    def cut(self, function: Callable[[Any], Any], task: IslandTask) -> IslandAdvance:
        done = function(replace(task, generations=1))
        traces = list(done.traces)
        alone = len(task.settings.island_populations) == 1
        while len(traces) < task.generations and not (alone and done.island.stagnant >= task.settings.patience):
            done = function(replace(task, generations=1, island=done.island))
            traces += done.traces
        return replace(done, traces=traces, seconds=1e-4 * len(traces))


def test_champions_do_not_depend_on_workers_batches_or_what_runs_beside() -> None:
    together = found_by(discover_all(STRATEGIES, CANDLES, SETTINGS))
    cut = found_by(discover_all(STRATEGIES, CANDLES, SETTINGS, executor=CuttingExecutor()))
    alone = found_by(discover(strategy, CANDLES, SETTINGS) for strategy in reversed(STRATEGIES))
    assert together == cut == alone[::-1]


def test_champions_of_islands_do_not_depend_on_workers_either() -> None:
    settings = replace(SETTINGS, population=45, islands=4, migration_interval=3, generations=11, patience=6)
    executor = CuttingExecutor()
    reports = discover_all(STRATEGIES, CANDLES, settings)
    assert found_by(reports) == found_by(discover_all(STRATEGIES, CANDLES, settings, executor=executor))
    assert found_by(reports) != found_by(discover_all(STRATEGIES, CANDLES, replace(settings, islands=1)))


def test_another_seed_searches_elsewhere() -> None:
    strategy = CATALOGUE["SMA_RSI"]
    first, second = (discover(strategy, CANDLES, replace(SETTINGS, seed=seed)).champions for seed in (1, 2))
    assert first != second


def test_a_shorter_search_whose_survivors_stay_as_many_is_the_beginning_of_a_longer_one() -> None:
    strategy, settings = CATALOGUE["SMA_RSI"], replace(SETTINGS, last_survivors=1.0)
    short = discover(strategy, CANDLES, replace(settings, generations=3))
    long = discover(strategy, CANDLES, settings)
    assert [item.best for item in short.log] == [item.best for item in long.log[:3]]


def test_in_sample_metrics_are_the_kernels_on_the_training_candles() -> None:
    report = discover(CATALOGUE["DOUBLE_EMA_CROSSOVER"], CANDLES, SETTINGS)
    genomes = np.array([report.strategy.genome(champion.parameters) for champion in report.champions])
    result = backtest_population(report.strategy, genomes, open_market(CANDLES.slice(0, 1050)), report.costs)
    assert [result.row(index) for index in range(len(genomes))] == [item.in_sample for item in report.champions]
    assert [item.score for item in report.champions] == result.metric("sharpe").tolist()


def test_a_strategy_that_never_trades_has_no_champions_and_stops_early() -> None:
    never = Strategy("NEVER", "", (Integer("n", 2, 50, 5),), enter=ta.sma(P.n) < Level(0.0), exit=close > Level(0.0))
    report = discover(never, CANDLES, SETTINGS)
    assert report.champions == ()
    assert report.log[-1].best == -np.inf
    assert discover(never, CANDLES, replace(SETTINGS, patience=3)).stop_reason == "stagnation"


def test_a_search_stops_after_as_many_generations_without_a_better_one_as_it_has_patience() -> None:
    report = discover(
        CATALOGUE["DONCHIAN_BREAKOUT"], CANDLES, replace(SETTINGS, generations=50, population=40, patience=4)
    )
    assert report.stop_reason == "stagnation"
    bests = [item.best for item in report.log]
    assert len(set(bests[-5:])) == 1
    assert len(bests) < 50


def test_genomes_seen_before_are_not_backtested_again() -> None:
    report = discover(CATALOGUE["DONCHIAN_BREAKOUT"], CANDLES, replace(SETTINGS, generations=20, patience=20))
    assert report.evaluations <= 41, "the strategy has 41 parameter sets"
    assert len(report.log) == 20


def test_ctrl_c_keeps_what_was_found() -> None:
    seen: list[Generation] = []

    def press_ctrl_c(generation: Generation) -> None:
        seen.append(generation)
        if generation.generation == 3:
            raise KeyboardInterrupt

    settings = replace(SETTINGS, last_survivors=1.0)
    report = discover(CATALOGUE["SMA_RSI"], CANDLES, settings, on_generation=press_ctrl_c)
    whole = discover(CATALOGUE["SMA_RSI"], CANDLES, replace(settings, generations=3))
    assert report.stop_reason == "interrupted"
    assert len(seen) == 3
    assert report.champions == whole.champions


def test_ctrl_c_in_the_first_backtest_leaves_an_empty_report() -> None:
    class Interrupted(CuttingExecutor):
        def __call__(self, *_: Any) -> list[Any]:
            raise KeyboardInterrupt

    report = discover(CATALOGUE["SMA_RSI"], CANDLES, SETTINGS, executor=Interrupted())
    assert report.stop_reason == "interrupted"
    assert report.champions == ()


def test_a_time_budget_that_is_spent_ends_the_search_after_the_generation_in_hand() -> None:
    report = discover(CATALOGUE["SMA_RSI"], CANDLES, SETTINGS, time_budget_s=0.0)
    assert report.stop_reason == "time_budget"
    assert len(report.log) == 1
    assert report.champions


def test_a_window_without_a_test_part_says_nothing_about_it() -> None:
    report = discover(CATALOGUE["SMA_RSI"], CANDLES, replace(SETTINGS, train_fraction=1.0, generations=2))
    assert report.hold_out_of_sample is None
    assert all(champion.out_of_sample is None for champion in report.champions)


def test_an_odd_population_is_searched() -> None:
    report = discover(CATALOGUE["SMA_RSI"], CANDLES, replace(SETTINGS, population=7, generations=3))
    assert report.champions


@pytest.mark.parametrize(
    "wrong",
    [{"population": 1}, {"generations": 0}, {"seed": -1}, {"islands": 26}, {"timeframes": ("1h", "1h")},
     {"mutation_probability": 1.5}, {"top_n": 0},
     {"objective": "luck"}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        SearchSettings(**wrong)


PLANTED = Strategy(
    "PLANTED",
    "",
    (Integer("a", 1, 100, 1), Integer("b", 2, 200, 200), Real("x", 0.0, 1.0, 0.5), Real("y", -5.0, 5.0, 0.0)),
    enter=(close > P.a) & (close > P.b) & (close > P.x),
    exit=close < P.y,
    constraints=(P.a < P.b,),
)


def planted_metrics(genomes: FloatArray) -> FloatArray:
    """Return metrics whose Sharpe ratio has its maximum of zero at (37, 120, 0.7, -2)."""
    distance = (genomes - np.array([37.0, 120.0, 0.7, -2.0])) / np.array([100.0, 200.0, 1.0, 10.0])
    metrics = np.ones((len(genomes), len(METRIC_NAMES)))
    metrics[:, METRIC_NAMES.index("sharpe")] = -np.sqrt((distance**2).sum(axis=1))
    metrics[:, METRIC_NAMES.index("total_return")] = genomes @ np.array([1.0, 1e3, 1e6, 1e9])
    return metrics


def test_no_champion_has_fewer_trades_than_asked_for() -> None:
    strategy = CATALOGUE["DOUBLE_EMA_CROSSOVER"]
    all_of_them = discover(strategy, CANDLES, SETTINGS).champions
    most = max(champion.in_sample.trades for champion in all_of_them)
    asked = replace(SETTINGS, min_trades=int(most) + 1)
    busy = discover(strategy, CANDLES, asked).champions
    assert busy
    assert all(champion.in_sample.trades > most for champion in busy)


def test_a_planted_optimum_is_approached_closer_than_by_as_many_random_tries() -> None:
    space, toolbox = search_space(PLANTED), genetic_operators()
    wins = 0
    for seed in range(20):
        settings = SearchSettings(population=40, generations=25, seed=seed, min_trades=1)
        island = begin(space, settings)
        for _ in range(settings.generations):
            genomes = ask(toolbox, space, settings, island)
            island = tell(settings, island, genomes, planted_metrics(genomes))
        blind = planted_metrics(random_population(space, island.evaluations, np.random.default_rng([seed, 999])))
        wins += island.champions.best > blind[:, METRIC_NAMES.index("sharpe")].max()
        assert island.champions.best > -0.05
    assert wins >= 19
