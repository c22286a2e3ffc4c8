"""All secrets stored in an external secrets manager."""

from __future__ import annotations

from cluster.deploy.checks.verdict import Live, Verdict, fails, listed, passes
from cluster.deploy.pod_templates import references


def secrets_come_from_a_manager(live: Live) -> Verdict:
    """Pass when an ExternalSecret in step, or another manager's object, makes every Secret that a pod needs."""
    needed = sorted({name for pod in live.pods for name, wanted in references(pod, "secret").items() if wanted})
    external = {
        one["spec"].get("target", {}).get("name") or one["metadata"]["name"]: one
        for version in ("external-secrets.io/v1", "external-secrets.io/v1beta1")
        for one in live.api.items(version, "ExternalSecret")
    }
    by_hand, out_of_step = [], []
    for name in needed:
        if name in external:
            conditions = external[name].get("status", {}).get("conditions", ())
            if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
                out_of_step.append(name)
        else:
            secret = live.api.read("v1", "Secret", name)
            if secret is None or not secret["metadata"].get("ownerReferences"):
                by_hand.append(name)
    if out_of_step:
        return fails(
            f"not in step with the vault: {listed(out_of_step)}", "kubectl describe externalsecret, its events"
        )
    if by_hand:
        return fails(f"made by hand or by the overlay: {listed(by_hand)}", "use the component external-secrets")
    return passes(f"{len(needed)} Secrets, all from a manager")
