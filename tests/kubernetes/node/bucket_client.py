"""The image of rclone under its upstream name: built when a test first copies to a bucket."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.kubernetes.node import containers, programs
from tests.kubernetes.node.folders import IMAGES
from tests.kubernetes.node.image_archive import Image, write_archive

NAME = "docker.io/rclone/rclone:1.71.0"


def import_image() -> None:
    """Build rclone with the stores that tests need, and import it unless the node has it."""
    program = Path(programs.tool("rclone"))
    image = Image(NAME, entrypoint=["rclone"], user="1000:1000", environment={"PATH": "/usr/local/bin"})
    archive = IMAGES / f"rclone-{hashlib.sha256(program.read_bytes()).hexdigest()[:12]}.tar"
    if not archive.exists():
        root = IMAGES / "rclone-root"
        shutil.rmtree(root, ignore_errors=True)
        (root / "usr/local/bin").mkdir(parents=True)
        (root / "tmp").mkdir(mode=0o1777)
        shutil.copy2(program, root / "usr/local/bin/rclone")
        write_archive(root, image, archive)
        shutil.rmtree(root)
    if NAME not in containers.images():
        containers.import_image(archive)
