"""Which pods' samples count: ready, unready, without a sample, ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings
from alpharay.autoscaling.samples import Pod


@dataclass(frozen=True, slots=True)
class Sample:
    """One pod's value of one metric, in thousandths; the times are only looked at for CPU."""

    milli: int
    sampled_ms: int = 0
    window_ms: int = 0


@dataclass(frozen=True, slots=True)
class PodGroups:
    """The names of the pods by how they count, and the number of those that count fully."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group_pods(
    pods: Sequence[Pod], samples: Mapping[str, Sample], *, is_cpu: bool, now_ms: int, settings: ControllerSettings
) -> PodGroups:
    """Group the pods; only for CPU does it matter whether a pod is ready, because only starting costs CPU."""
    ready = 0
    unready: set[str] = set()
    missing: set[str] = set()
    ignored: set[str] = set()
    for pod in pods:
        if pod.deleting or pod.phase == "Failed":
            ignored.add(pod.name)
        elif pod.phase == "Pending":
            unready.add(pod.name)
        elif (sample := samples.get(pod.name)) is None:
            missing.add(pod.name)
        elif is_cpu and _still_starting(pod, sample, now_ms, settings):
            unready.add(pod.name)
        else:
            ready += 1
    return PodGroups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _still_starting(pod: Pod, sample: Sample, now_ms: int, settings: ControllerSettings) -> bool:
    readiness = pod.readiness
    if readiness is None or pod.started_ms is None:
        return True
    not_ready = readiness.ready is False
    if pod.started_ms + settings.cpu_initialization_period_s * 1000 > now_ms:
        # A sample counts once its whole window lies after the pod became ready.
        return not_ready or sample.sampled_ms < readiness.since_ms + sample.window_ms
    # Not ready since shortly after its start: it has never been ready. An old pod that flaps goes on counting.
    return not_ready and pod.started_ms + settings.initial_readiness_delay_s * 1000 > readiness.since_ms
