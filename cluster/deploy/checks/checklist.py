"""The production checklist, each line held against the live cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

from cluster.deploy.api import Api
from cluster.deploy.checks.autoscaling import services_scale
from cluster.deploy.checks.back_ups import back_ups_are_made
from cluster.deploy.checks.budgets import drains_are_bounded
from cluster.deploy.checks.encryption import ways_in_are_encrypted
from cluster.deploy.checks.observation import someone_watches
from cluster.deploy.checks.pods import containers_are_bounded, containers_are_probed
from cluster.deploy.checks.policies import policies_are_enforced
from cluster.deploy.checks.rights import accounts_have_least_rights
from cluster.deploy.checks.secrets import secrets_come_from_a_manager
from cluster.deploy.checks.verdict import Live, Verdict, guarded, live_pods
from cluster.deploy.errors import DeployError
from cluster.deploy.head import run_in_head
from cluster.deploy.manifests import Run

SYSTEM_SECONDS = 120.0

LINES: dict[str, tuple[str, Callable[[Live], Verdict]]] = {
    "secrets": ("All secrets stored in an external secrets manager", secrets_come_from_a_manager),
    "tls": ("TLS enabled on ingress", ways_in_are_encrypted),
    "policies": ("Network policies applied and enforced", policies_are_enforced),
    "autoscaling": ("Autoscaling configured for the services", services_scale),
    "budgets": ("PodDisruptionBudgets set", drains_are_bounded),
    "monitoring": ("Monitoring and alerting configured", someone_watches),
    "back-ups": ("Back-up jobs scheduled", back_ups_are_made),
    "limits": ("Resource limits set on all containers", containers_are_bounded),
    "probes": ("Health probes configured", containers_are_probed),
    "rights": ("RBAC configured for service accounts", accounts_have_least_rights),
}
"""Each line's short name, its words, and what verifies it."""


def check(kubectl: Run, api: Api, left_out: Collection[str] = ()) -> dict[str, Verdict]:
    """Return the verdict on each line but those left out; raises DeployError when a name is none of them."""
    unknown = sorted(set(left_out) - set(LINES))
    if unknown:
        raise DeployError(f"--leave-out must be one of {', '.join(LINES)}, was {', '.join(unknown)}")

    @lru_cache(maxsize=1)
    def system() -> Any:
        return run_in_head(kubectl, api, "system", timeout_s=SYSTEM_SECONDS)

    live = Live(kubectl, api, live_pods(api), system)
    return {name: guarded(verify, live) for name, (_, verify) in LINES.items() if name not in left_out}
