"""Programs of Debian's packages, unpacked beside the node's others: nothing is installed, and no service starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.kubernetes.node import building
from tests.kubernetes.node.folders import CACHE

_UNPACKED = CACHE / "debian"


def program(package: str, name: str) -> str:
    """Return the path of a program; its package is fetched the first time."""
    root = _UNPACKED / package
    if not root.exists():
        draft = root.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        building.run(["apt-get", "update", "-qq"])
        building.run(["apt-get", "download", "-qq", package], working_folder=draft)
        (archive,) = draft.glob("*.deb")
        building.run(["dpkg-deb", "--extract", str(archive), str(draft)])
        archive.unlink()
        draft.rename(root)
    return str(_found(root, name))


def _found(root: Path, name: str) -> Path:
    return next(path for path in root.glob("usr/*bin/*") if path.name == name)
