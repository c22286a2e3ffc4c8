"""The checks find what looks ahead and what its start decides, name it, and leave honest rules in peace."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from waves import wave_candles

from alpharay.indicators.registry import INDICATORS, indicator
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.checks import look_ahead, start_dependence
from alpharay.strategies.expression import P, close, open_, ta
from alpharay.strategies.strategy import Integer, Strategy

CANDLES = wave_candles(600, seed=5)


@pytest.fixture(autouse=True)
def _users_indicators() -> Iterator[None]:
    """Register what users get wrong, and one that is right."""

    @indicator(inputs=("close",), warm_up=lambda length: length)
    def tomorrow(close: np.ndarray, length: int) -> np.ndarray:
        return np.roll(close, -length)

    @indicator(inputs=("close",), warm_up=lambda: 0)
    def whole_sample_score(close: np.ndarray) -> np.ndarray:
        return (close - close.mean()) / close.std() if len(close) > 1 else np.full(len(close), np.nan)

    @indicator(inputs=("close",), warm_up=lambda length: length)
    def centred_mean(close: np.ndarray, length: int) -> np.ndarray:
        values = np.full(len(close), np.nan)
        for bar in range(length, len(close) - length):
            values[bar] = close[bar - length : bar + length + 1].mean()
        return values

    @indicator(inputs=("close",), warm_up=lambda: 0)
    def peak_at_300(close: np.ndarray) -> np.ndarray:
        """Look ahead on one bar only."""
        values = close.copy()
        if len(close) > 450:
            values[300] = close[450]
        return values

    @indicator(inputs=("close",), warm_up=lambda length: length)
    def rate(close: np.ndarray, length: int) -> np.ndarray:
        before = np.full(len(close), np.nan)
        before[length:] = close[:-length] if length < len(close) else []
        return close / before - 1.0

    @indicator(inputs=("close",), warm_up=lambda: 0)
    def needs_three(close: np.ndarray) -> np.ndarray:
        if len(close) < 3:
            raise IndexError("index 2 is out of bounds")
        return close * 1.0

    names = ("tomorrow", "whole_sample_score", "centred_mean", "peak_at_300", "rate", "needs_three")
    yield
    for name in names:
        del INDICATORS[name]


def rule(enter, leave=None, *parameters):
    return Strategy("RULE", "", parameters, enter, ~enter if leave is None else leave)


def test_a_value_of_tomorrow_is_found_on_the_first_bar_with_what_it_was_and_is():
    report = look_ahead(rule(ta.tomorrow(1) > close), {}, CANDLES, prefixes=10_000)
    assert report.prefixes == 599
    inner, enter, leave = report.found
    assert (inner.kind, inner.part, inner.bar, inner.known_candles) == ("indicator", "tomorrow(1)", 0, 1)
    assert inner.open_time == CANDLES.open_time[0]
    assert (inner.then, inner.now) == (CANDLES.close[0], CANDLES.close[1])
    assert {enter.part, leave.part} == {"enter", "exit"}
    rises = CANDLES.close[enter.bar + 1] > CANDLES.close[enter.bar]
    assert (enter.kind, enter.then, enter.now) == ("rule", 0.0, float(rises))


@pytest.mark.parametrize("name", ["whole_sample_score", "centred_mean"])
def test_what_is_made_with_the_whole_sample_is_found_with_few_prefixes(name):
    series = ta.whole_sample_score() if name == "whole_sample_score" else ta.centred_mean(P.n)
    parameters = (Integer("n", 1, 9, default=4),) if name == "centred_mean" else ()
    strategy = rule(series > 1.0, None, *parameters)
    report = look_ahead(strategy, strategy.defaults, CANDLES, prefixes=5)
    assert report.found[0].part == ("whole_sample_score" if name == "whole_sample_score" else "centred_mean(4)")


def test_the_indicator_that_is_to_blame_is_named_not_what_is_computed_from_it():
    enter = ta.ema(5, of=ta.tomorrow(2)) > ta.sma(5)
    found = look_ahead(rule(enter), {}, CANDLES, prefixes=50).found
    assert [item.part for item in found if item.kind == "indicator"] == ["tomorrow(2)"]


def test_one_bar_that_looks_ahead_among_hundreds_is_found_on_that_bar():
    report = look_ahead(rule(ta.peak_at_300() > open_), {}, CANDLES, prefixes=100)
    assert report.found[0].bar == 300
    assert 300 < report.found[0].known_candles <= 450
    assert report.found[0].now == CANDLES.close[450]


def test_an_honest_indicator_of_a_user_passes_and_so_does_the_catalogue():
    assert look_ahead(rule(ta.rate(5) > 0.0), {}, CANDLES, prefixes=200).found == ()
    for name in ("ICHIMOKU_CLOUD", "PARABOLIC_SAR", "MACD_CROSSOVER", "OBV_EMA"):
        strategy = CATALOGUE[name]
        assert look_ahead(strategy, strategy.defaults, CANDLES, prefixes=60).found == ()


def test_rounding_is_no_look_ahead():
    @indicator(inputs=("close",), warm_up=lambda: 0)
    def summed_backwards(close: np.ndarray) -> np.ndarray:
        return np.cumsum(close)[-1] - np.concatenate([np.cumsum(close[::-1])[-2::-1], [0.0]])

    try:
        report = look_ahead(rule(ta.summed_backwards() > close), {}, CANDLES, prefixes=100)
    finally:
        del INDICATORS["summed_backwards"]
    assert [item for item in report.found if item.kind == "indicator"] == []


def test_what_never_holds_is_told_apart_from_what_was_checked():
    report = look_ahead(rule(close > 1e9, close < ta.sma(1_000)), {}, CANDLES, prefixes=10)
    assert report.found == ()
    assert report.idle == ("sma(1000)", "enter", "exit")


def test_an_indicator_that_fails_on_short_histories_is_told_with_their_length():
    with pytest.raises(ValueError, match="RULE fails on the first 1 candles: index 2 is out of bounds"):
        look_ahead(rule(ta.needs_three() > 0.0), {}, CANDLES)


@pytest.mark.parametrize(("candles", "prefixes"), [(1, 10), (0, 10), (50, 0)])
def test_too_little_to_compare_is_refused(candles, prefixes):
    with pytest.raises(ValueError, match="two candles and one prefix"):
        look_ahead(rule(close > 1.0), {}, CANDLES.slice(0, candles), prefixes=prefixes)


def test_a_window_needs_its_length_less_one_and_a_rule_no_more():
    report = start_dependence(rule(close > ta.sma(40)), {}, CANDLES)
    average, enter, _ = report.parts
    assert (average.part, average.needed) == ("sma(40)", 39)
    assert average.differences[:2] == (math.inf, 0.0)
    assert enter.needed is not None
    assert enter.needed <= 39
    assert report.needed("indicator") == 39
    assert report.warm_ups == (25, 50, 100, 200, 400)


def test_a_recursive_average_needs_what_its_definition_says():
    report = start_dependence(rule(close > ta.ema(20)), {}, CANDLES, tolerance=1e-6)
    needed = report.parts[0].needed
    assert needed is not None
    # From n warm-up candles on, the start weighs (1 - 2/21)^n: below 1e-6 of a difference of a few per cent.
    assert 60 < needed < math.log(1e-6) / math.log(1 - 2 / 21) + 20
    fewer, enough = (
        start_dependence(rule(close > ta.ema(20)), {}, CANDLES, warm_ups=(n,)) for n in (needed - 1, needed)
    )
    assert fewer.parts[0].differences[0] > 1e-6 >= enough.parts[0].differences[0]


def test_a_sum_of_all_candles_is_never_settled_but_the_rule_on_it_is():
    strategy = CATALOGUE["OBV_EMA"]
    report = start_dependence(strategy, strategy.defaults, CANDLES)
    assert report.needed("indicator") is None
    assert report.needed("rule") is not None
    assert min(report.parts[0].differences) > 1e-3


def test_a_rule_on_the_calendar_needs_no_history():
    from alpharay.strategies.seasons import hour_between

    report = start_dependence(rule(hour_between(9, 17)), {}, CANDLES, warm_ups=(0, 10))
    assert report.needed("rule") == 0
    assert report.needed("indicator") == 0


def test_too_few_candles_for_the_shortest_warm_up_are_refused():
    with pytest.raises(ValueError, match="110 candles are too few to compare 100 bars with a warm-up of 25"):
        start_dependence(rule(close > 1.0), {}, CANDLES.slice(0, 110))
