"""The whole node: up, down."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from tests.kubernetes.node import (
    certificates,
    containers,
    control_plane,
    gateways,
    images,
    kubelet,
    machine,
    network,
    operator,
    policies,
    programs,
    storage,
)
from tests.kubernetes.node.folders import RUN
from tests.kubernetes.node.kubectl import says

Report = Callable[[str], None]
PATIENCE_S = 120.0


class NodeNotPossibleError(RuntimeError):
    """This machine cannot run a node; the text says what is missing."""


def up(report: Report = print) -> None:
    """Build what is missing, start the node and KubeRay's operator. Does nothing when it is up."""
    reason = machine.why_not()
    if reason is not None:
        raise NodeNotPossibleError(reason)
    if is_up():
        report("the node is up")
        return
    if RUN.exists():
        report("clearing what an earlier node left")
        down()
    RUN.mkdir(mode=0o700)
    for what, step in (
        ("packages", machine.install_packages),
        ("programs (ten minutes the first time)", programs.build),
        ("images (ten minutes the first time)", images.build),
        ("certificates", certificates.make),
        ("settings", machine.keep_settings),
        ("network", network.make),
        ("containerd", containers.start),
        ("image imports", images.import_all),
        ("control plane", control_plane.start),
        ("node", kubelet.start),
        ("network policies", policies.start),
        ("volumes", storage.offer),
        ("gateways' definitions", gateways.define),
        ("operator", operator.install),
    ):
        started = time.monotonic()
        step()
        report(f"{time.monotonic() - started:7.1f} s  {what}")


def down() -> None:
    """End everything that `up` started and remove what it left; built programs and images stay."""
    gateways.stop()
    policies.stop()
    kubelet.stop()
    if network.exists():
        containers.stop()
    control_plane.stop()
    kubelet.unmount()
    kubelet.remove_cgroups()
    network.remove()
    machine.restore_settings()
    shutil.rmtree(RUN, ignore_errors=True)


def is_up() -> bool:
    """Tell whether the node runs: a server that is too busy to answer at once is waited for, not taken for dead."""
    if not network.exists() or not control_plane.is_running():
        return False
    until = time.monotonic() + PATIENCE_S
    while says("get", "--raw", "/readyz") != "ok":
        if time.monotonic() > until:
            return False
        time.sleep(2.0)
    return True
