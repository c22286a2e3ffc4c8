"""What the node needs of this machine, and what it changes in it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from cluster.local.process import complete
from tests.kubernetes.node.folders import RUN, part

PACKAGES = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "ip": "iproute2",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""Each program, and the Debian package that brings it."""

CHANGED_SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""What a kubelet sets for the whole machine; put back when the node goes down."""

_SETTINGS = Path("/proc/sys")
_CGROUPS = Path("/sys/fs/cgroup")
_SAVED = "settings.json"


def why_not() -> str | None:
    """Return why no node can run here, in words that say what is missing; None when one can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "a Kubernetes node needs Linux on x86-64"
    if os.geteuid() != 0:
        return "a Kubernetes node needs root: network namespaces, mounts and cgroups"
    for program, reason in (("go", "the programs are built from source"), ("kubectl", "it applies the manifests")):
        if shutil.which(program) is None:
            return f"{program} is not installed: {reason}"
    missing = _missing_packages()
    if missing and shutil.which("apt-get") is None:
        return f"install {', '.join(missing)}; only apt-get is known to do it here"
    if not _may_make_namespaces():
        return "this root may not make network namespaces or mount (CAP_SYS_ADMIN)"
    if not os.access(_CGROUPS, os.W_OK):
        return f"a kubelet needs cgroups that it may write: {_CGROUPS}"
    return None


def install_packages() -> None:
    """Install the Debian packages that are missing."""
    missing = _missing_packages()
    if missing:
        folder = part("packages")
        complete(folder, ["apt-get", "update", "-qq"], seconds=300.0)
        complete(folder, ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], seconds=900.0)


def keep_settings() -> None:
    """Write down the machine's settings before a kubelet changes them."""
    saved = RUN / _SAVED
    if not saved.exists():
        saved.write_text(json.dumps({name: (_SETTINGS / name).read_text().strip() for name in CHANGED_SETTINGS}))


def restore_settings() -> None:
    """Put the machine's settings back."""
    saved = RUN / _SAVED
    if saved.exists():
        for name, value in json.loads(saved.read_text()).items():
            (_SETTINGS / name).write_text(value)
        saved.unlink()


def _missing_packages() -> list[str]:
    return sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})


def _may_make_namespaces() -> bool:
    command = ["unshare", "--net", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
