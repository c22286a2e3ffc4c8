"""Replicas from a metric that every pod has: CPU, memory and metrics of pods.

Pods whose value is not known, or not yet meaningful, are assumed to be what makes the smaller change: then the ratio is
taken a second time, and where it no longer points the same way nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alpharay.autoscaling.horizontal_pod_autoscaler import (
    AverageValue,
    ControllerSettings,
    PodsMetric,
    ResourceMetric,
    Utilization,
)
from alpharay.autoscaling.machine_numbers import ceil_int32, int32_wrapped, quotient
from alpharay.autoscaling.pod_groups import PodGroups, Sample, group_pods
from alpharay.autoscaling.proposal import InvalidMetricError, MetricStatus, Proposal, Tolerances
from alpharay.autoscaling.samples import Pod, PodUsage, Samples, Unavailable


class _UnusableError(Exception):
    """Why a metric gives no number; the callers say which metric it is."""


@dataclass(frozen=True, slots=True)
class _Usage:
    """Usage against the target: the ratio that decides, and what is shown."""

    ratio: float
    average_milli: int
    percent: int | None = None


def propose_for_resource(
    metric: ResourceMetric, samples: Samples, tolerances: Tolerances, settings: ControllerSettings
) -> Proposal:
    """Return what CPU or memory asks for; raises InvalidMetricError."""
    wanted = "usage" if isinstance(metric.target, AverageValue) else "utilization"
    try:
        values = _resource_samples(metric, samples)
        replicas, usage = _replicas(
            metric.target, values, samples, tolerances, settings, resource=metric.resource, container=metric.container
        )
    except _UnusableError as error:
        what = f"{metric.resource} resource" if metric.container is None else f"{metric.container} container"
        raise InvalidMetricError(
            "FailedGetResourceMetric" if metric.container is None else "FailedGetContainerResourceMetric",
            f"failed to get {what} metric value: failed to get {metric.resource} {wanted}: {error}",
        ) from error
    title = f"{metric.resource} resource"
    if isinstance(metric.target, Utilization):
        container = "" if metric.container is None else "container "
        title = f"{metric.resource} {container}resource utilization (percentage of request)"
    name = metric.resource if metric.container is None else f"{metric.container}/{metric.resource}"
    return Proposal(replicas, title, MetricStatus(name, usage.percent, usage.average_milli))


def propose_for_pods(
    metric: PodsMetric, samples: Samples, tolerances: Tolerances, settings: ControllerSettings
) -> Proposal:
    """Return what a metric of pods asks for; raises InvalidMetricError."""
    try:
        values = _pods_samples(metric.name, samples)
        replicas, usage = _replicas(metric.target, values, samples, tolerances, settings)
    except _UnusableError as error:
        raise InvalidMetricError("FailedGetPodsMetric", f"failed to get pods metric value: {error}") from error
    return Proposal(
        replicas, f"pods metric {metric.name}", MetricStatus(metric.name, average_milli=usage.average_milli)
    )


@dataclass(frozen=True, slots=True)
class _AverageTarget:
    """An amount for each pod; a pod without a sample is taken to use exactly that."""

    milli: int

    def measure(self, used: Mapping[str, int]) -> _Usage:
        average = quotient(sum(used.values()), len(used))
        return _Usage(float(average) / float(self.milli), average)

    def assumed(self, _pod: str) -> int:
        return self.milli


@dataclass(frozen=True, slots=True)
class _UtilizationTarget:
    """A percentage of all requests together; a pod without a sample is taken to use all it requests, at least."""

    percent: int
    requests: Mapping[str, int]

    def measure(self, used: Mapping[str, int]) -> _Usage:
        known = [pod for pod in used if pod in self.requests]
        requested = sum(self.requests[pod] for pod in known)
        if requested == 0:
            raise _UnusableError("no metrics returned matched known pods")
        total = sum(used[pod] for pod in known)
        # Cut to whole percent before it is compared: 77.9 % of a target of 70 % is 77 / 70.
        percent = int32_wrapped(quotient(total * 100, requested))
        return _Usage(float(percent) / float(self.percent), quotient(total, len(known)), percent)

    def assumed(self, pod: str) -> int:
        return quotient(self.requests[pod] * max(100, self.percent), 100)


def _replicas(
    target: Utilization | AverageValue,
    values: Mapping[str, Sample],
    samples: Samples,
    tolerances: Tolerances,
    settings: ControllerSettings,
    *,
    resource: str = "",
    container: str | None = None,
) -> tuple[int, _Usage]:
    if not samples.pods:
        raise _UnusableError("no pods returned by selector while calculating replica count")
    groups = group_pods(samples.pods, values, is_cpu=resource == "cpu", now_ms=samples.observed_ms, settings=settings)
    left_out = groups.ignored | groups.unready
    counted = {name: sample.milli for name, sample in values.items() if name not in left_out}
    if not counted:
        raise _UnusableError("did not receive metrics for targeted pods (pods might be unready)")
    goal: _AverageTarget | _UtilizationTarget
    if isinstance(target, AverageValue):
        goal = _AverageTarget(target.milli)
    else:
        goal = _UtilizationTarget(
            target.percent, {pod.name: _request(pod, container, resource) for pod in samples.pods}
        )
    usage = goal.measure(counted)
    return _wanted(counted, usage.ratio, groups, goal, samples.spec_replicas, tolerances), usage


def _wanted(
    counted: Mapping[str, int],
    usage_ratio: float,
    groups: PodGroups,
    goal: _AverageTarget | _UtilizationTarget,
    current: int,
    tolerances: Tolerances,
) -> int:
    """Return the replicas for the ratio of the counted pods."""
    grows_with_unready = bool(groups.unready) and usage_ratio > 1.0
    if not grows_with_unready and not groups.missing:
        return current if tolerances.contain(usage_ratio) else ceil_int32(usage_ratio * float(groups.ready))
    filled = dict(counted)
    if usage_ratio < 1.0:
        filled.update((pod, goal.assumed(pod)) for pod in groups.missing)
    elif usage_ratio > 1.0:
        filled.update(dict.fromkeys(groups.missing, 0))
    if grows_with_unready:
        filled.update(dict.fromkeys(groups.unready, 0))
    filled_ratio = goal.measure(filled).ratio
    turned = (usage_ratio < 1.0 < filled_ratio) or (filled_ratio < 1.0 < usage_ratio)
    if turned or tolerances.contain(filled_ratio):
        return current
    replicas = ceil_int32(filled_ratio * float(len(filled)))
    # Samples of pods that are gone count in the length: they may turn the change round.
    if (filled_ratio < 1.0 and replicas > current) or (filled_ratio > 1.0 and replicas < current):
        return current
    return replicas


def _request(pod: Pod, container: str | None, resource: str) -> int:
    """Return what the pod, or its container, requests; one container without a request spoils the metric."""
    if container is not None and container not in pod.requests:
        raise _UnusableError(f"container {container} not found in Pod {pod.name}")
    names = pod.requests if container is None else (container,)
    total = 0
    for name in names:
        request = pod.requests[name].get(resource)
        if request is None:
            raise _UnusableError(f"missing request for {resource} in container {name} of Pod {pod.name}")
        total += request
    return total


def _resource_samples(metric: ResourceMetric, samples: Samples) -> dict[str, Sample]:
    trouble = f"unable to get metrics for resource {metric.resource}: "
    if isinstance(samples.usages, Unavailable):
        raise _UnusableError(f"{trouble}unable to fetch metrics from resource metrics API: {samples.usages.reason}")
    if not samples.usages:
        raise _UnusableError(f"{trouble}no metrics returned from resource metrics API")
    return {
        usage.name: Sample(milli, usage.sampled_ms, usage.window_ms)
        for usage in samples.usages
        if (milli := _used(usage, metric.container, metric.resource)) is not None
    }


def _used(usage: PodUsage, container: str | None, resource: str) -> int | None:
    """Return what the pod, or its container, uses; one container without a value makes the pod's unknown."""
    if container is not None:
        return usage.used.get(container, {}).get(resource)
    if not usage.used:
        return None
    total = 0
    for used in usage.used.values():
        if (milli := used.get(resource)) is None:
            return None
        total += milli
    return total


def _pods_samples(name: str, samples: Samples) -> dict[str, Sample]:
    values = samples.pods_metrics.get(name, {})
    if isinstance(values, Unavailable):
        raise _UnusableError(
            f"unable to get metric {name}: unable to fetch metrics from custom metrics API: {values.reason}"
        )
    if not values:
        raise _UnusableError(f"unable to get metric {name}: no metrics returned from custom metrics API")
    return {pod: Sample(milli) for pod, milli in values.items()}
