"""Serve's replicas and their reports as the pods and samples of the autoscaler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from alpharay.autoscaling.horizontal_pod_autoscaler import HorizontalPodAutoscaler, PodsMetric
from alpharay.autoscaling.quantity import milli_value, round_up
from alpharay.autoscaling.samples import Pod, PodUsage, Readiness, Samples
from alpharay.autoscaling.trace import ONLY_CONTAINER
from serve_apps.replica_usage import CPU_CORES, CPU_WINDOW_S, MEMORY_BYTES, PROCESS_STARTED_S


class TimedValue(Protocol):
    """One point of a replica's series."""

    timestamp: float
    value: float


class ReplicaId(Protocol):
    """Serve's name of a replica."""

    unique_id: str


class ScalingContext(Protocol):
    """What of Ray's `AutoscalingContext` is looked at.

    The target counts as the current size, never the number that runs. Of the metrics only the raw ones are used:
    the aggregated ones go on repeating the last report of a replica that has fallen silent.
    """

    app_name: str
    deployment_name: str
    target_num_replicas: int
    running_replicas: Sequence[Any]
    capacity_adjusted_min_replicas: int
    capacity_adjusted_max_replicas: int
    current_time: float
    policy_state: dict[str, Any]
    raw_metrics: Mapping[str, Mapping[Any, Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class DeclaredRequests:
    """What one replica is said to need, in thousandths: utilisation is measured against it. None: not declared."""

    cpu_milli: int | None = None
    memory_milli: int | None = None

    def by_resource(self) -> dict[str, int]:
        """Return the requests as a container has them."""
        declared = {"cpu": self.cpu_milli, "memory": self.memory_milli}
        return {resource: milli for resource, milli in declared.items() if milli is not None}


def replica_samples(
    context: ScalingContext,
    autoscaler: HorizontalPodAutoscaler,
    declared: DeclaredRequests,
    *,
    now_ms: int,
    first_seen_ms: Mapping[str, int],
    max_age_s: float,
) -> Samples:
    """Return one sync's samples.

    A replica that Serve counts as running is a ready pod since it was first seen so; one that is still wanted but not
    running is a pending pod. A report older than `max_age_s` is none: its replica counts as missing.
    """
    latest = _latest(context, now_ms, max_age_s)
    requests = {ONLY_CONTAINER: declared.by_resource()}
    pods = []
    for replica in context.running_replicas:
        name = replica.unique_id
        since_ms = first_seen_ms.get(name, now_ms)
        started = latest.get(PROCESS_STARTED_S, {}).get(name)
        started_ms = since_ms if started is None else min(since_ms, round(started.value * 1000))
        pods.append(Pod(name, requests, started_ms=started_ms, readiness=Readiness(ready=True, since_ms=since_ms)))
    starting = max(0, context.target_num_replicas - len(pods))
    pods.extend(Pod(f"starting-{index}", requests, phase="Pending") for index in range(starting))
    return Samples(
        observed_ms=now_ms,
        spec_replicas=context.target_num_replicas,
        status_replicas=len(pods),
        pods=tuple(pods),
        usages=tuple(_usages(latest)),
        pods_metrics={
            metric.name: {
                name: milli_value(Fraction(point.value)) for name, point in latest.get(metric.name, {}).items()
            }
            for metric in autoscaler.metrics
            if isinstance(metric, PodsMetric)
        },
    )


def _latest(context: ScalingContext, now_ms: int, max_age_s: float) -> dict[str, dict[str, TimedValue]]:
    """Return the newest point of each series by metric and replica, where it is fresh enough."""
    oldest_s = now_ms / 1000 - max_age_s
    running = {replica.unique_id for replica in context.running_replicas}
    latest: dict[str, dict[str, TimedValue]] = {}
    for metric, by_replica in (context.raw_metrics or {}).items():
        for replica, series in by_replica.items():
            if series and series[-1].timestamp >= oldest_s and replica.unique_id in running:
                latest.setdefault(metric, {})[replica.unique_id] = series[-1]
    return latest


def _usages(latest: Mapping[str, Mapping[str, TimedValue]]) -> list[PodUsage]:
    cpu, windows, memory = (latest.get(metric, {}) for metric in (CPU_CORES, CPU_WINDOW_S, MEMORY_BYTES))
    usages = []
    for name in dict.fromkeys([*cpu, *memory]):
        used: dict[str, int] = {}
        if (cores := cpu.get(name)) is not None:
            used["cpu"] = round_up(Fraction(cores.value) * 1000)
        if (held := memory.get(name)) is not None:
            used["memory"] = round_up(Fraction(held.value) * 1000)
        sampled_s = cpu[name].timestamp if name in cpu else memory[name].timestamp
        window_s = windows[name].value if name in windows else 0.0
        usages.append(PodUsage(name, round(sampled_s * 1000), round(window_s * 1000), {ONLY_CONTAINER: used}))
    return usages
