"""Changed settings are a changed pod: each template carries the digest of the ConfigMaps that it reads.

Kubernetes replaces pods when their template changes, and a ConfigMap that a template names is no part of it. With the
digest as an annotation a changed setting is an upgrade like any other: brokers one by one, Ray by a second cluster.
Secrets are left out: a digest of a short password gives it away.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from cluster.deploy.manifests import Manifest
from cluster.deploy.pod_templates import pod_templates, references

ANNOTATION = "alpharay.dev/settings"
_LASTING = ("Deployment", "StatefulSet", "DaemonSet", "RayCluster", "RayService")


def stamp(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """Return the objects, lasting pods with the digest of their settings."""
    settings = {one["metadata"]["name"]: one.get("data", {}) for one in manifests if one["kind"] == "ConfigMap"}
    return tuple(_stamped(one, settings) if one["kind"] in _LASTING else one for one in manifests)


def _stamped(manifest: Manifest, settings: dict[str, Any]) -> Manifest:
    stamped = copy.deepcopy(dict(manifest))
    for template in pod_templates(stamped):
        read = {name: settings[name] for name in sorted(references(template, "configMap")) if name in settings}
        if read:
            digest = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:16]
            template.setdefault("metadata", {}).setdefault("annotations", {})[ANNOTATION] = digest
    return stamped
