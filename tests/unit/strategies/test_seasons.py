"""Rules on the calendar: the right part of the time, round midnight, the same fast and plain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waves import wave_candles

from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.single import backtest_strategy
from alpharay.market.candles import Candles
from alpharay.market.time_parts import TIME_PARTS, time_part
from alpharay.market.timeframe import DAY_MS
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.evaluation import series_values, signals
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.seasons import (
    day_of_month,
    day_of_month_between,
    day_of_week,
    day_of_week_between,
    hour_between,
    hour_of_day,
    minute_between,
    minute_of_day,
    month_between,
    month_of_year,
)
from alpharay.strategies.strategy import Integer, Strategy

HOURS = (Integer("first", 0, 23, default=22), Integer("last", 0, 23, default=3))
NIGHT = Strategy("NIGHT", "", HOURS, hour_between(P.first, P.last), ~hour_between(P.first, P.last))
TREND_AT_NIGHT = Strategy(
    "TREND_AT_NIGHT",
    "",
    (*HOURS, Integer("length", 5, 50, default=20)),
    (close > ta.sma(P.length)) & hour_between(P.first, P.last) & ~day_of_week_between(6, 7),
    (close < ta.sma(P.length)) | (hour_of_day() >= 12.0),
)


@given(st.integers(-(2**40), 2**42))
def test_parts_are_those_of_the_standard_library(milliseconds):
    time = np.array([milliseconds])
    known = datetime.fromtimestamp(milliseconds // 1000, tz=UTC)
    expected = {
        "minute_of_day": known.hour * 60 + known.minute,
        "hour_of_day": known.hour,
        "day_of_week": known.isoweekday(),
        "day_of_month": known.day,
        "month_of_year": known.month,
    }
    assert {part: time_part(time, part)[0] for part in TIME_PARTS} == expected


def test_each_series_reads_its_part_of_the_open_time():
    candles = _candles_at(datetime(2024, 2, 29, 23, 59, tzinfo=UTC))
    parts = (minute_of_day(), hour_of_day(), day_of_week(), day_of_month(), month_of_year())
    assert [series_values(part, {}, candles)[0] for part in parts] == [1439, 23, 4, 29, 2]


@pytest.mark.parametrize("of_parameters", [False, True])
@given(st.integers(0, 23), st.integers(0, 23))
def test_hours_between_go_round_midnight(of_parameters, first, last):
    inside, hour = set(), first
    while True:
        inside.add(hour)
        if hour == last:
            break
        hour = (hour + 1) % 24
    rule = hour_between(P.first, P.last) if of_parameters else hour_between(first, last)
    strategy = Strategy("X", "", HOURS if of_parameters else (), rule, ~rule)
    said = signals(strategy, {"first": first, "last": last} if of_parameters else {}, wave_candles(48))
    hours = series_values(hour_of_day(), {}, wave_candles(48))
    assert said.enter.tolist() == [hour in inside for hour in hours]
    assert said.exit.tolist() == [hour not in inside for hour in hours]


@pytest.mark.parametrize(
    ("rule", "when", "holds"),
    [
        (day_of_week_between(6, 1), datetime(2024, 3, 3, tzinfo=UTC), True),  # a Sunday
        (day_of_week_between(6, 1), datetime(2024, 3, 5, tzinfo=UTC), False),
        (day_of_month_between(28, 3), datetime(2024, 3, 3, tzinfo=UTC), True),
        (day_of_month_between(28, 3), datetime(2024, 3, 4, tzinfo=UTC), False),
        (month_between(11, 4), datetime(2024, 4, 30, 23, 59, tzinfo=UTC), True),
        (month_between(11, 4), datetime(2024, 5, 1, tzinfo=UTC), False),
        (minute_between(570, 959), datetime(2024, 3, 1, 9, 30, tzinfo=UTC), True),
        (minute_between(570, 959), datetime(2024, 3, 1, 16, 0, tzinfo=UTC), False),
    ],
)
def test_a_season_includes_its_first_and_its_last(rule, when, holds):
    said = signals(Strategy("X", "", (), rule, ~rule), {}, _candles_at(when))
    assert (said.enter[0], said.exit[0]) == (holds, not holds)


def test_nothing_is_decided_by_candles_to_come():
    candles = wave_candles(700, seed=3)
    whole = signals(TREND_AT_NIGHT, TREND_AT_NIGHT.defaults, candles)
    for stop in (1, 2, 25, 499, 699):
        part = signals(TREND_AT_NIGHT, TREND_AT_NIGHT.defaults, candles.slice(0, stop))
        np.testing.assert_array_equal(part.enter, whole.enter[:stop])
        np.testing.assert_array_equal(part.exit, whole.exit[:stop])


@pytest.mark.parametrize("strategy", [NIGHT, TREND_AT_NIGHT], ids=lambda strategy: strategy.name)
def test_a_population_equals_one_at_a_time(strategy):
    candles = wave_candles(1_500, seed=11)
    rng = np.random.default_rng(3)
    genomes = np.column_stack([rng.integers(item.low, item.high + 1, 40) for item in strategy.parameters]).astype(float)
    result = backtest_population(strategy, genomes, open_market(candles))
    assert result.metric("trades").max() > 10
    for row, genome in enumerate(genomes):
        assert result.row(row) == backtest_strategy(strategy, strategy.from_genome(genome), candles).metrics


def test_json_keeps_the_part_and_names_one_it_does_not_know():
    json = strategy_to_json(TREND_AT_NIGHT)
    assert strategy_from_json(json) == TREND_AT_NIGHT
    with pytest.raises(ValueError, match=r"time must be one of .*hour_of_day.*, was 'phase_of_moon'"):
        strategy_from_json({**json, "enter": {**json["exit"]["or"][1], "left": {"time": "phase_of_moon"}}})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hour_between(9, 24), r"last hour_of_day must be in \[0, 23\], was 24"),
        (lambda: day_of_week_between(0, 5), r"first day_of_week must be in \[1, 7\], was 0"),
    ],
)
def test_a_time_that_is_none_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def _candles_at(when: datetime) -> Candles:
    """Return one candle that opens at a time."""
    open_time = np.array([int(when.timestamp()) * 1000])
    assert open_time[0] > DAY_MS
    return replace(wave_candles(1), open_time=open_time)
