"""The manifests of dev, rendered once."""

from __future__ import annotations

import copy
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.deploy.manifests import Rendering

OVERLAYS = Path(__file__).resolve().parents[3] / "cluster/overlays"


def rendered_text(name: str = "dev") -> str:
    """Return an overlay as kubectl renders it; the test is left out where there is no kubectl."""
    try:
        done = subprocess.run(
            ["kubectl", "kustomize", str(OVERLAYS / name)], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("kubectl is not installed: it renders the overlays")
    return done.stdout


def rendering(name: str = "dev") -> Rendering:
    """Return an overlay's objects, the caller's to change."""
    return copy.deepcopy(_parsed(name))


@lru_cache(maxsize=4)
def _parsed(name: str) -> Rendering:
    manifests = tuple(one for one in yaml.load_all(rendered_text(name), yaml.CSafeLoader) if one)
    namespace = next(one["metadata"]["namespace"] for one in manifests if "namespace" in one["metadata"])
    return Rendering(name, namespace, manifests)


def chosen(manifests: Any, kind: str, name: str) -> Any:
    """Return one object."""
    (found,) = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name]
    return found
