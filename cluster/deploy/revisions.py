"""What was deployed, and when: the manifests of each rollout, kept in the cluster as ConfigMaps.

Secrets are left out: a rollback changes no password, and databases would not follow if it did.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Manifest

KEPT = 10
LABEL = "alpharay.dev/revision"
_STATE, _OVERLAY, _TIME = "alpharay.dev/state", "alpharay.dev/overlay", "alpharay.dev/time"
ROLLING_OUT, DEPLOYED, FAILED = "rolling-out", "deployed", "failed"
_FILE = "manifests.json.gz"


@dataclass(frozen=True)
class Revision:
    """One rollout: `state` is rolling-out, deployed or failed; `time` is when it began, UTC."""

    number: int
    overlay: str
    state: str
    time: str
    manifests: tuple[Manifest, ...]


def revisions(api: Api) -> list[Revision]:
    """Return all rollouts that are remembered, the newest first."""
    found = [_revision(one) for one in api.items("v1", "ConfigMap", labels=LABEL)]
    return sorted(found, key=lambda one: one.number, reverse=True)


def begin(api: Api, overlay: str, manifests: Iterable[Manifest]) -> Revision:
    """Remember a rollout that begins, and forget the oldest; the namespace must be there."""
    known = revisions(api)
    kept = tuple(one for one in manifests if one["kind"] not in {"Secret", "Namespace"})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    revision = Revision(known[0].number + 1 if known else 1, overlay, ROLLING_OUT, now, kept)
    api.create(_config_map(revision))
    for old in known[KEPT - 1 :]:
        api.delete("v1", "ConfigMap", _name(old.number))
    return revision


def end(api: Api, revision: Revision, state: str) -> None:
    """Write down how a rollout ended."""
    patch = {"metadata": {"annotations": {_STATE: state}}}
    api.merge("v1", "ConfigMap", _name(revision.number), patch)


def to_return_to(known: list[Revision], number: int | None = None) -> Revision:
    """Return the revision that a rollback goes to: the one asked for, or the last good one before the newest.

    Raises DeployError, naming those that are there, when there is none.
    """
    good = [one for one in known if one.state == DEPLOYED]
    if number is not None:
        chosen = [one for one in known if one.number == number]
    else:
        chosen = [one for one in good if one.number != known[0].number]
    if not chosen:
        there = ", ".join(f"{one.number} ({one.state}, {one.time})" for one in known) or "none"
        what = "earlier revision that was deployed" if number is None else f"revision {number}"
        raise DeployError(f"there is no {what} to return to; known are: {there}")
    return chosen[0]


def _config_map(revision: Revision) -> dict[str, Any]:
    packed = gzip.compress(json.dumps(revision.manifests).encode(), mtime=0)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": _name(revision.number),
            "labels": {LABEL: str(revision.number), "app.kubernetes.io/part-of": "alpharay"},
            "annotations": {_STATE: revision.state, _OVERLAY: revision.overlay, _TIME: revision.time},
        },
        "binaryData": {_FILE: base64.b64encode(packed).decode()},
    }


def _revision(found: Object) -> Revision:
    metadata = found["metadata"]
    noted = metadata.get("annotations", {})
    manifests = json.loads(gzip.decompress(base64.b64decode(found["binaryData"][_FILE])))
    return Revision(
        int(metadata["labels"][LABEL]),
        noted.get(_OVERLAY, ""),
        noted.get(_STATE, ""),
        noted.get(_TIME, ""),
        tuple(manifests),
    )


def _name(number: int) -> str:
    return f"alpharay-revision-{number}"
