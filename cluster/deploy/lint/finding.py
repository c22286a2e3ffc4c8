"""What is wrong with a manifest, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.deploy.manifests import Manifest, label


@dataclass(frozen=True)
class Finding:
    """One fault. An `error` will not work or is not safe; a `warning` may be meant."""

    level: Literal["error", "warning"]
    where: str
    text: str


def error(manifest: Manifest, text: str) -> Finding:
    """Return a fault of an object that must be mended."""
    return Finding("error", label(manifest), text)


def warning(manifest: Manifest, text: str) -> Finding:
    """Return a fault of an object that may be meant."""
    return Finding("warning", label(manifest), text)
