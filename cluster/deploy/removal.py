"""Everything that an overlay brought, taken away again."""

from __future__ import annotations

from functools import partial

from cluster.deploy.api import Object
from cluster.deploy.apply import delete as delete_objects
from cluster.deploy.layers import APPLICATIONS, NETWORKING, layer
from cluster.deploy.manifests import Rendering, label
from cluster.deploy.revisions import LABEL
from cluster.deploy.rollout import Target
from cluster.deploy.trouble import explain
from cluster.deploy.waiting import State, wait_until

_DATA = frozenset({"Namespace", "PersistentVolumeClaim", "Secret", "ExternalSecret"})
_ENDED = frozenset({"Succeeded", "Failed"})
# Of the whole cluster: another environment may need it.
_SHARED = frozenset({"PriorityClass"})


def delete(target: Target, rendering: Rendering, *, data: bool) -> None:
    """Delete the objects, Ray first; with `data` volumes, Secrets, history and the namespace as well.

    Ray first: the operator clears what a head has stored in `ray-state`, which must still answer for that.
    """
    first = layer(rendering.manifests, APPLICATIONS, NETWORKING)
    gone = delete_objects(target.kubectl, first, timeout_s=target.timeout_s)
    target.report("applications", "up", f"{len(gone)} objects deleted")
    wait_until(
        "Ray clusters",
        partial(_ray_is_gone, target),
        timeout_s=target.timeout_s,
        report=target.report,
        explain=lambda: explain(target.api, _ray_pods(target), "rayclusters"),
    )
    taken = {label(one) for one in first}
    rest = [one for one in rendering.manifests if label(one) not in taken and one["kind"] not in _DATA | _SHARED]
    gone = delete_objects(target.kubectl, rest, timeout_s=target.timeout_s)
    target.report("infrastructure", "up", f"{len(gone)} objects deleted")
    wait_until("pods", partial(_pods_are_gone, target), timeout_s=target.timeout_s, report=target.report)
    if data:
        _delete_data(target, rendering)


def _delete_data(target: Target, rendering: Rendering) -> None:
    for kind in ("PersistentVolumeClaim", "ExternalSecret", "Secret"):
        api_version = "external-secrets.io/v1" if kind == "ExternalSecret" else "v1"
        for found in target.api.items(api_version, kind):
            target.api.delete(api_version, kind, found["metadata"]["name"])
    for found in target.api.items("v1", "ConfigMap", labels=LABEL):
        target.api.delete("v1", "ConfigMap", found["metadata"]["name"])
    namespaces = [one for one in rendering.manifests if one["kind"] == "Namespace"]
    delete_objects(target.kubectl, namespaces, timeout_s=target.timeout_s)
    target.report("data", "up", "volumes, Secrets, history and namespace are deleted")


def _ray_pods(target: Target) -> list[Object]:
    return target.api.items("v1", "Pod", labels="ray.io/is-ray-node=yes")


def _ray_is_gone(target: Target) -> State:
    left = target.api.items("ray.io/v1", "RayCluster")
    return State(not left, f"{len(left)} are ending" if left else "gone")


def _pods_are_gone(target: Target) -> State:
    left = [pod for pod in target.api.items("v1", "Pod") if pod.get("status", {}).get("phase") not in _ENDED]
    return State(not left, f"{len(left)} are ending" if left else "gone")
