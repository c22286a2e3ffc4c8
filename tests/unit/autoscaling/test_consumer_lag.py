"""Consumers scaled on the lag of their group."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from alpharay.autoscaling.autoscaler import synchronize
from alpharay.autoscaling.consumer_lag import CONSUMER_LAG, ConsumerLagScaler, PartitionPosition, consumer_autoscaler
from alpharay.autoscaling.horizontal_pod_autoscaler import (
    AverageValue,
    Behavior,
    ExternalMetric,
    HorizontalPodAutoscaler,
    PodsMetric,
    ScalingPolicy,
    ScalingRules,
)


def positions(*lags: int) -> Mapping[tuple[str, int], PartitionPosition]:
    return {("candles", number): PartitionPosition(1000 + lag, 1000) for number, lag in enumerate(lags)}


def scaler(**bounds: int) -> ConsumerLagScaler:
    return ConsumerLagScaler(
        consumer_autoscaler(**{"min_consumers": 1, "max_consumers": 10, "lag_per_consumer": 100, **bounds})
    )


@pytest.mark.parametrize(
    ("position", "lag"),
    [
        (PartitionPosition(120, 100), 20),
        (PartitionPosition(120, 120), 0),
        # The topic was made anew and is shorter than what the group remembers.
        (PartitionPosition(5, 120), 0),
        # The group has not begun, and the oldest messages have been deleted.
        (PartitionPosition(120, None, start_offset=20), 100),
        (PartitionPosition(120, 3, start_offset=20), 100),
    ],
)
def test_the_lag_is_what_can_still_be_read(position: PartitionPosition, lag: int) -> None:
    assert position.lag == lag


def test_the_lag_of_all_partitions_is_shared_by_the_consumers() -> None:
    decision = scaler().synchronize(0, 2, positions(150, 150, 100, 0))
    assert decision.desired_replicas == 4
    assert decision.statuses[0] is not None
    assert decision.statuses[0].average_milli == 200_000


def test_a_lag_within_tolerance_keeps_the_consumers() -> None:
    assert scaler().synchronize(0, 2, positions(110, 110)).desired_replicas == 2


def test_there_are_never_more_consumers_than_partitions() -> None:
    decision = scaler().synchronize(0, 2, positions(5000, 5000, 5000))
    assert decision.desired_replicas == 3
    assert decision.conditions["ScalingLimited"].reason == "TooManyReplicas"


def test_the_minimum_holds_though_there_are_fewer_partitions() -> None:
    assert scaler(min_consumers=3).synchronize(0, 3, positions(5000, 5000)).desired_replicas == 3


@pytest.mark.parametrize("silent", [None, {}])
def test_silence_keeps_the_consumers_and_says_so(silent: Mapping[tuple[str, int], PartitionPosition] | None) -> None:
    lagging = scaler()
    lagging.synchronize(0, 2, positions(0, 0, 0, 0))
    decision = lagging.synchronize(15_000, 5, silent)
    assert decision.desired_replicas == 5
    assert decision.conditions["ScalingActive"].reason == "FailedGetExternalMetric"
    assert decision.error is not None
    assert CONSUMER_LAG in decision.error


def test_consumers_shrink_only_when_the_lag_has_stayed_low_for_the_window() -> None:
    lagging = scaler()
    size, sizes = 1, []
    for step in range(30):
        size = lagging.synchronize(
            step * 15_000, size, positions(*([400] * 4 if step < 3 else [0] * 4))
        ).desired_replicas
        sizes.append(size)
    assert sizes[:3] == [4, 4, 4]
    # The last high wish is at 30 s; exactly 300 s later it still counts.
    assert sizes[3:23] == [4] * 20
    assert sizes[23:] == [1] * 7


def test_behavior_is_obeyed() -> None:
    slowly = Behavior(scale_up=ScalingRules((ScalingPolicy("Pods", 1, 60),), stabilization_s=0))
    autoscaler = consumer_autoscaler(min_consumers=1, max_consumers=8, lag_per_consumer=10, behavior=slowly)
    lagging = ConsumerLagScaler(autoscaler)
    size, sizes = 1, []
    for step in range(9):
        size = lagging.synchronize(step * 15_000, size, positions(*[1000] * 8)).desired_replicas
        sizes.append(size)
    assert sizes == [2, 2, 2, 2, 3, 3, 3, 3, 4]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"min_consumers": 0}, "min_consumers must be at least 1, was 0"),
        ({"lag_per_consumer": 0}, "lag_per_consumer must be at least 1, was 0"),
        ({"min_consumers": 4, "max_consumers": 3}, "max_consumers must be at least min_consumers, 4, was 3"),
    ],
)
def test_bounds_that_cannot_hold_are_refused(bounds: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scaler(**bounds)


@pytest.mark.parametrize(
    "metric", [PodsMetric(CONSUMER_LAG, AverageValue(1)), ExternalMetric("queue_length", AverageValue(1))]
)
def test_another_metric_than_the_lag_is_refused(metric: PodsMetric | ExternalMetric) -> None:
    with pytest.raises(ValueError, match="scales on the External metric kafka_consumergroup_lag only, was"):
        ConsumerLagScaler(HorizontalPodAutoscaler(1, 2, (metric,)))


def test_the_decisions_are_those_of_the_state_machine_itself() -> None:
    lagging, loads = scaler(), [0, 900, 300, 5, 5, 0]
    state, size = lagging.state, 2
    for step, load in enumerate(loads):
        lag_positions = positions(load, 0, 0, 0, 0)
        decision = lagging.synchronize(step * 15_000, size, lag_positions)
        samples = lagging.samples(step * 15_000, size, lag_positions)
        autoscaler = consumer_autoscaler(min_consumers=1, max_consumers=5, lag_per_consumer=100)
        expected, state = synchronize(autoscaler, state, samples)
        assert decision == expected
        size = decision.desired_replicas
