"""Nodes that are only said to be there: their pods run nothing, and count as ready. For what happens at scale."""

from __future__ import annotations

from typing import Any

from cluster.deploy.manifests import as_list
from cluster.local.process import child_environment, end, launch
from tests.kubernetes.node.folders import KUBECONFIG, part
from tests.kubernetes.node.kubectl import kubectl
from tests.kubernetes.node.network import server
from tests.kubernetes.node.programs import module_folder, tool

LABEL = "alpharay.test/fake"
MODULE, VERSION = "sigs.k8s.io/kwok", "v0.8.0"
"""As in `go/kwok/go.mod`."""

LEASE_SECONDS = 200
"""Five times a kubelet's: each node says every 50 s that it lives. Hundreds of them ask one busy server."""

TOLERATION = {"key": LABEL, "operator": "Exists", "effect": "NoSchedule"}
"""What a pod must bear to come to a fake node; all others stay on the real one."""


def start(count: int) -> None:
    """Say that so many nodes are there, each for 64 processors and 110 pods."""
    kubectl("apply", "--server-side", "-f", "-", text=as_list(_node(place) for place in range(count)), seconds=300.0)
    # How nodes and pods come to life, as kwok's own manifests say it: at once.
    stages = part("kwok") / "stages.yaml"
    stages.write_text(kubectl("kustomize", str(module_folder(MODULE, VERSION) / "kustomize/stage/fast")))
    flags = [
        f"--kubeconfig={KUBECONFIG}",
        f"--config={stages}",
        f"--manage-nodes-with-label-selector={LABEL}=true",
        f"--node-lease-duration-seconds={LEASE_SECONDS}",
    ]
    launch(part("kwok"), server([tool("kwok"), *flags]), environment=child_environment())
    kubectl("wait", "--for=condition=Ready", "node", "-l", f"{LABEL}=true", "--timeout=120s", seconds=140.0)


def stop() -> None:
    """Take them away."""
    kubectl("delete", "node", "-l", f"{LABEL}=true", "--wait=false", seconds=120.0)
    end(part("kwok"), patience_seconds=2.0)


def place_on_them(pod: dict[str, Any]) -> None:
    """Change a pod's specification so that it comes to a fake node."""
    pod["nodeSelector"] = {LABEL: "true"}
    pod["tolerations"] = [TOLERATION]


def _node(place: int) -> dict[str, Any]:
    room = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    name = f"fake-{place:04d}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                LABEL: "true",
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": f"zone-{place % 3}",
            },
        },
        "spec": {"taints": [{"key": LABEL, "value": "true", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }
