"""What one sync sees: the pods as the API server has them, and the metrics that were asked for.

All times are milliseconds since any one epoch, all amounts thousandths of their unit (for memory of a byte).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
ObjectMetricName = tuple[str, str, str]
"""An object's kind and name, and the metric's name."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """A pod's Ready condition; `ready` is None when its node does not answer (`Unknown`)."""

    ready: bool | None
    since_ms: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod: `requests` holds what each container asks for, by container and resource."""

    name: str
    requests: Mapping[str, Mapping[str, int]]
    phase: Phase = "Running"
    deleting: bool = False
    started_ms: int | None = None
    readiness: Readiness | None = None

    @property
    def serves(self) -> bool:
        """Whether the pod runs and is ready."""
        return self.phase == "Running" and self.readiness is not None and self.readiness.ready is True


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What the resource metrics API says of one pod: `used` is by container and resource."""

    name: str
    sampled_ms: int
    window_ms: int
    used: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A metrics API that answered with an error."""

    reason: str


@dataclass(frozen=True, slots=True)
class Samples:
    """One sync's input.

    Attributes
    ----------
    observed_ms : when the pods and metrics were read.
    spec_replicas : the target's wanted replicas: what "current" means everywhere.
    status_replicas : the target's existing replicas.
    usages : resource metrics, of pods that may be gone too.
    pods_metrics : by metric name and pod name.
    object_metrics : by (kind, object name, metric name).
    external_metrics : the series of each metric by its name.
    normalized_ms, scaled_ms : when the proposal was stabilised and when the scale was written; None is `observed_ms`.
    """

    observed_ms: int
    spec_replicas: int
    status_replicas: int
    pods: tuple[Pod, ...] = ()
    usages: tuple[PodUsage, ...] | Unavailable = ()
    pods_metrics: Mapping[str, Mapping[str, int] | Unavailable] = field(default_factory=dict)
    object_metrics: Mapping[ObjectMetricName, int | Unavailable] = field(default_factory=dict)
    external_metrics: Mapping[str, tuple[int, ...] | Unavailable] = field(default_factory=dict)
    normalized_ms: int | None = None
    scaled_ms: int | None = None
