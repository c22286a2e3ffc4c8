"""Programs of Debian's packages, unpacked beside the node's others: nothing is installed, and no service starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.kubernetes.node import building
from tests.kubernetes.node.folders import CACHE

_UNPACKED = CACHE / "debian"


def program(package: str, name: str) -> str:
    """Return the path of a program; its package is fetched the first time."""
    root = _root(package)
    return str(next(path for path in root.glob("usr/*bin/*") if path.name == name))


def with_its_files(package: str, name: str) -> list[str]:
    """Return the command of a program that looks for its package's files in /usr/share, and finds them there."""
    share = _root(package) / "usr/share"
    script = f'mount -t overlay none /usr/share -o lowerdir={share}:/usr/share && exec "$0" "$@"'
    return ["unshare", "--mount", "sh", "-c", script, program(package, name)]


def _root(package: str) -> Path:
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
    return root
