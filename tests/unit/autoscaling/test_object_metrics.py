"""Metrics of one number: Object and External metrics, at the edges that no trace has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alpharay.autoscaling.horizontal_pod_autoscaler import AverageValue, ExternalMetric, ObjectMetric, TotalValue
from alpharay.autoscaling.machine_numbers import MAX_INT32, MAX_INT64, MIN_INT64
from alpharay.autoscaling.object_metrics import propose_for_external, propose_for_object
from alpharay.autoscaling.proposal import InvalidMetricError, MetricStatus, Tolerances
from alpharay.autoscaling.samples import Pod, Readiness, Samples, Unavailable

TOLERANCES = Tolerances(0.1, 0.1)
READY = tuple(Pod(f"w-{number}", {}, readiness=Readiness(ready=True, since_ms=0)) for number in range(4))
RATE = ("Service", "front", "rate")


def of_object(target: TotalValue | AverageValue) -> ObjectMetric:
    return ObjectMetric(*RATE, target)


def external(target: TotalValue | AverageValue) -> ExternalMetric:
    return ExternalMetric("lag", target)


def samples(replicas: int = 4, pods: tuple[Pod, ...] = READY, **metrics: object) -> Samples:
    known = {"object_metrics": {RATE: metrics["rate"]}} if "rate" in metrics else {}
    series = {"external_metrics": {"lag": metrics["lag"]}} if "lag" in metrics else {}
    return Samples(0, replicas, replicas, pods, **known, **series)  # type: ignore[arg-type]


def test_an_objects_value_scales_the_pods_that_serve() -> None:
    unready = replace(READY[0], readiness=Readiness(ready=False, since_ms=0))
    pending = replace(READY[1], phase="Pending")
    proposal = propose_for_object(
        of_object(TotalValue(10_000)), samples(pods=(unready, pending, *READY[2:]), rate=30_000), TOLERANCES, "prod"
    )
    assert proposal.replicas == 6
    assert proposal.metric == "Service metric rate"
    assert proposal.status == MetricStatus("rate", total_milli=30_000)


def test_an_objects_value_within_tolerance_keeps_the_wanted_replicas_whatever_serves() -> None:
    assert (
        propose_for_object(of_object(TotalValue(10_000)), samples(rate=11_000, pods=()), TOLERANCES, "prod").replicas
        == 4
    )


def test_an_objects_average_value_is_of_the_existing_replicas() -> None:
    proposal = propose_for_object(of_object(AverageValue(10_000)), samples(rate=61_000), TOLERANCES, "prod")
    assert proposal.replicas == 7
    assert proposal.status == MetricStatus("rate", average_milli=15_250)
    assert proposal.metric == "external metric rate(nil)"


def test_from_zero_replicas_the_ratio_itself_is_the_number() -> None:
    assert (
        propose_for_external(external(TotalValue(10_000)), samples(0, (), lag=(25_000,)), TOLERANCES, "prod").replicas
        == 3
    )
    assert (
        propose_for_external(external(TotalValue(10_000)), samples(0, (), lag=(0,)), TOLERANCES, "prod").replicas == 0
    )


def test_a_value_for_no_pods_at_all_cannot_be_told() -> None:
    with pytest.raises(InvalidMetricError, match="unable to calculate ready pods") as refused:
        propose_for_external(external(TotalValue(10_000)), samples(4, (), lag=(25_000,)), TOLERANCES, "prod")
    assert refused.value.reason == "FailedGetExternalMetric"


def test_a_sum_too_large_is_the_largest_number_and_so_are_the_replicas() -> None:
    huge = (MAX_INT64 - 1, MAX_INT64 - 1)
    each = propose_for_external(external(AverageValue(1)), samples(lag=huge), TOLERANCES, "prod")
    assert (each.replicas, each.status.average_milli) == (MAX_INT32, MAX_INT64)
    total = propose_for_external(external(TotalValue(1)), samples(lag=huge), TOLERANCES, "prod")
    assert (total.replicas, total.status.total_milli) == (MAX_INT32, MAX_INT64)


def test_a_negative_sum_counts_as_an_overflow_of_average_values_only() -> None:
    each = propose_for_external(external(AverageValue(1000)), samples(lag=(-5000,)), TOLERANCES, "prod")
    assert each.replicas == MAX_INT32
    total = propose_for_external(external(TotalValue(1000)), samples(lag=(-5000,)), TOLERANCES, "prod")
    assert total.replicas == -20


def test_no_existing_replicas_make_the_average_no_number() -> None:
    each = propose_for_external(external(AverageValue(1000)), samples(0, (), lag=(5000,)), TOLERANCES, "prod")
    assert (each.replicas, each.status.average_milli) == (5, MIN_INT64)


@pytest.mark.parametrize("lag", [(), Unavailable("the server is away")])
def test_a_metric_without_series_is_invalid(lag: object) -> None:
    with pytest.raises(InvalidMetricError, match=r"unable to get external metric prod/lag/nil") as refused:
        propose_for_external(external(AverageValue(1000)), samples(lag=lag), TOLERANCES, "prod")
    assert refused.value.reason == "FailedGetExternalMetric"


@pytest.mark.parametrize("target", [TotalValue(1000), AverageValue(1000)])
def test_an_object_without_the_metric_is_invalid(target: TotalValue | AverageValue) -> None:
    with pytest.raises(InvalidMetricError, match=r"unable to get metric rate: Service on prod front/") as refused:
        propose_for_object(of_object(target), samples(), TOLERANCES, "prod")
    assert refused.value.reason == "FailedGetObjectMetric"
