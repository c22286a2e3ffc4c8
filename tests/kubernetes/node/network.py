"""The node's own network: a namespace with an address for the node and a bridge for its pods."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.kubernetes.node.folders import NAMESPACE, NODE_ADDRESS, POD_NETWORK, RUN

NAMESPACE_FILE = Path("/run/netns") / NAMESPACE
CNI = RUN / "cni"
CNI_STATE = RUN / "cni-state"


def make() -> None:
    """Make the namespace; nothing in it has a way out of this machine."""
    _run("ip", "netns", "add", NAMESPACE)
    _inside("ip", "link", "set", "lo", "up")
    # A dummy device would do, but not every kernel has one: both ends of this pair stay inside.
    _inside("ip", "link", "add", "node0", "type", "veth", "peer", "name", "node0p")
    _inside("ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", "node0")
    _inside("ip", "link", "set", "node0", "up")
    _inside("ip", "link", "set", "node0p", "up")
    # Programs ask for a default route to learn their address; this one leads nowhere.
    _inside("ip", "route", "add", "default", "via", "10.89.0.254", "dev", "node0")
    _inside("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    CNI.mkdir(parents=True, exist_ok=True)
    (CNI / "10-bridge.conflist").write_text(json.dumps(_bridge(), indent=1))


def remove() -> None:
    """Remove the namespace and those of its pods."""
    for name in (NAMESPACE, *(path.name for path in Path("/run/netns").glob("cni-*"))):
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=30)


def exists() -> bool:
    """Tell whether the namespace is there."""
    return NAMESPACE_FILE.exists()


def inside(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` in the node's network and this machine's file system.

    Not `ip netns exec`: that hides the cgroups.
    """
    return ["nsenter", f"--net={NAMESPACE_FILE}", *command]


def server(command: Sequence[str]) -> list[str]:
    """Return the command that runs a server in the node's network.

    What it makes is for pods as well, whose users are others: this project's own servers hide their files.
    """
    return inside(["sh", "-c", 'umask 022 && exec "$0" "$@"', *command])


def _bridge() -> dict[str, object]:
    return {
        "cniVersion": "1.0.0",
        "name": NAMESPACE,
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(CNI_STATE),
                    "ranges": [[{"subnet": POD_NETWORK}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _inside(*command: str) -> None:
    _run(*inside(command))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
