"""KubeRay's operator, as its own manifests install it, from the program that was built here."""

from __future__ import annotations

import json

from tests.kubernetes.node.folders import KUBERAY
from tests.kubernetes.node.kubectl import kubectl
from tests.kubernetes.node.programs import module_folder

NAMESPACE = "kuberay-system"
IMAGE = f"quay.io/kuberay/operator:v{KUBERAY}"
MODULE = "github.com/ray-project/kuberay/ray-operator"

# Its own manifest allows it a tenth of a processor and asks for an answer within a second. A busy machine ends it
# for that again and again, and while it waits for its start nothing is repaired.
# Nor has it another of its kind, before which it would have to renew its lease within ten seconds or end.
_PATIENCE = {
    "name": "kuberay-operator",
    "args": [
        "--feature-gates=RayClusterStatusConditions=true,RayServiceIncrementalUpgrade=true",
        "--enable-leader-election=false",
    ],
    "resources": {"limits": {"cpu": None}, "requests": {"cpu": "10m"}},
    "livenessProbe": {"timeoutSeconds": 10, "failureThreshold": 12},
    "readinessProbe": {"timeoutSeconds": 10},
}


def install() -> None:
    """Apply the operator's definitions, roles and deployment; return once it is ready."""
    folder = module_folder(MODULE, f"v{KUBERAY}") / "config" / "default"
    kubectl("create", "namespace", NAMESPACE)
    manifests = kubectl("kustomize", str(folder))
    kubectl(
        *("apply", "--server-side", "--force-conflicts", "-n", NAMESPACE, "-f", "-"),
        # Its kustomization names the default namespace for everything.
        text=manifests.replace("namespace: default\n", f"namespace: {NAMESPACE}\n"),
    )
    patch = {"spec": {"template": {"spec": {"containers": [_PATIENCE]}}}}
    kubectl("-n", NAMESPACE, "patch", "deployment", "kuberay-operator", "-p", json.dumps(patch))
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment/kuberay-operator", "--timeout=180s", seconds=200.0)
