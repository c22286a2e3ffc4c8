from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.discovery.search_space import random_population, repair, search_space
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.expression import Level, P, Parameter, close
from alpharay.strategies.strategy import Integer, ParameterRange, Real, Strategy


def strategy_of(parameters: tuple[ParameterRange, ...], *pairs: tuple[str, str]) -> Strategy:
    enter = close > close
    for parameter in parameters:
        enter = enter & (close > Level(Parameter(parameter.name)))
    constraints = tuple(Parameter(smaller) < Parameter(larger) for smaller, larger in pairs)
    return Strategy("TEST", "", parameters, enter, close < close, constraints)


CHAIN = strategy_of((Integer("c", 3, 8, 8), Integer("a", 1, 8, 1), Integer("b", 1, 8, 2)), ("a", "b"), ("b", "c"))
SPACES = {
    "pair": strategy_of((Integer("fast", 2, 30, 5), Integer("slow", 10, 100, 50)), ("fast", "slow")),
    "chain": CHAIN,
    "reals": strategy_of((Real("low", 10.0, 45.5, 20.0), Real("high", 40.0, 90.0, 60.0)), ("low", "high")),
    "mixed": strategy_of((Integer("n", 1, 9, 2), Real("x", 0.05, 4.05, 3.0)), ("n", "x")),
    "diamond": strategy_of(
        tuple(Integer(name, 1, 6, value) for name, value in zip("abcd", (1, 2, 3, 4), strict=True)),
        ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"),
    ),
    "tight": strategy_of(tuple(Integer(name, 1, 3, value) for name, value in zip("abc", (1, 2, 3), strict=True)),
                         ("a", "b"), ("b", "c")),
    "odd borders": strategy_of((Real("x", 1 / 3, 2 / 3, 0.5), Real("y", -0.7, 0.7, 0.6)), ("x", "y")),
    "one value": strategy_of((Real("x", 1.5, 1.5, 1.5), Integer("n", 2, 2, 2)), ("x", "n")),
    **{name: CATALOGUE[name] for name in ("TRIPLE_EMA_CROSSOVER", "PARABOLIC_SAR", "SMA_RSI")},
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
@given(data=st.data())
def test_repaired_genomes_are_valid_whatever_they_were_and_repairing_again_changes_nothing(
    name: str, data: st.DataObject
) -> None:
    strategy = SPACES[name]
    space = search_space(strategy)
    value = st.floats(min_value=-1e6, max_value=1e6)
    rows = data.draw(st.lists(st.lists(value, min_size=len(space.genes), max_size=len(space.genes)), min_size=1))
    repaired = repair(space, np.array(rows))
    for row in repaired:
        strategy.check(strategy.from_genome(row))
    assert repair(space, repaired).tobytes() == repaired.tobytes()


@pytest.mark.parametrize("name", SPACES)
def test_random_genomes_are_valid(name: str) -> None:
    strategy = SPACES[name]
    for row in random_population(search_space(strategy), 200, np.random.default_rng(0)):
        strategy.check(strategy.from_genome(row))


def test_random_genomes_reach_every_value_of_a_range_its_borders_included() -> None:
    space = search_space(strategy_of((Integer("n", 3, 7, 3),)))
    counts = np.bincount(random_population(space, 5000, np.random.default_rng(1))[:, 0].astype(int), minlength=9)
    assert counts[:3].sum() + counts[8:].sum() == 0
    assert counts[3:8].min() > 850


def test_a_swapped_pair_keeps_both_values() -> None:
    space = search_space(SPACES["pair"])
    np.testing.assert_array_equal(repair(space, np.array([[25.0, 12.0]])), [[12.0, 25.0]])


def test_equal_values_of_a_pair_move_apart_by_one_step() -> None:
    space = search_space(SPACES["pair"])
    np.testing.assert_array_equal(repair(space, np.array([[20.0, 20.0]])), [[20.0, 21.0]])


def test_bounds_leave_room_for_what_must_be_larger() -> None:
    space = search_space(SPACES["tight"])
    assert space.low.tolist() == space.high.tolist() == [1.0, 2.0, 3.0]


def test_real_values_lie_on_a_short_decimal_grid() -> None:
    space = search_space(SPACES["reals"])
    assert repair(space, np.array([[20.123456789, 60.987654321]])).tolist() == [[20.12, 60.99]]


def test_constraints_that_no_values_satisfy_are_named() -> None:
    # The defaults would be refused first, so the ranges are narrowed behind the strategy's back.
    strategy = strategy_of((Integer("a", 5, 6, 5), Integer("b", 1, 6, 6)), ("a", "b"))
    object.__setattr__(strategy, "parameters", (Integer("a", 5, 6, 5), Integer("b", 1, 5, 5)))
    with pytest.raises(ValueError, match="no value of a satisfies a < b"):
        search_space(strategy)


def test_constraints_in_a_circle_are_refused() -> None:
    strategy = strategy_of((Integer("a", 1, 6, 1), Integer("b", 1, 6, 6)), ("a", "b"))
    object.__setattr__(strategy, "constraints", (P.a < P.b, P.b < P.a))
    with pytest.raises(ValueError, match="circle"):
        search_space(strategy)
