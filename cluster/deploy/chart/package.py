"""A chart as a folder and as an archive that Helm installs."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from cluster.deploy.chart.files import NAME


def write_chart(files: Mapping[str, str], folder: Path, version: str) -> Path:
    """Write the chart's files under `folder`/alpharay, and the archive beside it; return the archive.

    The same files are the same bytes: nothing of the time or the machine is in the archive.
    """
    for name, text in files.items():
        path = folder / NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    archive = folder / f"{NAME}-{version}.tgz"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in sorted(files):
            data = files[name].encode()
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    archive.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return archive
