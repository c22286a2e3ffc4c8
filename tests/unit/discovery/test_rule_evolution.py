from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from alpharay.backtest.costs import NO_COSTS
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.objectives import WORST
from alpharay.discovery.rule_evolution import EvolutionSettings, evolve_rules
from alpharay.discovery.rule_grammar import LENGTHS, rule_grammar
from alpharay.discovery.rule_tree import (
    cross,
    evolved_strategy,
    fixed_strategy,
    is_pointless,
    mutate,
    random_pair,
    seeded,
)
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import Candles
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.evaluation import signals

SMALL = EvolutionSettings(search=SearchSettings(population=40, generations=5, top_n=3, seed=7))


def walk_with_a_habit(bars: int = 3_000, seed: int = 1) -> Candles:
    """Return hourly candles whose close falls and rises in turn every 25 bars, with noise on top."""
    generator = np.random.default_rng(seed)
    phase = (np.arange(bars) // 25) % 2
    steps = np.where(phase == 0, -0.004, 0.004) + generator.normal(0.0, 0.003, bars)
    close = 100.0 * np.exp(np.cumsum(steps))
    opening = np.concatenate([[100.0], close[:-1]])
    wick = 1.0 + np.abs(generator.normal(0.0, 0.001, bars))
    return Candles(
        "test", "A/B", "1h", np.arange(bars, dtype=np.int64) * 3_600_000, opening,
        np.maximum(opening, close) * wick, np.minimum(opening, close) / wick, close, generator.uniform(1.0, 2.0, bars),
    )  # fmt: skip


class ThreeWorkers(SerialExecutor):
    workers = 3


def found(candles: Candles, settings: EvolutionSettings = SMALL, **options) -> list[tuple[str, float]]:
    reports = evolve_rules(candles, settings, **options)
    return [(report.strategy.description, report.champions[0].score) for report in reports]


def test_the_same_seed_finds_the_same_rules_with_any_number_of_workers():
    candles = walk_with_a_habit()
    first = found(candles)
    random.random()
    assert found(candles, executor=ThreeWorkers()) == first
    assert found(candles, replace(SMALL, search=replace(SMALL.search, seed=8))) != first


def test_evolution_finds_the_habit_and_it_holds_out_of_sample():
    settings = replace(SMALL, search=replace(SMALL.search, population=100, generations=10))
    best = evolve_rules(walk_with_a_habit(), settings, costs=NO_COSTS)[0]
    champion = best.champions[0]
    assert champion.out_of_sample is not None
    assert champion.in_sample.sharpe > 10.0
    assert champion.out_of_sample.sharpe > 10.0
    assert best.hold_in_sample.sharpe < 5.0


def test_scores_never_fall_and_champions_are_sorted_and_different():
    generations = []
    reports = evolve_rules(walk_with_a_habit(), SMALL, on_generation=generations.append)
    assert [one.best for one in generations] == sorted(one.best for one in generations)
    assert generations[-1].stop_reason == reports[0].stop_reason == "generations"
    scored = [report.champions[0].score for report in reports]
    assert scored == sorted(scored, reverse=True)
    assert len({report.strategy.name for report in reports}) == len(reports)


def test_evolved_strategies_are_ordinary_ones():
    with seeded(3):
        pairs = [random_pair(3) for _ in range(100)]
    candles = walk_with_a_habit(600)
    for pair in pairs:
        strategy = evolved_strategy(pair)
        assert strategy_from_json(strategy_to_json(strategy)) == strategy
        evolved, fixed = signals(strategy, strategy.defaults, candles), signals(fixed_strategy(pair), {}, candles)
        assert np.array_equal(evolved.enter, fixed.enter)
        assert np.array_equal(evolved.exit, fixed.exit)


def test_children_obey_types_and_the_limit_of_nodes():
    limit = 9
    with seeded(4):
        pairs = [pair for pair in (random_pair(3) for _ in range(200)) if max(len(pair.enter), len(pair.exit)) <= limit]
        for _ in range(500):
            child = mutate(cross(random.choice(pairs), random.choice(pairs), limit), 3, limit)
            fixed_strategy(child)
            assert max(len(child.enter), len(child.exit)) <= limit


def test_parsimony_keeps_rules_smaller():
    candles = walk_with_a_habit(1_500)

    def size(parsimony: float) -> float:
        settings = replace(SMALL, parsimony=parsimony, search=replace(SMALL.search, generations=12, top_n=20))
        reports = evolve_rules(candles, settings)
        return float(np.mean([len(report.strategy.description) for report in reports]))

    assert size(2.0) < size(1.0)


def test_every_piece_of_the_grammar_is_used_by_random_rules():
    with seeded(5):
        text = " ".join(str(random_pair(4)) for _ in range(500))
    grammar = rule_grammar()
    names = {primitive.name for group in grammar.primitives.values() for primitive in group}
    assert [name for name in names if f"{name}(" not in text] == []
    assert all(f"({length})" in text for length in LENGTHS)


def test_a_rule_that_compares_a_price_with_itself_is_pointless():
    with seeded(6):
        pairs = [random_pair(3) for _ in range(2_000)]
    pointless = [pair for pair in pairs if is_pointless(fixed_strategy(pair))]
    assert pointless
    assert any("above(close, close)" in str(pair) for pair in pointless)
    assert not any("above(close, close)" in str(pair) for pair in pairs if pair not in pointless)


def test_a_market_on_which_nothing_can_trade_gives_no_rules():
    flat = walk_with_a_habit(300)
    ones = np.full(300, 100.0)
    flat = replace(flat, open=ones, high=ones, low=ones, close=ones, volume=ones)
    generations = []
    assert evolve_rules(flat, SMALL, on_generation=generations.append) == []
    assert generations[-1].best == WORST


def test_ctrl_c_keeps_what_was_found():
    def stop(generation) -> None:
        if generation.generation == 2:
            raise KeyboardInterrupt

    reports = evolve_rules(walk_with_a_habit(), SMALL, on_generation=stop)
    assert reports
    assert reports[0].stop_reason == "interrupted"
    assert len(reports[0].log) == 2


def test_the_random_state_of_the_caller_is_left_as_it_was():
    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)
    with seeded(1, 2):
        random.random()
    assert [random.random() for _ in range(3)] == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"parsimony": 0.5}, "parsimony must be in .*was 0.5"),
        ({"elites": 40}, "elites must be fewer than the population of 40, was 40"),
        ({"most_nodes": 1}, "most_nodes must be at least 3, was 1"),
        ({"crossover_probability": 1.5}, "crossover_probability must be in"),
        ({"search": SearchSettings(objective="nsga2")}, "objective must give one score for an evolution, was 'nsga2'"),
    ],
)
def test_settings_out_of_range_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        replace(SMALL, **change)
