"""The circuit breaker, moved through its states by hand and at random."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.risk.circuit_breaker import (
    MOST_OUTCOMES,
    BreakerSettings,
    BreakerState,
    Reading,
    admit,
    breaker_settings,
    read,
    record,
)
from alpharay.risk.limits import RiskLimits

SETTINGS = BreakerSettings(
    most_loss=0.05,
    most_orders=5,
    most_volatility=3.0,
    most_errors=0.5,
    least_outcomes=4,
    outcome_window_ms=10_000,
    longest_silence_ms=5_000,
    cool_down_ms=1_000,
    longest_cool_down_ms=4_000,
    trials=2,
    trial_size=0.25,
)
CALM = Reading(loss=0.0, volatility=1.0)


def opened(now: int = 0) -> BreakerState:
    return read(BreakerState(), SETTINGS, Reading(loss=0.06), now)


def half_open(now: int = 1_000) -> BreakerState:
    return read(opened(), SETTINGS, CALM, now)


def test_calm_market_passes_everything() -> None:
    admission, state = admit(read(BreakerState(), SETTINGS, CALM, 0), SETTINGS, 10)
    assert (admission.admitted, admission.size, admission.reason) == (True, 1.0, None)
    assert state.phase == "closed"


@pytest.mark.parametrize(
    ("reading", "word"),
    [
        (Reading(loss=0.05), "loss of the day was 5.00%"),
        (Reading(loss=0.0, volatility=3.0), "volatility was 3.0 times"),
        (Reading(loss=0.0, drawdown=0.1), "drawdown was 10.00%"),
        (Reading(loss=0.0, orders=6), "6 orders were made within a second"),
        (Reading(loss=0.0, blind="the newest price of BTC/USD was 900 s old"), "900 s old"),
    ],
)
def test_each_alarm_opens_it_and_says_so(reading: Reading, word: str) -> None:
    state = read(BreakerState(), SETTINGS, reading, 100)
    admission, _ = admit(state, SETTINGS, 150)
    assert state.phase == "open"
    assert not admission.admitted
    assert admission.reason is not None
    assert word in admission.reason
    assert admission.retry_after_ms == 950


def test_readings_below_the_marks_do_not_open_it() -> None:
    state = read(BreakerState(), SETTINGS, Reading(loss=0.0499, volatility=2.99, drawdown=0.0999, orders=5), 0)
    assert read(state, SETTINGS, Reading(loss=-0.2, volatility=None), 1).phase == "closed"


def test_errors_open_it_once_there_are_enough() -> None:
    state = read(BreakerState(), SETTINGS, CALM, 0)
    for now, succeeded in ((1, False), (2, True), (3, False)):
        state = record(state, SETTINGS, succeeded=succeeded, now_ms=now)
        assert state.phase == "closed"
    state = record(state, SETTINGS, succeeded=True, now_ms=4)
    assert state.phase == "open"
    assert state.reason == "2 of 4 orders failed within 10 s"


def test_old_errors_are_forgotten() -> None:
    state = read(BreakerState(), SETTINGS, CALM, 0)
    for now in (1, 2, 3):
        state = record(state, SETTINGS, succeeded=False, now_ms=now)
    state = record(state, SETTINGS, succeeded=False, now_ms=10_003)
    assert state.phase == "closed"
    assert len(state.outcomes) == 1


def test_after_the_cool_down_a_few_small_trials_pass_and_close_it() -> None:
    state = half_open()
    assert state.phase == "half-open"
    first, state = admit(state, SETTINGS, 1_001)
    second, state = admit(state, SETTINGS, 1_002)
    third, state = admit(state, SETTINGS, 1_003)
    assert [first.admitted, second.admitted, third.admitted] == [True, True, False]
    assert (first.size, third.size) == (0.25, 0.0)
    state = record(state, SETTINGS, succeeded=True, now_ms=1_010)
    assert state.phase == "half-open"
    state = record(state, SETTINGS, succeeded=True, now_ms=1_020)
    assert (state.phase, state.openings, state.reason) == ("closed", 0, None)
    assert admit(state, SETTINGS, 1_030)[0].admitted


def test_failed_trial_opens_it_for_twice_as_long_up_to_the_longest() -> None:
    state, now, waits = opened(), 0, []
    for _ in range(4):
        waits.append(state.until_ms - now)
        now = state.until_ms
        state = read(state, SETTINGS, CALM, now)
        state = record(state, SETTINGS, succeeded=False, now_ms=now)
    assert waits == [1_000, 2_000, 4_000, 4_000]


def test_what_opened_it_keeps_it_open_while_it_lasts_without_longer_waits() -> None:
    state = opened()
    for now in range(500, 20_000, 500):
        state = read(state, SETTINGS, Reading(loss=0.06), now)
        assert state.phase == "open"
        assert state.until_ms == now + 1_000
    assert state.openings == 1


def test_without_fresh_readings_nothing_passes() -> None:
    admission, _ = admit(BreakerState(), SETTINGS, 0)
    assert not admission.admitted
    assert admission.reason == "no fresh reading of loss and volatility: there was none"
    state = read(BreakerState(), SETTINGS, CALM, 100_000)
    assert admit(state, SETTINGS, 105_000)[0].admitted
    late, _ = admit(state, SETTINGS, 105_001)
    assert not late.admitted
    assert late.reason == "no fresh reading of loss and volatility: the newest is 5001 ms old"


def test_trials_whose_outcome_is_lost_are_given_again() -> None:
    state = half_open()
    for now in (1_001, 1_002):
        _, state = admit(state, SETTINGS, now)
    assert not admit(state, SETTINGS, 1_999)[0].admitted
    assert admit(state, SETTINGS, 2_000)[0].admitted


def test_clock_that_goes_back_changes_nothing() -> None:
    state = opened(10_000)
    admission, after = admit(state, SETTINGS, 0)
    assert not admission.admitted
    assert after.clock_ms == 10_000
    assert admission.retry_after_ms == 1_000


def test_settings_are_those_of_the_limits() -> None:
    made = breaker_settings(RiskLimits(daily_loss=0.02, drawdown=None, orders_per_second=3))
    assert (made.most_loss, made.most_drawdown, made.most_orders) == (0.02, 1.0, 3)
    free = breaker_settings(RiskLimits(daily_loss=None, orders_per_second=None))
    calm = read(BreakerState(), free, Reading(loss=0.99, orders=1_000), 0)
    assert calm.phase == "closed"


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="drawdown of a reading must be finite"):
        Reading(loss=0.0, drawdown=math.inf)
    with pytest.raises(ValueError, match="most_orders"):
        BreakerSettings(most_orders=-1)
    with pytest.raises(ValueError, match="loss of a reading must be finite"):
        Reading(loss=math.nan)
    with pytest.raises(ValueError, match="volatility of a reading"):
        Reading(loss=0.0, volatility=math.nan)
    with pytest.raises(ValueError, match="most_errors"):
        BreakerSettings(most_errors=0.0)
    with pytest.raises(ValueError, match="trials"):
        BreakerSettings(trials=0)
    with pytest.raises(ValueError, match="longest_cool_down_ms"):
        BreakerSettings(cool_down_ms=10, longest_cool_down_ms=5)
    with pytest.raises(ValueError, match="most_volatility"):
        BreakerSettings(most_volatility=0.0)


events = st.lists(
    st.tuples(st.sampled_from(["read", "bad", "success", "failure", "admit"]), st.integers(0, 3_000)),
    max_size=60,
)


@given(events=events)
@settings(max_examples=200, deadline=None)
def test_nothing_passes_while_open_and_at_most_the_trials_while_half_open(events: list[tuple[str, int]]) -> None:
    state, now = BreakerState(), 0
    last_bad = -math.inf
    for kind, pause in events:
        now += pause
        if kind == "read":
            state = read(state, SETTINGS, CALM, now)
        elif kind == "bad":
            state, last_bad = read(state, SETTINGS, Reading(loss=0.5), now), now
        elif kind == "admit":
            admission, state = admit(state, SETTINGS, now)
            if admission.admitted:
                assert now - last_bad >= SETTINGS.cool_down_ms
                assert state.phase in {"closed", "half-open"}
                assert admission.size == (1.0 if state.phase == "closed" else 0.25)
            else:
                assert admission.reason is not None
        else:
            state = record(state, SETTINGS, succeeded=kind == "success", now_ms=now)
        assert state.given <= SETTINGS.trials
        assert len(state.outcomes) <= MOST_OUTCOMES
        assert state.phase == "closed" or state.reason is not None
