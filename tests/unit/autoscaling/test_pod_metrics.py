"""Pods without samples and pods that are not ready, at the edges that the traces do not touch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alpharay.autoscaling.autoscaler import AutoscalerState, synchronize
from alpharay.autoscaling.horizontal_pod_autoscaler import (
    AverageValue,
    ControllerSettings,
    ExternalMetric,
    HorizontalPodAutoscaler,
    PodsMetric,
    ResourceMetric,
    Utilization,
)
from alpharay.autoscaling.pod_metrics import propose_for_pods, propose_for_resource
from alpharay.autoscaling.proposal import InvalidMetricError, Proposal, Tolerances
from alpharay.autoscaling.samples import Pod, PodUsage, Readiness, Samples

EXACT = Tolerances(0.0, 0.0)
SETTINGS = ControllerSettings()
NOW_MS = 10_000_000
OLD = Readiness(ready=True, since_ms=0)


def pod(name: str, request: int | None = 100) -> Pod:
    return Pod(name, {"app": {} if request is None else {"cpu": request}}, started_ms=0, readiness=OLD)


def used(name: str, milli: int) -> PodUsage:
    return PodUsage(name, NOW_MS, 15_000, {"app": {"cpu": milli}})


def cpu(percent: int, pods: tuple[Pod, ...], usages: tuple[PodUsage, ...], tolerances: Tolerances = EXACT) -> Proposal:
    samples = Samples(NOW_MS, len(pods), len(pods), pods, usages)
    return propose_for_resource(ResourceMetric("cpu", Utilization(percent)), samples, tolerances, SETTINGS)


def test_at_exactly_the_target_pods_without_a_sample_are_left_out() -> None:
    # Were they taken to use all they request, three would be wanted: (50 + 100) / 200 is 75 % of a target of 50 %.
    assert cpu(50, (pod("a"), pod("b")), (used("a", 50),)).replicas == 2


def test_below_the_target_a_pod_without_a_sample_is_taken_to_use_all_it_requests() -> None:
    assert cpu(50, (pod("a"), pod("b"), pod("c")), (used("a", 10), used("b", 10))).replicas == 3
    assert cpu(90, (pod("a"), pod("b"), pod("c")), (used("a", 10), used("b", 10))).replicas == 2


def test_below_a_target_over_100_percent_it_is_taken_to_use_the_target() -> None:
    # (100 + 200) / 200 is 150 % of 200 %: two, where 100 % of the request would ask for one.
    assert cpu(200, (pod("a"), pod("b")), (used("a", 100),)).replicas == 2
    assert cpu(200, (pod("a"), pod("b")), (used("a", 0),)).replicas == 1


def test_above_the_target_a_pod_without_a_sample_is_taken_to_be_idle() -> None:
    assert cpu(50, (pod("a"), pod("b")), (used("a", 180),)).replicas == 4
    # It turns the direction: (80 + 0) / 200 is below the target.
    assert cpu(50, (pod("a"), pod("b")), (used("a", 80),)).replicas == 2


def test_the_percentage_is_cut_before_it_is_compared() -> None:
    tolerances = Tolerances(0.1, 0.1)
    assert cpu(70, (pod("a"),), (used("a", 77),), tolerances).replicas == 1
    assert cpu(70, (pod("a", 1000),), (used("a", 779),), tolerances).replicas == 1
    assert cpu(70, (pod("a"),), (used("a", 78),), tolerances).replicas == 2


@pytest.mark.parametrize(
    ("pods", "usages", "message"),
    [
        ((pod("a"),), (), "no metrics returned from resource metrics API"),
        ((), (used("a", 1),), "no pods returned by selector"),
        ((pod("a"),), (used("gone", 50),), "no metrics returned matched known pods"),
        ((pod("a"), pod("b", None)), (used("a", 50),), "missing request for cpu in container app of Pod b"),
        ((replace(pod("a"), deleting=True),), (used("a", 50),), "did not receive metrics for targeted pods"),
        ((pod("a", 0),), (used("a", 50),), "no metrics returned matched known pods"),
    ],
)
def test_what_makes_a_metric_invalid(pods: tuple[Pod, ...], usages: tuple[PodUsage, ...], message: str) -> None:
    with pytest.raises(InvalidMetricError, match=message) as refused:
        cpu(50, pods, usages)
    assert refused.value.reason == "FailedGetResourceMetric"


def test_pods_of_unknown_readiness_count_but_pods_without_a_start_do_not() -> None:
    unknown = replace(pod("a"), readiness=Readiness(ready=None, since_ms=0))
    assert cpu(50, (unknown,), (used("a", 100),)).replicas == 2
    with pytest.raises(InvalidMetricError, match="pods might be unready"):
        cpu(50, (replace(pod("a"), started_ms=None),), (used("a", 100),))


def test_a_metric_of_pods_counts_pods_that_are_not_ready() -> None:
    booting = replace(pod("a"), readiness=Readiness(ready=False, since_ms=NOW_MS - 1000))
    samples = Samples(NOW_MS, 2, 2, (booting, pod("b")), pods_metrics={"load": {"a": 0, "b": 10_000}})
    assert propose_for_pods(PodsMetric("load", AverageValue(5000)), samples, EXACT, SETTINGS).replicas == 2
    with pytest.raises(InvalidMetricError, match="unable to get metric hits"):
        propose_for_pods(PodsMetric("hits", AverageValue(5000)), samples, EXACT, SETTINGS)


def test_from_zero_replicas_an_invalid_metric_is_an_error_and_not_a_wish_for_none() -> None:
    autoscaler = HorizontalPodAutoscaler(0, 5, (ExternalMetric("lag", AverageValue(1000)),))
    decision, _ = synchronize(autoscaler, AutoscalerState(), Samples(NOW_MS, 0, 0))
    assert decision.desired_replicas == 0
    assert decision.proposal is None
    assert decision.conditions["ScalingActive"].reason == "FailedGetExternalMetric"


def test_from_zero_replicas_a_metric_brings_the_first_ones_back() -> None:
    autoscaler = HorizontalPodAutoscaler(0, 5, (ExternalMetric("lag", AverageValue(1000)),))
    busy = Samples(NOW_MS, 0, 0, external_metrics={"lag": (2500,)})
    assert synchronize(autoscaler, AutoscalerState(), busy)[0].desired_replicas == 3
