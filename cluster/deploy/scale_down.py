"""The emergency brake: everything that acts stops, everything that keeps stays. And off the brake again."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.deploy.back_up import PREFIX
from cluster.deploy.manifests import Manifest, label, of_kind
from cluster.deploy.rollout import Target

_OURS = "ghcr.io/alpharay/"


def scale_down(target: Target, manifests: Sequence[Manifest]) -> list[str]:
    """Suspend schedules and work clusters, and scale our own deployments to none; return what was stopped.

    Back-ups go on, and so does what answers requests: it is told to stop by the kill switch, not by being away.
    """
    return [_brake(target, one, on=True) for one in _what_acts(manifests)]


def scale_up(target: Target, manifests: Sequence[Manifest]) -> list[str]:
    """Undo `scale_down`: schedules, work clusters and deployments are again what the manifests say."""
    return [_brake(target, one, on=False) for one in _what_acts(manifests)]


def _what_acts(manifests: Sequence[Manifest]) -> list[Manifest]:
    schedules = [
        one
        for one in of_kind(manifests, "CronJob")
        if not one["spec"].get("suspend") and not one["metadata"]["name"].startswith(PREFIX)
    ]
    deployments = [
        one
        for one in of_kind(manifests, "Deployment")
        if any(c["image"].startswith(_OURS) for c in one["spec"]["template"]["spec"]["containers"])
    ]
    # Schedules first: they would submit to a cluster that goes.
    return [*schedules, *of_kind(manifests, "RayCluster"), *deployments]


def _brake(target: Target, manifest: Manifest, *, on: bool) -> str:
    if manifest["kind"] == "Deployment":
        patch = {"spec": {"replicas": 0 if on else manifest["spec"].get("replicas", 1)}}
    else:
        patch = {"spec": {"suspend": on}}
    name = manifest["metadata"]["name"]
    target.api.merge(manifest["apiVersion"], manifest["kind"], name, patch)
    target.report(label(manifest), "down" if on else "up", "stopped" if on else "goes on")
    return label(manifest)
