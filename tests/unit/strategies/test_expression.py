from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waves import wave_candles

from alpharay.backtest.bits import unpack
from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.single import backtest_strategy
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.evaluation import series_values, signals
from alpharay.strategies.expression import P, close, high, low, parameters_in, ta, volume
from alpharay.strategies.strategy import Integer, Real, Strategy

_SERIES = st.sampled_from(
    [
        close,
        volume,
        high.previous(3),
        ta.sma(P.n),
        ta.rsi(P.n),
        ta.ema(5, of=ta.rsi(P.n)),
        close - ta.sma(20),
        volume / (volume - volume),
        (high + low) * 0.5,
    ]
)
_LEVELS = st.sampled_from([100.0, 50.0, P.level])


def _comparison(pair):
    left, right, operator = pair
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right,
            "above": left.crosses_above(right), "below": left.crosses_below(right)}[operator]  # fmt: skip


_LEAVES = st.tuples(
    _SERIES, st.one_of(_SERIES, _LEVELS), st.sampled_from([">", "<", ">=", "<=", "above", "below"])
).map(_comparison)
_RULES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda a: ~a),
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=6,
)
_RANGES = {"n": Integer("n", 2, 30, default=9), "level": Real("level", 0.0, 150.0, default=100.0)}


def _strategy(enter, leave, **short):
    rules = [enter, leave, *short.values()]
    names = sorted(frozenset[str]().union(*(parameters_in(rule) for rule in rules)))
    return Strategy("RANDOM", "", tuple(_RANGES[name] for name in names), enter, leave, **short)


@settings(max_examples=120, deadline=None)
@given(_RULES, _RULES, st.booleans())
def test_any_tree_of_rules_gives_the_same_trades_fast_and_plain(enter, leave, tick):
    strategy = _strategy(enter, leave)
    candles = wave_candles(400, seed=2, tick=1.0 if tick else 0.0)
    fast = backtest_population(strategy, np.array([strategy.genome(strategy.defaults)]), open_market(candles))
    assert fast.row(0) == backtest_strategy(strategy, strategy.defaults, candles).metrics


@settings(max_examples=60, deadline=None)
@given(_RULES, _RULES, _RULES, _RULES)
def test_any_tree_of_short_rules_gives_the_same_trades_fast_and_plain(enter, leave, enter_short, exit_short):
    strategy = _strategy(enter, leave, enter_short=enter_short, exit_short=exit_short)
    candles = wave_candles(400, seed=4)
    fast = backtest_population(strategy, np.array([strategy.genome(strategy.defaults)]), open_market(candles))
    assert fast.row(0) == backtest_strategy(strategy, strategy.defaults, candles).metrics


@settings(max_examples=60, deadline=None)
@given(_RULES, _RULES)
def test_any_tree_survives_json(enter, leave):
    strategy = _strategy(enter, leave)
    assert strategy_from_json(strategy_to_json(strategy)) == strategy


def test_a_comparison_with_nan_is_neither_true_nor_false():
    undefined = ta.sma(5) > close
    strategy = _strategy(undefined, ~undefined)
    said = signals(strategy, {}, wave_candles(10))
    assert not said.enter[:4].any()
    assert not said.exit[:4].any()
    assert (said.enter | said.exit)[4:].all()


def test_a_tie_is_no_cross_and_a_cross_after_a_tie_is_one():
    candles = replace(wave_candles(5), close=np.array([1.0, 2.0, 2.0, 3.0, 2.0]))
    strategy = _strategy(close.crosses_above(2.0), close.crosses_below(2.0))
    said = signals(strategy, {}, candles)
    assert said.enter.tolist() == [False, False, False, True, False]
    assert said.exit.tolist() == [False] * 5


def test_a_division_by_zero_is_no_number():
    candles = wave_candles(6)
    volumes = candles.volume.copy()
    volumes[2] = 0.0
    candles = replace(candles, volume=volumes)
    assert np.isnan(series_values(close / volume, {}, candles)[2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _strategy(ta.sma(P.n) > close, close > ta.sma(P.unknown)), "unknown"),
        (lambda: Strategy("X", "", (), ta.sma(P.n) > close, close > 1.0), "rules use"),
        (lambda: Integer("n", 5, 10, default=3), r"n: default must be in \[5, 10\], was 3"),
        (lambda: close.previous(0), "at least 1"),
        (lambda: ta.no_such(3), "no_such.*not registered"),
        (lambda: ta.sma(3, 4), "takes 1 parameters"),
        (lambda: strategy_from_json({"name": "X"}), "lacks"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    with pytest.raises((ValueError, AttributeError, KeyError), match=message):
        make()


def test_a_condition_has_no_truth_value():
    with pytest.raises(TypeError, match=r"&, \| and ~"):
        bool(close > 1.0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fast": 30, "slow": 20}, "fast < slow is required, was 30 and 20"),
        ({"fast": 1, "slow": 20}, r"fast must be in \[2, 50\], was 1"),
        ({"fast": 2.5, "slow": 20}, "fast must be a whole number, was 2.5"),
        ({"fast": 5}, "takes the parameters"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_by_name_and_value(parameters, message):
    fast, slow = ta.sma(P.fast), ta.sma(P.slow)
    ranges = (Integer("fast", 2, 50, default=5), Integer("slow", 2, 50, default=20))
    strategy = Strategy("CROSS", "", ranges, fast > slow, fast < slow, (P.fast < P.slow,))
    with pytest.raises(ValueError, match=message):
        strategy.check(parameters)


def test_bits_unpack_what_they_pack():
    from alpharay.backtest.bits import pack

    flags = np.random.default_rng(0).random(1_000) < 0.3
    np.testing.assert_array_equal(unpack(pack(flags), 1_000), flags)
