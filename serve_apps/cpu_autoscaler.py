"""The HorizontalPodAutoscaler manifest of a deployment that is scaled by its processor."""

from __future__ import annotations

from collections.abc import Mapping


def cpu_autoscaler(
    name: str,
    least_replicas: int,
    most_replicas: int,
    *,
    utilization: int,
    behavior: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the manifest. `utilization`: aim in percent of the processor request; `behavior`: its speed."""
    target = {"type": "Utilization", "averageUtilization": utilization}
    spec: dict[str, object] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": least_replicas,
        "maxReplicas": most_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    if behavior is not None:
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "trading"},
        "spec": spec,
    }
