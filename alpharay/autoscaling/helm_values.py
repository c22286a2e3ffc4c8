"""The `autoscaling` block of a Helm chart's values: what the usual chart template makes of it."""

from __future__ import annotations

from collections.abc import Mapping

from alpharay.autoscaling.document import Section
from alpharay.autoscaling.horizontal_pod_autoscaler import HorizontalPodAutoscaler, Metric, ResourceMetric, Utilization
from alpharay.autoscaling.manifest import DEFAULT_METRICS, read_behavior, read_bounds

_FIELDS = (
    "enabled",
    "minReplicas",
    "maxReplicas",
    "targetCPUUtilizationPercentage",
    "targetMemoryUtilizationPercentage",
    "behavior",
)


def read_helm_values(
    values: Mapping[str, object], *, name: str = "autoscaler", namespace: str = "default"
) -> HorizontalPodAutoscaler | None:
    """Return the autoscaler of values that hold an `autoscaling` block; None when it says `enabled: false`.

    A block that does not say whether it is enabled is. Raises AutoscalerDocumentError.
    """
    block = Section(values.get("autoscaling"), "autoscaling", _FIELDS)
    if not block.boolean("enabled", otherwise=True):
        return None
    metrics: list[Metric] = []
    for resource, field in (("cpu", "targetCPUUtilizationPercentage"), ("memory", "targetMemoryUtilizationPercentage")):
        if block.has(field):
            metrics.append(ResourceMetric(resource, Utilization(block.integer(field, minimum=1))))
    minimum, maximum = read_bounds(block)
    return HorizontalPodAutoscaler(
        minimum, maximum, tuple(metrics) or DEFAULT_METRICS, read_behavior(block), name=name, namespace=namespace
    )
