"""The programs of the control plane, of KubeRay's operator and of network policies, from sources that go.mod pins."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.local.process import child_environment, complete
from tests.kubernetes.node import building
from tests.kubernetes.node.folders import KUBERNETES, PROGRAMS, part

SOURCES = Path(__file__).with_name("go")
PACKAGES = (
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubelet",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "github.com/ray-project/kuberay/ray-operator",
    "./coredns",
)
POLICIES = "policies"
"""A module of its own: its Kubernetes client is of 2019."""

TOOLS = {
    "helm": "helm.sh/helm/v4/cmd/helm",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "rclone": ".",
    "traefik": "github.com/traefik/traefik/v3/cmd/traefik",
}
"""What single tests need, modules of their own too: built when the first of them asks."""

# Without its version a server calls itself v0.0.0, which its clients refuse.
_VERSION = (
    f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES} "
    f"-X k8s.io/component-base/version.gitMajor={KUBERNETES.split('.')[0]} "
    f"-X k8s.io/component-base/version.gitMinor={KUBERNETES.split('.')[1]}"
)


def build() -> bool:
    """Build what is missing or older than its sources; return whether anything was. Cold it takes ten minutes."""
    mark, state = PROGRAMS / "sources", _sources([SOURCES, SOURCES / "coredns", SOURCES / POLICIES])
    if mark.exists() and mark.read_text() == state:
        return False
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    _go_build(SOURCES, f"-s -w {_VERSION}", PACKAGES)
    # The controller comes with k3s' settings, and those with SQLite, which is C.
    _go_build(SOURCES / POLICIES, "-s -w", ["."], {"CGO_ENABLED": "1"})
    mark.write_text(state)
    return True


def tool(name: str) -> str:
    """Return the path of one of `TOOLS`, built when it is missing or older than its sources: five minutes cold."""
    mark, state = PROGRAMS / f"{name}.sources", _sources([SOURCES / name])
    if not mark.exists() or mark.read_text() != state:
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        _go_build(SOURCES / name, "-s -w", [TOOLS[name]])
        mark.write_text(state)
    return str(PROGRAMS / name)


def _go_build(folder: Path, linked: str, packages: Sequence[str], more: Mapping[str, str] | None = None) -> None:
    building.run(
        ["go", "build", "-trimpath", "-ldflags", linked, "-o", f"{PROGRAMS}/", *packages],
        environment={**_environment(), **(more or {})},
        working_folder=folder,
    )


def program(name: str) -> str:
    """Return the path of a program: one that was built here, or one of the machine's."""
    built = PROGRAMS / name
    if built.exists():
        return str(built)
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is neither built nor installed: run `make node-up`")
    return found


def module_folder(module: str, version: str) -> Path:
    """Return where Go keeps a module's files, fetched if need be: manifests come from there, of the same version."""
    folder = part("build")
    out = folder / "module.json"
    script = f"go mod download -json {module}@{version} > {out}"
    complete(folder, ["sh", "-c", script], environment=_environment(), seconds=300.0)
    return Path(json.loads(out.read_text())["Dir"])


def _environment() -> dict[str, str]:
    return child_environment({"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"})


def _sources(folders: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(one for folder in folders for one in folder.iterdir() if one.is_file()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest() + os.uname().machine
