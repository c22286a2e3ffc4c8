"""Policies and the changes that they count."""

from __future__ import annotations

from alpharay.autoscaling.horizontal_pod_autoscaler import ScalingPolicy, ScalingRules
from alpharay.autoscaling.machine_numbers import MAX_INT32, MIN_INT32
from alpharay.autoscaling.rate_limits import ScaleEvent, ScaleEvents, scale_down_limit, scale_up_limit


def rules(*policies: tuple[str, int, int], select: str = "Max") -> ScalingRules:
    return ScalingRules(tuple(ScalingPolicy(*policy) for policy in policies), select_policy=select)  # type: ignore[arg-type]


def test_a_change_exactly_one_period_ago_no_longer_counts() -> None:
    events = ScaleEvents(up=(ScaleEvent(3, 1000),))
    policy = rules(("Pods", 2, 60))
    assert scale_up_limit(8, events, policy, 60_999) == 8 - 3 + 2
    assert scale_up_limit(8, events, policy, 61_000) == 8 + 2


def test_changes_of_both_directions_count_for_each() -> None:
    events = ScaleEvents(up=(ScaleEvent(3, 1000),), down=(ScaleEvent(1, 2000),))
    assert scale_up_limit(8, events, rules(("Pods", 2, 60)), 3000) == 8
    assert scale_down_limit(8, events, rules(("Pods", 2, 60)), 3000) == 4


def test_max_takes_the_policy_that_moves_farthest_and_min_the_nearest() -> None:
    policies = (("Pods", 2, 60), ("Percent", 50, 60))
    assert scale_up_limit(10, ScaleEvents(), rules(*policies), 0) == 15
    assert scale_up_limit(10, ScaleEvents(), rules(*policies, select="Min"), 0) == 12
    assert scale_down_limit(10, ScaleEvents(), rules(*policies), 0) == 5
    assert scale_down_limit(10, ScaleEvents(), rules(*policies, select="Min"), 0) == 8


def test_percent_rounds_up_when_growing_and_cuts_when_shrinking_on_the_same_floats() -> None:
    assert scale_up_limit(25, ScaleEvents(), rules(("Percent", 12, 60)), 0) == 29
    assert scale_down_limit(10, ScaleEvents(), rules(("Percent", 80, 60)), 0) == 1
    assert [scale_down_limit(size, ScaleEvents(), rules(("Percent", 10, 60)), 0) for size in (2, 9, 10)] == [1, 8, 9]


def test_a_manual_change_is_no_event_so_the_start_may_be_negative() -> None:
    # Grown by eight, then set to three by hand: the period seems to have begun at minus five.
    events = ScaleEvents(up=(ScaleEvent(8, 1000),))
    assert scale_up_limit(3, events, rules(("Percent", 100, 60)), 2000) == -10


def test_a_limit_that_does_not_fit_wraps_or_falls_to_the_lowest_integer() -> None:
    assert scale_up_limit(5, ScaleEvents(), rules(("Pods", MAX_INT32, 60)), 0) == MIN_INT32 + 4
    assert scale_up_limit(MAX_INT32, ScaleEvents(), rules(("Percent", 100, 60)), 0) == MIN_INT32


def test_a_new_event_takes_the_last_slot_that_is_out_of_date() -> None:
    old = (ScaleEvent(1, 0), ScaleEvent(2, 10_000), ScaleEvent(3, 70_000))
    events = ScaleEvents(up=old).recorded(4, 75_000, rules(("Pods", 1, 60)))
    assert events.up == (ScaleEvent(1, 0, outdated=True), ScaleEvent(4, 75_000), ScaleEvent(3, 70_000))


def test_an_event_once_out_of_date_stays_so_though_a_later_edit_lengthens_the_period() -> None:
    events = ScaleEvents(up=(ScaleEvent(1, 0), ScaleEvent(1, 1000))).recorded(2, 61_000, rules(("Pods", 1, 60)))
    assert events.up == (ScaleEvent(2, 61_000), ScaleEvent(1, 1000))
    events = ScaleEvents(up=(ScaleEvent(1, 0), ScaleEvent(1, 500))).recorded(2, 61_000, rules(("Pods", 1, 60)))
    events = events.recorded(3, 62_000, rules(("Pods", 1, 1800)))
    assert events.up == (ScaleEvent(3, 62_000), ScaleEvent(2, 61_000))


def test_an_event_out_of_date_counts_for_the_other_direction_until_its_slot_is_taken() -> None:
    events = ScaleEvents(up=(ScaleEvent(5, 0),))
    assert scale_down_limit(10, events, rules(("Pods", 1, 300)), 100_000) == 4


def test_a_change_down_is_kept_as_a_positive_number() -> None:
    assert ScaleEvents().recorded(-2, 5, rules(("Pods", 1, 60))).down == (ScaleEvent(2, 5),)
