"""containerd: the node's container runtime, with images that were built here."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from cluster.local.process import end, launch
from tests.kubernetes.node.folders import CONTAINERD_ROOT, CONTAINERD_SOCKET, RUN, part
from tests.kubernetes.node.network import CNI, inside, server

NAME = "containerd"
_NAMESPACE = "k8s.io"
_CONFIGURATION = """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  enable_unprivileged_ports = true
  # Without CAP_SYS_RESOURCE no process may lower its score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def start() -> None:
    """Start containerd in the node's network, and wait until it answers."""
    folder = part(NAME)
    configuration = folder / "config.toml"
    configuration.write_text(
        _CONFIGURATION.format(root=CONTAINERD_ROOT, state=RUN / "containerd-state", socket=CONTAINERD_SOCKET, cni=CNI)
    )
    launch(folder, server(["containerd", "--config", str(configuration)]))
    deadline = time.monotonic() + 30.0
    while _ctr("version").returncode != 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"containerd did not answer within 30 s: see {folder / 'server.log'}")
        time.sleep(0.1)


def stop() -> None:
    """End every container, then containerd."""
    for task in _names("task", "ls", "-q"):
        _ctr("task", "kill", "--signal", "SIGKILL", "--all", task)
    deadline = time.monotonic() + 10.0
    while (tasks := _names("task", "ls", "-q")) and time.monotonic() < deadline:
        for task in tasks:
            _ctr("task", "delete", "--force", task)
    for container in _names("container", "ls", "-q"):
        _ctr("container", "delete", container)
    end(part(NAME), patience_seconds=10.0)


def images() -> set[str]:
    """Return the names of the images that are there."""
    return set(_names("image", "ls", "-q"))


def import_image(archive: Path) -> None:
    """Import an image from its archive; one of the same name is replaced."""
    answer = _ctr("image", "import", str(archive), seconds=600.0)
    if answer.returncode != 0:
        raise RuntimeError(f"{archive.name} could not be imported: {answer.stderr.strip()}")


def tag(image: str, name: str) -> None:
    """Give an image a second name."""
    _ctr("image", "tag", "--force", image, name)


def _names(*words: str) -> list[str]:
    answer = _ctr(*words)
    return answer.stdout.split() if answer.returncode == 0 else []


def _ctr(*words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    command = inside(["ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", _NAMESPACE, *words])
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
