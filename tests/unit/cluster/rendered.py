"""Overlays as `kubectl apply -k` sends them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

CLUSTER = Path(__file__).resolve().parents[3] / "cluster"
OVERLAYS = CLUSTER / "overlays"
COMPONENTS = CLUSTER / "components"
EVERYTHING = "prod with every option"
# `external-kafka` takes the brokers away; `ingress` is the other door.
OPTIONS = ("gpu-workers", "spot-workers", "canary", "ingress", "external-kafka", "back-up-s3", "wal-archive-s3")
OWN_PROMETHEUS = "dev with a Prometheus of its own"
RENDERED = ("dev", "staging", "prod", EVERYTHING, OWN_PROMETHEUS)

Document = dict[str, Any]

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl renders the overlays: install it")


@lru_cache
def render(overlay: str) -> tuple[Document, ...]:
    """Return the objects of an overlay, or of one with components that it leaves out."""
    if overlay == EVERYTHING:
        return _with("prod", OPTIONS)
    if overlay == OWN_PROMETHEUS:
        return _with("dev", ("observability",))
    return kustomize(OVERLAYS / overlay)


def _with(overlay: str, components: tuple[str, ...]) -> tuple[Document, ...]:
    said = yaml.safe_load((OVERLAYS / overlay / "kustomization.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve()
        content = {
            "namespace": said["namespace"],
            "resources": [os.path.relpath(OVERLAYS / overlay, path)],
            "components": [os.path.relpath(COMPONENTS / one, path) for one in components],
            # Those of the overlay were set before.
            "images": said.get("images", []),
        }
        (path / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return kustomize(path)


def kustomize(folder: Path) -> tuple[Document, ...]:
    """Return the objects of a folder with a kustomization."""
    told = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr
    return tuple(document for document in yaml.safe_load_all(told.stdout) if document)


def of_kind(overlay: str, *kinds: str) -> list[Document]:
    return [document for document in render(overlay) if document["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Document:
    (found,) = [one for one in of_kind(overlay, kind) if one["metadata"]["name"] == name]
    return found


def pods(document: Any) -> Iterator[Document]:
    """Return every pod's specification in a document, at any depth."""
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from pods(value)
    elif isinstance(document, list):
        for value in document:
            yield from pods(value)


def templates(document: Any) -> Iterator[Document]:
    """Return every pod's template (labels and specification) in a document, at any depth."""
    if isinstance(document, dict):
        if "containers" in document.get("spec", {}):
            yield document
        for value in document.values():
            yield from templates(value)
    elif isinstance(document, list):
        for value in document:
            yield from templates(value)


def quantity(text: str | float) -> float:
    """Return a quantity of Kubernetes as a number: 500m, 2, 4Gi, 1Ti."""
    units = {"m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
    for unit, factor in units.items():
        if str(text).endswith(unit):
            return float(str(text).removesuffix(unit)) * factor
    return float(text)
