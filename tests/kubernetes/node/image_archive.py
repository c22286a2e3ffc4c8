"""An image from a folder: one layer in an archive that containerd imports; no registry and no daemon."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """What an image says of itself: its name, and how it starts."""

    name: str
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"


def write_archive(root: Path, image: Image, archive: Path) -> None:
    """Write the files below `root` as `image` to `archive`; the name appears once the archive is whole."""
    layer, draft = archive.with_suffix(".layer"), archive.with_suffix(".draft")
    subprocess.run(
        ["tar", "--numeric-owner", "--sort=name", "-C", str(root), "-cf", str(layer), "."],
        check=True,
        capture_output=True,
        timeout=600,
    )
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    configuration = json.dumps(_configuration(image, digest)).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [image.name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(draft, "w") as whole:
        _add(whole, name, configuration)
        whole.add(layer, "layer.tar")
        _add(whole, "manifest.json", manifest)
    layer.unlink()
    draft.replace(archive)


def _configuration(image: Image, layer: str) -> dict[str, object]:
    environment = {"PATH": PATH, **image.environment}
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": list(image.entrypoint) or None,
            "Cmd": list(image.command) or None,
            "User": image.user,
            "WorkingDir": "/",
            "StopSignal": image.stop_signal,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        # Whoever builds on top counts the layers by their history.
        "history": [{"created_by": "tests.kubernetes.node"}],
    }


def _add(whole: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    whole.addfile(entry, io.BytesIO(content))
