"""Network policies applied, and enforced."""

from __future__ import annotations

from cluster.deploy.checks.verdict import Live, Verdict, cannot_tell, fails, listed, passes
from cluster.deploy.errors import DeployError
from cluster.deploy.trouble import is_ready

# From a pod that may speak to nobody to one that listens; names must resolve, else a closed door proves nothing.
_PROBER, _CONTAINER, _DOOR = "ray-state-0", "valkey", ("postgres", 5432)
_PROBE = (
    "getent hosts {host} >/dev/null || {{ echo no name; exit 0; }}; "
    "timeout 4 bash -c '</dev/tcp/{host}/{port}' 2>/dev/null && echo open || echo closed"
)


def policies_are_enforced(live: Live) -> Verdict:
    """Pass when all traffic is denied first, every pod is chosen by a policy, and a door that none opens is closed."""
    policies = live.api.items("networking.k8s.io/v1", "NetworkPolicy")
    selectors = [one["spec"].get("podSelector", {}).get("matchLabels", {}) for one in policies]
    denied = any(
        not one["spec"].get("podSelector")
        and not one["spec"].get("ingress")
        and "Ingress" in one["spec"]["policyTypes"]
        for one in policies
    )
    if not denied:
        return fails(f"{len(policies)} policies, and none denies everything first", "apply: deploy networking")
    unchosen = [
        pod["metadata"]["name"]
        for pod in live.lasting_pods
        if not any(one and one.items() <= pod["metadata"].get("labels", {}).items() for one in selectors)
    ]
    if unchosen:
        return fails(f"no policy says who may speak to {listed(unchosen)}", "write one in network-policies.yaml")
    return _enforced(live, len(policies))


def _enforced(live: Live, count: int) -> Verdict:
    host, port = _DOOR
    there = {pod["metadata"]["name"] for pod in live.pods if is_ready(pod)}
    if not {_PROBER, f"{host}-0"} <= there:
        return cannot_tell(f"{count} policies; {_PROBER} or {host}-0 is not there to try one", "try it by hand")
    try:
        probe = _PROBE.format(host=host, port=port)
        words = ("-n", live.api.namespace, "exec", _PROBER, "-c", _CONTAINER, "--", "bash", "-c", probe)
        said = live.kubectl(*words, timeout_s=30.0).strip()
    except DeployError as error:
        return cannot_tell(f"{count} policies; {_PROBER} cannot try one: {error}", "try it by hand")
    if said == "closed":
        return passes(f"{count} policies; {_PROBER} tried {host}:{port} and was stopped")
    if said == "open":
        return fails(
            f"{_PROBER} reaches {host}:{port}, which no policy allows: nothing enforces them",
            "use a network plug-in that enforces NetworkPolicy (Calico, Cilium, kube-router)",
        )
    return cannot_tell(f"{count} policies; {_PROBER} cannot resolve {host}", "is the cluster's DNS there?")
