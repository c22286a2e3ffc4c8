"""What a HorizontalPodAutoscaler (autoscaling/v2) says, with Kubernetes' defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SelectPolicy = Literal["Max", "Min", "Disabled"]


@dataclass(frozen=True, slots=True)
class Utilization:
    """A share of what the pods request, in whole percent."""

    percent: int


@dataclass(frozen=True, slots=True)
class AverageValue:
    """An amount for each pod, in thousandths of the metric's unit."""

    milli: int


@dataclass(frozen=True, slots=True)
class TotalValue:
    """An amount for all pods together (`Value`), in thousandths of the metric's unit."""

    milli: int


@dataclass(frozen=True, slots=True)
class ResourceMetric:
    """CPU or memory of whole pods, or of the one container that is named."""

    resource: str
    target: Utilization | AverageValue
    container: str | None = None


@dataclass(frozen=True, slots=True)
class PodsMetric:
    """A metric that each pod has, averaged over pods."""

    name: str
    target: AverageValue


@dataclass(frozen=True, slots=True)
class ObjectMetric:
    """A metric of one Kubernetes object; `selector` is the label selector as the controller prints it."""

    kind: str
    object_name: str
    name: str
    target: TotalValue | AverageValue
    selector: str = "nil"


@dataclass(frozen=True, slots=True)
class ExternalMetric:
    """A metric from outside the cluster, summed over its series; `selector` as the controller prints it."""

    name: str
    target: TotalValue | AverageValue
    selector: str = "nil"


Metric = ResourceMetric | PodsMetric | ObjectMetric | ExternalMetric


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """How far the count may move within a period: by pods, or by percent of the count at the period's start."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_s: int


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """One direction of `behavior`; None means the controller's own setting."""

    policies: tuple[ScalingPolicy, ...]
    select_policy: SelectPolicy = "Max"
    stabilization_s: int | None = None
    tolerance: float | None = None


DEFAULT_SCALE_UP = ScalingRules(
    policies=(ScalingPolicy("Pods", 4, 15), ScalingPolicy("Percent", 100, 15)),
    stabilization_s=0,
)
DEFAULT_SCALE_DOWN = ScalingRules(policies=(ScalingPolicy("Percent", 100, 15),))


@dataclass(frozen=True, slots=True)
class Behavior:
    """Both directions' rules."""

    scale_up: ScalingRules = DEFAULT_SCALE_UP
    scale_down: ScalingRules = DEFAULT_SCALE_DOWN


@dataclass(frozen=True, slots=True)
class HorizontalPodAutoscaler:
    """The specification that a sync obeys.

    Attributes
    ----------
    namespace : where the metrics are asked for; it appears in messages only.
    behavior : None when it is not written: then other rules hold than with an empty one.
    """

    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...]
    behavior: Behavior | None = None
    name: str = "autoscaler"
    namespace: str = "default"

    def __post_init__(self) -> None:
        if not 0 <= self.min_replicas <= self.max_replicas:
            raise ValueError(f"replicas must be from 0 and in order, were {self.min_replicas} to {self.max_replicas}")
        if not self.metrics:
            raise ValueError("metrics must hold at least one, was ()")


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """The flags of kube-controller-manager that decide, at their defaults."""

    tolerance: float = 0.1
    downscale_stabilization_s: int = 300
    cpu_initialization_period_s: int = 300
    initial_readiness_delay_s: int = 30
