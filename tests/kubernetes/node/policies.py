"""What holds pods to the network policies: the bridge that joins them knows none."""

from __future__ import annotations

from cluster.local.process import child_environment, end, launch
from tests.kubernetes.node.folders import KUBECONFIG, NODE, part
from tests.kubernetes.node.network import server
from tests.kubernetes.node.programs import POLICIES, program

PASS_SECONDS = 2.0
"""A change of policies, or a new pod, is seen so much later at most."""


def start() -> None:
    """Start the controller; it goes over policies and pods every two seconds."""
    flags = [f"--kubeconfig={KUBECONFIG}", f"--node={NODE}", f"--period={PASS_SECONDS:.0f}s"]
    launch(part(POLICIES), server([program(POLICIES), *flags]), environment=child_environment())


def stop() -> None:
    """End it; its rules go with the node's network."""
    end(part(POLICIES), patience_seconds=2.0)
