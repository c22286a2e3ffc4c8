"""An overlay's manifests, as kustomize renders them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.deploy.errors import DeployError

Manifest = Mapping[str, Any]
Run = Callable[..., str]
"""kubectl, or what stands for it in a test."""


@dataclass(frozen=True)
class Rendering:
    """What an overlay says a cluster should hold, all of it in one namespace."""

    overlay: str
    namespace: str
    manifests: tuple[Manifest, ...]


def render(kubectl: Run, overlay: Path) -> Rendering:
    """Render an overlay; raises DeployError when kustomize refuses or the objects are of more than one namespace."""
    if not (overlay / "kustomization.yaml").is_file():
        raise DeployError(f"--overlay must be a folder with a kustomization.yaml, was {overlay}")
    manifests = tuple(one for one in yaml.safe_load_all(kubectl("kustomize", str(overlay))) if one)
    namespaces = {one["metadata"]["namespace"] for one in manifests if "namespace" in one["metadata"]}
    if len(namespaces) != 1:
        raise DeployError(f"{overlay}: all objects must be of one namespace, were of {sorted(namespaces) or 'none'}")
    return Rendering(overlay.name, namespaces.pop(), manifests)


def label(manifest: Manifest) -> str:
    """Return how people call an object: `StatefulSet/kafka`."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> tuple[Manifest, ...]:
    """Return the objects of the kinds, in their order."""
    return tuple(one for one in manifests if one["kind"] in kinds)


def as_yaml(manifests: Iterable[Manifest]) -> str:
    """Return the objects as one YAML stream."""
    text: str = yaml.safe_dump_all(list(manifests), sort_keys=False, width=120, allow_unicode=True)
    return text


def as_list(manifests: Iterable[Manifest]) -> str:
    """Return the objects as one JSON list, which kubectl takes in one go."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
