"""Where the node keeps what it builds, once, and what it runs in, until it goes down."""

from __future__ import annotations

import os
from pathlib import Path

NAMESPACE = "alpharay-node"
"""The network namespace of the node and its pods: nothing in it is reached from outside, nor reaches out."""

KUBERNETES = "1.35.4"
KUBERAY = "1.6.2"
CACHE = Path(os.environ.get("ALPHARAY_NODE_CACHE") or Path.home() / ".cache" / "alpharay-node")
"""Programs and images: outside the repository, kept between runs."""

PROGRAMS = CACHE / f"kubernetes-{KUBERNETES}-kuberay-{KUBERAY}"
IMAGES = CACHE / "images"
# Sockets have paths of at most 107 bytes.
RUN = Path("/run/alpharay-node")
CERTIFICATES = RUN / "certificates"
KUBECONFIG = RUN / "kubeconfig"
CONTAINERD_SOCKET = RUN / "containerd.sock"
CONTAINERD_ROOT = CACHE / "containerd"
"""Imported images stay with the cache: importing one takes longer than starting the node."""

VOLUMES = RUN / "volumes"
NODE = "node1"
NODE_ADDRESS = "10.89.0.1"
POD_NETWORK = "10.88.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"


def part(name: str) -> Path:
    """Return the folder of one of the node's programs."""
    folder = RUN / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
