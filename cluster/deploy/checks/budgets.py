"""PodDisruptionBudgets set."""

from __future__ import annotations

from cluster.deploy.api import Object
from cluster.deploy.checks.verdict import Live, Verdict, fails, listed, passes


def drains_are_bounded(live: Live) -> Verdict:
    """Pass when whatever runs as several pods has a budget, so that a drain cannot take all of them at once."""
    budgets = [
        one["spec"].get("selector", {}).get("matchLabels", {})
        for one in live.api.items("policy/v1", "PodDisruptionBudget")
    ]
    several = [
        (one["metadata"]["name"], one["spec"]["selector"]["matchLabels"])
        for kind in ("StatefulSet", "Deployment")
        for one in live.api.items("apps/v1", kind)
        if one["spec"].get("replicas", 1) > 1
    ]
    service = live.api.read("ray.io/v1", "RayService", "serving")
    if service is not None:
        several += [(f"serving/{name}", labels) for name, labels in _worker_groups(service)]
    open_ = [name for name, labels in several if not any(one and one.items() <= labels.items() for one in budgets)]
    if open_:
        return fails(f"a drain may take all of {listed(open_)}", "use the component disruption")
    return passes(f"{len(budgets)} budgets for {listed([name for name, _ in several])}")


def _worker_groups(service: Object) -> list[tuple[str, dict[str, str]]]:
    return [
        (group["groupName"], {**group["template"]["metadata"].get("labels", {}), "ray.io/node-type": "worker"})
        for group in service["spec"]["rayClusterConfig"].get("workerGroupSpecs", ())
        if group.get("maxReplicas", 1) > 1
    ]
