"""Rules as word operations: every operator, its negation and its bar before, over the edges of words and tiles."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from test_kernel_equals_plain import random_candles

from alpharay.backtest.batches import planned_chunks
from alpharay.backtest.bits import pack, unpack, word_count
from alpharay.backtest.compositions import Delayed, Late, Share, push_lags
from alpharay.backtest.decisions import DECIDED_WORDS, open_decisions, run_rules
from alpharay.backtest.market import open_market
from alpharay.backtest.plan import Slots, plan_batch
from alpharay.backtest.rules import AND_CODE, OR_CODE, compile_rules, rule_code, settle_conflicts
from alpharay.backtest.steps import plan_steps
from alpharay.backtest.tiles import AVERAGE, COMPARE, MEAN, MULTIPLY, OPERATION, SUBTRACT, TILE_BARS
from alpharay.market.candles import Candles
from alpharay.strategies.evaluation import signals
from alpharay.strategies.expression import Condition, Level, P, close, high, low, open_, parameters_in, ta, volume
from alpharay.strategies.strategy import Integer, Real, Strategy

RANGES = {
    "n": Integer("n", 2, 30, default=9),
    "m": Integer("m", 2, 300, default=9),
    "level": Real("level", -5.0, 150.0, default=100.0),
}


def strategy_of(*rules: Condition, names: tuple[str, ...] = ()) -> Strategy:
    enter, leave, *short = rules
    sides = dict(zip(("enter_short", "exit_short"), short, strict=False))
    return Strategy("RULES", "", tuple(RANGES[name] for name in names), enter, leave, **sides)


def said_by_words(strategy: Strategy, genomes: np.ndarray, candles: Candles) -> list[list[np.ndarray]]:
    """What each rule says for each genome, as the kernel evaluates it."""
    program = compile_rules(strategy)
    said = []
    rules, market, words = rule_code(program), open_market(candles), word_count(len(candles))
    for chunk in planned_chunks(strategy, program, genomes, market):
        memory = open_decisions(chunk.steps, rules, len(chunk.rows))
        memory.decisions[:] = 0xDEAD
        tiles = []
        for first in range(0, words, DECIDED_WORDS):
            last = min(first + DECIDED_WORDS, words)
            run_rules(market.columns.values, len(candles), chunk.steps, rules, chunk.rows, memory, first, last)
            tiles.append(memory.decisions[:, :, : last - first].copy())
        decided = np.concatenate(tiles, axis=2)
        said += [[unpack(rule, len(candles)) for rule in np.ascontiguousarray(genome)] for genome in decided]
    return said


def check(strategy: Strategy, candles: Candles, genomes: np.ndarray | None = None) -> None:
    genomes = np.array([strategy.genome(strategy.defaults)]) if genomes is None else genomes
    for genome, rules in zip(genomes, said_by_words(strategy, genomes, candles), strict=True):
        plain = signals(strategy, strategy.from_genome(genome), candles)
        for fast, slow in zip(rules, (plain.enter, plain.exit, plain.enter_short, plain.exit_short), strict=False):
            np.testing.assert_array_equal(fast, slow)


def ticked(bars: int, seed: int = 1) -> Candles:
    """Candles on a coarse grid: every comparison has ties."""
    candles = random_candles(seed, bars, tick=1.0, gaps=False)
    quantity = np.random.default_rng(seed).integers(0, 3, bars).astype(np.float64)
    return replace(candles, volume=quantity)


SIDES = {
    "column, column": (close, open_),
    "column, average": (close, ta.sma(5)),
    "average, column": (ta.sma(5), close),
    "column, level": (close, Level(100.0)),
    "level, column": (Level(100.0), close),
    "program, column": (close - open_, volume),
    "column, program": (volume, close - open_),
    "program, level": (close - open_, Level(0.0)),
    "program, program": (close * 2.0 + open_, (high + low) * 1.5),
    "late column, column": (close.previous(3), close),
    "division by zero, level": (close / volume, Level(60.0)),
    "level, level": (Level(1.0), Level(2.0)),
    "same, same": (close, close),
}

OPERATORS = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "above": lambda a, b: a.crosses_above(b),
    "below": lambda a, b: a.crosses_below(b),
}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("bars", [1, 63, 64, 65, 200])
def test_every_comparison_and_its_negation_says_what_the_plain_form_says(sides: str, bars: int) -> None:
    left, right = SIDES[sides]
    candles = ticked(bars)
    for make in OPERATORS.values():
        condition = make(left, right)
        check(strategy_of(condition, ~condition), candles)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(OPERATORS, repeat=2)))
def test_comparisons_of_one_pair_share_their_bits_and_mean_their_own(first: str, second: str) -> None:
    """a > b, b < a and their negations are made of the same words."""
    candles = ticked(130)
    for left, right in ((close, ta.sma(5)), (close - open_, volume)):
        one, other = OPERATORS[first](left, right), OPERATORS[second](right, left)
        check(strategy_of(one & other, one | other, ~one & other, ~(one | ~other)), candles)


def test_a_comparison_over_several_tiles_of_bars() -> None:
    candles = ticked(2_200)
    for left, right in (SIDES["column, average"], SIDES["program, column"], SIDES["column, level"]):
        check(strategy_of(left > right, ~left.crosses_below(right)), candles)


@pytest.mark.parametrize("lag", [1, 63, 64, 65, 129, 500])
def test_a_column_read_late_starts_with_no_numbers(lag: int) -> None:
    candles = ticked(200)
    late = close.previous(lag) + 0.0
    check(strategy_of(late < close, ~(late < close)), candles)
    check(strategy_of(close.previous(lag).previous(2) > close, ~(close > close.previous(lag))), candles)


def test_lags_beyond_a_tile_reach_into_the_tile_before() -> None:
    candles = ticked(1_300)
    late = close.previous(1_030) - open_.previous(7)
    check(strategy_of(late > 0.0, ~(late > 0.0)), candles)


def test_trees_of_and_or_and_not() -> None:
    candles = ticked(150)
    a, b, c, d = close > open_, volume > 0.0, ta.sma(3) > ta.sma(8), high.crosses_above(ta.sma(4))
    check(strategy_of((a & b) | (c & ~d), ~((a | b) & (c | d)), ~(~a & ~b), a & (b & (c & d))), candles)


def test_each_genome_has_its_own_columns_and_levels() -> None:
    lengths, levels = np.arange(2.0, 26.0), np.linspace(90.0, 110.0, 24)
    candles = ticked(200)
    rules = (
        (ta.sma(P.n) > close) & ~(close > P.level),
        (close - ta.sma(P.n)) * 2.0 < Level(P.level) - (close * 0.0 + 100.0),
        ~(ta.rsi(P.n) > P.level) | (close.previous(2) > P.level),
        (close - P.level) / volume > 0.0,
    )
    strategy = strategy_of(*rules, names=("level", "n"))
    check(strategy, candles, np.column_stack([levels, lengths]))
    check(strategy, candles, np.column_stack([levels[::-1], np.repeat([3.0, 7.0], 12)]))


def test_arithmetic_with_levels_on_either_side() -> None:
    candles = ticked(100)
    two = Level(2.0)
    for node in (
        close + 2.0,
        close - 2.0,
        close * 2.0,
        close / 2.0,
        close / 0.0,
        two + close,
        two - close,
        two / volume,
    ):
        check(strategy_of(node > 60.0, ~(node > 60.0)), candles)
    for operator in ("+", "-", "*", "/"):
        node = {"+": close + volume, "-": close - volume, "*": close * volume, "/": close / volume}[operator]
        check(strategy_of(node > 100.0, ~(node > 100.0)), candles)


def test_deep_arithmetic_uses_a_register_for_each_open_result() -> None:
    candles = ticked(100)
    deep = (close + open_) * ((high - low) * (volume + (close * 0.5 - (open_ + volume))))
    check(strategy_of(deep > 100.0, ~(deep > ta.sma(4) * volume)), candles)


def test_a_share_of_nothing_counts_as_it_says() -> None:
    candles = ticked(120)
    # (close - lowest) / (highest - lowest) where both are equal: 50, and with it neither overbought nor oversold.
    flat = replace(
        candles,
        **{name: np.where(np.arange(120) < 60, 7.0, getattr(candles, name)) for name in ("high", "low", "close")},
    )
    line = ta.stochastic_k(5)
    check(strategy_of(line > 49.0, ~(line > 51.0)), flat)


def test_a_rule_is_compiled_to_shared_tests_and_literals() -> None:
    program = compile_rules(strategy_of(close > open_, (open_ < close) & ~(close > open_)))
    assert len(program.tests) == 1
    # The comparison, and its negation; neither of the bar before.
    assert program.literals.tolist() == [[0, 0, 0], [0, 1, 0]]
    assert [code.tolist() for code in program.codes] == [[0], [0, 1, AND_CODE]]
    assert program.depth == 2


def test_a_crossing_is_the_comparison_and_its_negation_on_the_bar_before() -> None:
    program = compile_rules(strategy_of(close.crosses_above(open_), ~close.crosses_above(open_)))
    assert program.literals.tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 1]]
    assert [code.tolist() for code in program.codes] == [[0, 1, AND_CODE], [2, 3, OR_CODE]]


def test_a_level_is_always_right_and_a_pair_of_columns_is_tested_one_way() -> None:
    program = compile_rules(strategy_of(Level(1.0) > close, close < open_))
    assert [(test.side, test.left, test.right) for test in program.tests] == [
        ("below", close, Level(1.0)), ("above", open_, close),
    ]  # fmt: skip


def test_the_depth_is_the_most_results_that_wait() -> None:
    a, b, c, d = close > 1.0, close > 2.0, close > 3.0, close > 4.0
    assert compile_rules(strategy_of(((a & b) & c) & d, a)).depth == 2
    assert compile_rules(strategy_of(a & (b & (c & d)), a)).depth == 4


def operations(strategy: Strategy, genomes: np.ndarray, candles: Candles) -> list[int]:
    """What is worked out in a tile for these genomes, sorted."""
    program, market = compile_rules(strategy), open_market(candles)
    plan = plan_batch(strategy, program, genomes, market.columns)
    slots = Slots(plan, market)
    slots.fill_shared()
    steps = plan_steps(plan, program, slice(0, len(genomes)), slots)[0]
    return sorted(steps.table[:, OPERATION].tolist())


def test_arithmetic_is_worked_out_once_for_all_who_compare_it() -> None:
    spread = (close - open_.previous(3)) * 2.0
    strategy = strategy_of((spread > 1.0) & (spread < high), spread.crosses_below(low))
    genomes = np.empty((5, 0))
    # What is only multiplied with a number is multiplied as it is read.
    assert operations(strategy, genomes, ticked(90)) == sorted([SUBTRACT, COMPARE, COMPARE, COMPARE])
    check(strategy, ticked(90))


def test_a_number_multiplies_once_as_a_series_is_read_and_again_as_a_step() -> None:
    two = Level(2.0)
    lines = (close * 0.1 + open_ / 4.0, (close - open_) / -2.0, close * 0.1 * 3.0, close / 3.0, two / (close / 8.0))
    for line in lines:
        strategy = strategy_of((line > high * 0.3) & ~(line * 7.0 < 60.0), ~(line.previous(2) > low * 0.5))
        check(strategy, ticked(90))
    assert MULTIPLY not in operations(strategy_of(lines[0] > 1.0, lines[1] > 1.0), np.empty((5, 0)), ticked(90))
    assert MULTIPLY in operations(strategy_of(lines[2] > 1.0, lines[2] < 1.0), np.empty((5, 0)), ticked(90))


def test_what_is_read_late_is_right_in_every_tile_of_bars() -> None:
    candles = ticked(2 * TILE_BARS + 300)
    spread = close - open_
    for late in (
        close.previous(1) + 0.5, close.previous(7) - open_, open_ - close.previous(TILE_BARS + 6),
        spread.previous(1) + 0.0, spread.previous(7) * volume, high - spread.previous(TILE_BARS + 6),
        spread.previous(2 * TILE_BARS + 1), close.previous(TILE_BARS), (spread.previous(1) + volume).previous(1),
    ):  # fmt: skip
        for other in (Level(1.0), close, spread):
            check(strategy_of(late > other, ~late.crosses_below(other)), candles)


def test_numbers_of_a_population_may_be_powers_of_two_for_some_and_zero_for_others() -> None:
    candles, levels = ticked(90), np.array([[2.0], [3.0], [4.0], [0.0], [-2.0], [0.5], [7.0]])
    number = Level(P.level)
    for line, compared in (
        (close / number, open_ * 0.4),
        (number / close, Level(0.03)),
        (close / number + open_, high),
        ((close - open_) / number, Level(0.5)),
        ((close - open_) * number, Level(0.5)),
        ((close - open_) - number, Level(0.5)),
    ):
        check(strategy_of((line > compared) | ~(line < high), ~(line > compared), names=("level",)), candles, levels)


def test_averages_of_many_genomes_are_never_stored_and_those_of_few_are() -> None:
    line = close.crosses_above(ta.ema(P.n, of=ta.sma(P.m)))
    strategy = strategy_of(line, ~line, names=("n", "m"))
    candles = ticked(1_300)
    lengths = np.array([(n, m) for n in range(2, 8) for m in range(2, 8)], dtype=np.float64)
    # 36 pairs, 6 inner averages: these are stored, as is the close.
    assert operations(strategy, lengths, candles).count(AVERAGE) == 36
    assert operations(strategy, lengths, candles).count(MEAN) == 0
    assert operations(strategy, lengths[::6], candles).count(AVERAGE) == 0
    check(strategy, candles, lengths)


def test_lags_go_to_the_columns_and_add_up() -> None:
    late = push_lags(Delayed((close - open_).previous(2), P.n))
    assert late == Late(close, (P.n, 2)) - Late(open_, (P.n, 2))
    assert push_lags(ta.sma(3, of=close.previous(4)).previous(1)) == Late(ta.sma(3, of=Late(close, (4,))), (1,))
    assert push_lags(Share(close, volume, 0.5).previous(1)) == Share(Late(close, (1,)), Late(volume, (1,)), 0.5)


def test_a_number_of_some_bars_ago_is_a_column_since_it_is_missing_at_first() -> None:
    late = Level(5.0).previous(3)
    assert push_lags(late) == late
    assert push_lags((close + 5.0).previous(3)) == Late(close, (3,)) + 5.0
    candles = ticked(20)
    check(strategy_of(late > 4.0, ~(late > 4.0)), candles)
    check(strategy_of(late.previous(2) > 4.0, ~(late.previous(2) > 4.0)), candles)


LINES = {
    "average of arithmetic": ta.ema(P.n, of=close - ta.sma(P.m)),
    "Wilder's average of an average": ta.wilder(P.n, of=ta.ema(P.m, of=close * P.level)),
    "mean of means": ta.sma(P.n, of=ta.sma(P.m, of=close / volume)),
    "highest of lowest": ta.highest(P.n, of=ta.lowest(P.m, of=close - open_)),
    "late average": ta.ema(P.n, of=ta.sma(P.m)).previous(40) + ta.ema(P.n, of=ta.sma(P.m)),
    "average of a late column": ta.ema(P.n, of=close.previous(7) * P.level),
    "window over a late series": ta.sma(P.m, of=ta.ema(P.n).previous(3)),
    "indicator of arithmetic": ta.rsi(P.n, of=close * P.level - ta.sma(P.m)),
    "arithmetic of numbers": close * (Level(P.n) / Level(P.m)) + (Level(P.level) - 3.0),
    "share": ta.stochastic_k(P.n) + ta.williams_r(P.m),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("missing", [(), (3, 900, 1_030, 2_047)])
def test_what_is_worked_out_in_tiles_says_what_the_plain_form_says(line: str, missing: tuple[int, ...]) -> None:
    candles = ticked(2_200)
    quantity = candles.volume.copy()
    quantity[list(missing)] = np.nan
    candles = replace(candles, volume=quantity)
    node = LINES[line] + (volume * 0.0 if missing else close * 0.0)
    rules = (node.crosses_above(node.previous()) & ~(node > 60.0), ~node.crosses_below(close))
    names = sorted(parameters_in(rules[0]))
    random = np.random.default_rng(3)
    drawn = {"n": random.integers(2, 31, 45), "m": random.integers(2, 12, 45), "level": random.uniform(-5.0, 150.0, 45)}
    drawn["m"][::9] = 300
    genomes = np.column_stack([drawn[name] for name in names]).astype(np.float64)
    check(strategy_of(*rules, names=tuple(names)), candles, genomes)


def settled(*rules: list[int]) -> list[list[int]]:
    words = [pack(np.array(rule, dtype=np.bool_)) for rule in rules]
    settle_conflicts(*words, *[None] * (4 - len(words)))
    return [unpack(word, len(rules[0])).astype(int).tolist() for word in words]


def test_conflicts_of_one_side() -> None:
    assert settled([0, 0, 1, 1], [0, 1, 0, 1]) == [[0, 0, 1, 0], [0, 1, 0, 1]]


def test_conflicts_of_two_sides_in_all_sixteen_combinations() -> None:
    table = np.array(list(itertools.product([0, 1], repeat=4)))
    enter, leave, enter_short, leave_short = settled(*table.T.tolist())
    for row, (long, out, short, short_out) in enumerate(table.tolist()):
        # An entry that its own exit forbids is none; two that are left forbid each other.
        wants_long, wants_short = long and not out, short and not short_out
        is_long, is_short = wants_long and not wants_short, wants_short and not wants_long
        assert enter[row] == is_long
        assert enter_short[row] == is_short
        # An entry on one side closes the other.
        assert leave[row] == (out or is_short)
        assert leave_short[row] == (short_out or is_long)
