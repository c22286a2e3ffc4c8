"""Resource limits set on all containers; health probes configured."""

from __future__ import annotations

from cluster.deploy.checks.verdict import Live, Verdict, fails, listed, passes

# KubeRay's sidecar, which brings no probe: the operator sees the workers it makes.
_WITHOUT_PROBES = frozenset({"autoscaler"})


def containers_are_bounded(live: Live) -> Verdict:
    """Pass when every container has its memory bounded and its share reserved.

    Processors are reserved and not capped: a cap would leave idle ones unused.
    """
    unbounded, count = [], 0
    for pod in live.pods:
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            resources = container.get("resources", {})
            count += 1
            if "memory" not in resources.get("limits", {}) or not {"cpu", "memory"} <= set(
                resources.get("requests", {})
            ):
                unbounded.append(f"{pod['metadata']['name']}/{container['name']}")
    if not count:
        return fails("there is no pod", "deploy install")
    if unbounded:
        return fails(f"without requests or a memory limit: {listed(unbounded)}", "set resources in its manifest")
    return passes(f"{count} containers, all with memory limits and requests")


def containers_are_probed(live: Live) -> Verdict:
    """Pass when every lasting container says when it may get traffic and when it must be started again."""
    silent = []
    for pod in live.lasting_pods:
        for container in pod["spec"]["containers"]:
            lacking = [one for one in ("readiness", "liveness") if f"{one}Probe" not in container]
            if lacking and container["name"] not in _WITHOUT_PROBES:
                silent.append(f"{pod['metadata']['name']}/{container['name']} ({', '.join(lacking)})")
    if not live.lasting_pods:
        return fails("there is no pod", "deploy install")
    if silent:
        return fails(f"without probes: {listed(silent)}", "set readinessProbe and livenessProbe in its manifest")
    return passes(f"{len(live.lasting_pods)} pods are probed")
