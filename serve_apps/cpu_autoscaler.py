"""The HorizontalPodAutoscaler manifest of a deployment that is scaled by its processor, and by what else it names."""

from __future__ import annotations

from collections.abc import Mapping

from serve_apps.replica_usage import IN_FLIGHT


def cpu_autoscaler(
    name: str,
    least_replicas: int,
    most_replicas: int,
    *,
    utilization: int,
    memory_utilization: int | None = None,
    in_flight: int | None = None,
    behavior: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the manifest.

    `utilization` and `memory_utilization` are aims in percent of what is requested, `in_flight` how many requests one
    replica shall answer at once, `behavior` its speed. Of several metrics the one that asks for most replicas decides.
    """
    metrics = [_resource("cpu", utilization)]
    if memory_utilization is not None:
        metrics.append(_resource("memory", memory_utilization))
    if in_flight is not None:
        target = {"type": "AverageValue", "averageValue": str(in_flight)}
        metrics.append({"type": "Pods", "pods": {"metric": {"name": IN_FLIGHT}, "target": target}})
    spec: dict[str, object] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": least_replicas,
        "maxReplicas": most_replicas,
        "metrics": metrics,
    }
    if behavior is not None:
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "trading"},
        "spec": spec,
    }


def _resource(name: str, utilization: int) -> dict[str, object]:
    target = {"type": "Utilization", "averageUtilization": utilization}
    return {"type": "Resource", "resource": {"name": name, "target": target}}
