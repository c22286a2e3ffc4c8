"""Replicas from one number for the whole target: a metric of an object, or one from outside the cluster."""

from __future__ import annotations

from collections.abc import Sequence

from alpharay.autoscaling.horizontal_pod_autoscaler import ExternalMetric, ObjectMetric, TotalValue
from alpharay.autoscaling.machine_numbers import MAX_INT32, MAX_INT64, ceil_int32, ceil_int64, int64_wrapped, ratio
from alpharay.autoscaling.proposal import InvalidMetricError, MetricStatus, Proposal, Tolerances
from alpharay.autoscaling.samples import Samples, Unavailable

_NO_SUCH_METRIC = Unavailable("no such metric")


def propose_for_object(metric: ObjectMetric, samples: Samples, tolerances: Tolerances, namespace: str) -> Proposal:
    """Return what a metric of one object asks for; raises InvalidMetricError."""
    trouble = "failed to get object metric value: "
    usage = samples.object_metrics.get((metric.kind, metric.object_name, metric.name), _NO_SUCH_METRIC)
    if isinstance(usage, Unavailable):
        asked = "" if isinstance(metric.target, TotalValue) else f"failed to get {metric.name} object metric: "
        raise InvalidMetricError(
            "FailedGetObjectMetric",
            # The controller's own words: its format has the arguments in another order.
            f"{trouble}{asked}unable to get metric {metric.name}: {metric.kind} on {namespace} {metric.object_name}/"
            f"unable to fetch metrics from custom metrics API: {usage.reason}",
        )
    if isinstance(metric.target, TotalValue):
        usage_ratio = float(usage) / float(metric.target.milli)
        replicas = _replicas_for_total(usage_ratio, samples, tolerances, "FailedGetObjectMetric", trouble)
        return Proposal(replicas, f"{metric.kind} metric {metric.name}", MetricStatus(metric.name, total_milli=usage))
    usage_ratio = _ratio_each(usage, metric.target.milli, samples.status_replicas)
    replicas = samples.status_replicas
    if not tolerances.contain(usage_ratio):
        replicas = ceil_int32(float(usage) / float(metric.target.milli))
    # The controller names it so for objects too.
    title = f"external metric {metric.name}({metric.selector})"
    average = ceil_int64(ratio(float(usage), float(samples.status_replicas)))
    return Proposal(replicas, title, MetricStatus(metric.name, average_milli=average))


def propose_for_external(metric: ExternalMetric, samples: Samples, tolerances: Tolerances, namespace: str) -> Proposal:
    """Return what a metric from outside the cluster asks for; raises InvalidMetricError."""
    trouble = f"failed to get {metric.name} external metric value: "
    series = samples.external_metrics.get(metric.name, ())
    if isinstance(series, Unavailable) or not series:
        reason = (
            f"unable to fetch metrics from external metrics API: {series.reason}"
            if isinstance(series, Unavailable)
            else "no metrics returned from external metrics API"
        )
        asked = (
            f"failed to get external metric {metric.name}"
            if isinstance(metric.target, TotalValue)
            else f"failed to get {metric.name} external metric"
        )
        raise InvalidMetricError(
            "FailedGetExternalMetric",
            f"{trouble}{asked}: unable to get external metric {namespace}/{metric.name}/{metric.selector}: {reason}",
        )
    title = f"external metric {metric.name}({metric.selector})"
    if isinstance(metric.target, TotalValue):
        usage = _sum_of_total(series)
        usage_ratio = float(usage) / float(metric.target.milli)
        asked = f"{trouble}failed to get external metric {metric.name}: "
        replicas = _replicas_for_total(usage_ratio, samples, tolerances, "FailedGetExternalMetric", asked)
        return Proposal(replicas, title, MetricStatus(metric.name, total_milli=usage))
    usage = _sum_of_each(series)
    replicas = samples.status_replicas
    if not tolerances.contain(_ratio_each(usage, metric.target.milli, samples.status_replicas)):
        wanted = float(usage) / float(metric.target.milli)
        replicas = MAX_INT32 if wanted > MAX_INT32 else ceil_int32(wanted)
    average = MAX_INT64
    if float(usage) < float(MAX_INT64):
        average = ceil_int64(ratio(float(usage), float(samples.status_replicas)))
    return Proposal(replicas, title, MetricStatus(metric.name, average_milli=average))


def _replicas_for_total(usage_ratio: float, samples: Samples, tolerances: Tolerances, reason: str, trouble: str) -> int:
    """Return the replicas for a ratio over all pods: it is of the pods that serve, except from zero."""
    if samples.spec_replicas == 0:
        return ceil_int32(usage_ratio)
    if tolerances.contain(usage_ratio):
        return samples.spec_replicas
    if not samples.pods:
        message = "unable to calculate ready pods: no pods returned by selector while calculating replica count"
        raise InvalidMetricError(reason, f"{trouble}{message}")
    wanted = usage_ratio * float(sum(pod.serves for pod in samples.pods))
    return MAX_INT32 if wanted > MAX_INT32 else ceil_int32(wanted)


def _ratio_each(usage: int, target_milli: int, replicas: int) -> float:
    return ratio(float(usage), float(target_milli) * float(replicas))


def _sum_of_total(series: Sequence[int]) -> int:
    usage = 0
    for value in series:
        if value > 0 and usage > MAX_INT64 - value:
            return MAX_INT64
        usage = int64_wrapped(usage + value)
    return usage


def _sum_of_each(series: Sequence[int]) -> int:
    """Return the sum; the controller takes any negative one for an overflow, and so for the largest number."""
    usage = 0
    for value in series:
        usage = int64_wrapped(usage + value)
        if usage < 0:
            return MAX_INT64
    return usage
