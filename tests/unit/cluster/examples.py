"""The documents of `cluster/examples`."""

from __future__ import annotations

from typing import Any

import yaml

from tests.unit.cluster.rendered import CLUSTER, OVERLAYS

EXAMPLES = CLUSTER / "examples"
FILES = sorted(EXAMPLES.rglob("*.yaml"))
ENVIRONMENTS = ("staging", "prod")


def documents(name: str) -> list[dict[str, Any]]:
    """Return what a file holds."""
    return [one for one in yaml.safe_load_all((EXAMPLES / name).read_text()) if one]


def document(name: str, kind: str) -> dict[str, Any]:
    """Return the only object of a kind in a file."""
    (found,) = [one for one in documents(name) if one["kind"] == kind]
    return found


def namespace_of(environment: str) -> str:
    """Return the namespace of an overlay."""
    found: str = yaml.safe_load((OVERLAYS / environment / "kustomization.yaml").read_text())["namespace"]
    return found
