"""RBAC configured for service accounts."""

from __future__ import annotations

from cluster.deploy.api import Object
from cluster.deploy.checks.verdict import Live, Verdict, fails, listed, passes

_RBAC = "rbac.authorization.k8s.io/v1"


def accounts_have_least_rights(live: Live) -> Verdict:
    """Pass when no pod runs as `default` or holds a token without use, and no role here allows everything."""
    default = [
        pod["metadata"]["name"] for pod in live.pods if pod["spec"].get("serviceAccountName", "default") == "default"
    ]
    bindings = live.api.items(_RBAC, "RoleBinding")
    entitled = {
        subject["name"]
        for one in bindings
        for subject in one.get("subjects", ())
        if subject["kind"] == "ServiceAccount"
    }
    idle = [
        pod["metadata"]["name"]
        for pod in live.pods
        if _has_token(pod) and pod["spec"].get("serviceAccountName") not in entitled
    ]
    broad = [one["metadata"]["name"] for one in live.api.items(_RBAC, "Role") if _allows_everything(one)]
    broad += [
        f"{one['metadata']['name']} → {one['roleRef']['name']}"
        for one in bindings
        if one["roleRef"]["kind"] == "ClusterRole" and one["roleRef"]["name"] in {"cluster-admin", "admin", "edit"}
    ]
    if broad:
        return fails(f"allow everything: {listed(broad)}", "name resources and verbs one by one")
    if default:
        return fails(f"run as the account `default`: {listed(default)}", "give each role an account of its own")
    if idle:
        return fails(f"hold a token without any right: {listed(idle)}", "set automountServiceAccountToken: false")
    return passes(f"{len(bindings)} bindings, none broad; tokens only where they are used")


def _has_token(pod: Object) -> bool:
    return any(
        mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
        for container in pod["spec"]["containers"]
        for mount in container.get("volumeMounts", ())
    )


def _allows_everything(role: Object) -> bool:
    return any("*" in rule.get("verbs", ()) or "*" in rule.get("resources", ()) for rule in role.get("rules") or ())
