"""A whole rollout: layer after layer, each waited for, remembered as a revision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cluster.deploy import revisions
from cluster.deploy.api import Api
from cluster.deploy.apply import apply, delete
from cluster.deploy.broker_rollout import replace_brokers
from cluster.deploy.errors import DeployError
from cluster.deploy.layers import APPLICATIONS, GROUND, INFRASTRUCTURE, MIGRATION, NETWORKING, layer
from cluster.deploy.manifests import Manifest, Rendering, Run, label, of_kind
from cluster.deploy.migration import migrate
from cluster.deploy.prerequisites import require
from cluster.deploy.revisions import Revision
from cluster.deploy.rollouts import wait_for_rollouts
from cluster.deploy.waiting import Report

# Losing one of these loses data, locks people out, or takes what another environment needs: who means it deletes it.
_NEVER_PRUNED = frozenset(
    {"Namespace", "PersistentVolumeClaim", "Secret", "ExternalSecret", "StatefulSet", "PriorityClass"}
)


@dataclass(frozen=True)
class Target:
    """Where a rollout goes, how long each of its waits may take, and who is told."""

    kubectl: Run
    api: Api
    timeout_s: float
    report: Report


def install(target: Target, rendering: Rendering) -> Revision:
    """Bring a cluster from nothing, or from where it stopped, to what the overlay says."""
    require(target.api, rendering.manifests)
    with _remembered(target, rendering) as revision:
        infrastructure(target, rendering.manifests)
        applications(target, rendering.manifests)
        networking(target, rendering.manifests)
    return revision


def upgrade(target: Target, rendering: Rendering) -> Revision:
    """Bring what runs to what the overlay says: schema first, brokers one by one, Ray by a second cluster.

    The schema only grows, so what still runs is not disturbed by the new one.
    """
    require(target.api, rendering.manifests)
    known = revisions.revisions(target.api)
    if not known and target.api.read("ray.io/v1", "RayService", "serving") is None:
        raise DeployError("nothing is installed here", next_steps=("python -m cluster.deploy install",))
    with _remembered(target, rendering) as revision:
        ground(target, rendering.manifests)
        migration(target, rendering.manifests)
        _roll(target, rendering.manifests)
        prune(target, known[0].manifests if known else (), rendering.manifests)
    return revision


def rollback(target: Target, number: int | None = None) -> Revision:
    """Return to an earlier revision's manifests; the schema stays, and so do Secrets and data."""
    known = revisions.revisions(target.api)
    wanted = revisions.to_return_to(known, number)
    rendering = Rendering(wanted.overlay, target.api.namespace, wanted.manifests)
    with _remembered(target, rendering) as revision:
        ground(target, wanted.manifests)
        _roll(target, wanted.manifests)
        prune(target, known[0].manifests, wanted.manifests)
    return revision


def ground(target: Target, manifests: Iterable[Manifest]) -> None:
    """Apply what pods are given and bound by."""
    applied = apply(target.kubectl, layer(manifests, GROUND))
    target.report("ground", "up", f"{len(applied)} objects: settings, accounts, policies")


def infrastructure(target: Target, manifests: Iterable[Manifest]) -> None:
    """Apply settings and data layer, wait until they run, and bring schema and topics to this version."""
    wanted = tuple(manifests)
    ground(target, wanted)
    _data(target, wanted)
    migration(target, wanted)


def migration(target: Target, manifests: Iterable[Manifest]) -> None:
    """Run the migration to its end."""
    jobs = layer(manifests, MIGRATION)
    migrate(target.kubectl, target.api, jobs, timeout_s=target.timeout_s, report=target.report)


def applications(target: Target, manifests: Iterable[Manifest]) -> None:
    """Apply Ray clusters, Serve applications and schedules, and wait until they answer."""
    wanted = layer(manifests, APPLICATIONS)
    applied = apply(target.kubectl, wanted)
    target.report("applications", "up", f"{len(applied)} objects")
    wait_for_rollouts(target.api, wanted, timeout_s=target.timeout_s, report=target.report)


def networking(target: Target, manifests: Iterable[Manifest]) -> None:
    """Apply policies again, and the ways in from outside."""
    wanted = tuple(manifests)
    apply(target.kubectl, of_kind(wanted, "NetworkPolicy"))
    ways_in = layer(wanted, NETWORKING)
    apply(target.kubectl, ways_in)
    said = ", ".join(map(label, ways_in)) or "no way in from outside; `access` shows how to forward a port"
    target.report("networking", "up", said)


def prune(target: Target, before: Iterable[Manifest], now: Iterable[Manifest]) -> None:
    """Delete what the revision before had and this one has not; never data, Secrets or what holds data."""
    kept = {(one["kind"], one["metadata"]["name"]) for one in now}
    gone = [
        one
        for one in before
        if (one["kind"], one["metadata"]["name"]) not in kept and one["kind"] not in _NEVER_PRUNED | {"Job"}
    ]
    if gone:
        delete(target.kubectl, gone, timeout_s=target.timeout_s)
        target.report("left out now", "up", f"deleted: {', '.join(map(label, gone))}")


def _roll(target: Target, manifests: tuple[Manifest, ...]) -> None:
    _data(target, manifests)
    applications(target, manifests)
    networking(target, manifests)


def _data(target: Target, manifests: tuple[Manifest, ...]) -> None:
    wanted = layer(manifests, INFRASTRUCTURE)
    applied = apply(target.kubectl, wanted)
    target.report("infrastructure", "up", f"{len(applied)} objects")
    wait_for_rollouts(target.api, wanted, timeout_s=target.timeout_s, report=target.report)
    for stateful_set in of_kind(wanted, "StatefulSet"):
        if stateful_set["spec"].get("updateStrategy", {}).get("type") == "OnDelete":
            replace_brokers(target.kubectl, target.api, stateful_set, timeout_s=target.timeout_s, report=target.report)


@contextmanager
def _remembered(target: Target, rendering: Rendering) -> Iterator[Revision]:
    """Keep the rollout as a revision, with how it ended."""
    apply(target.kubectl, of_kind(rendering.manifests, "Namespace"))
    revision = revisions.begin(target.api, rendering.overlay, rendering.manifests)
    try:
        yield revision
    except BaseException:
        # What went wrong is told, not that it could not be written down.
        with suppress(DeployError):
            revisions.end(target.api, revision, revisions.FAILED)
        raise
    revisions.end(target.api, revision, revisions.DEPLOYED)
