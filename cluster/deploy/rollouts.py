"""How far each workload is, and waiting until all are where their manifests want them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Manifest, label
from cluster.deploy.trouble import complaints, explain, is_ready
from cluster.deploy.waiting import Report, State, wait_until
from cluster.kuberay import cluster_is_ready, service_is_ready

ABSENT = State(False, "not there yet")


def wait_for_rollouts(api: Api, manifests: Iterable[Manifest], *, timeout_s: float, report: Report) -> None:
    """Wait for every workload among the objects, `timeout_s` for all of them together."""
    deadline = time.monotonic() + timeout_s
    for manifest in manifests:
        if manifest["kind"] in STATES:
            wait_until(
                label(manifest),
                partial(state_of, api, manifest),
                timeout_s=max(deadline - time.monotonic(), 0.0),
                report=report,
                explain=partial(_explain, api, manifest),
            )


def state_of(api: Api, manifest: Manifest) -> State:
    """Return how far a workload is; its pods' first complaint is told beside the count."""
    found = api.read(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
    if found is None:
        return ABSENT
    state = STATES[manifest["kind"]](found)
    if state.failed or (state.done and manifest["kind"] != "RayCluster"):
        return state
    pods = pods_of(api, found)
    if state.done and pods and all(is_ready(pod) and not pod["metadata"].get("deletionTimestamp") for pod in pods):
        return state
    # A RayCluster whose pods are being replaced says for a while that it is ready.
    state = State(False, state.text)
    said = next((text for pod in pods if not is_ready(pod) for text in complaints(pod)), None)
    return state if said is None else State(False, f"{state.text}; {said[:160]}")


def pods_of(api: Api, found: Object) -> list[Object]:
    """Return the pods of a workload."""
    if found["kind"] == "RayService":
        status = found.get("status", {})
        names = [status.get(part, {}).get("rayClusterName") for part in ("activeServiceStatus", "pendingServiceStatus")]
        return [pod for name in names if name for pod in api.items("v1", "Pod", labels=f"ray.io/cluster={name}")]
    if found["kind"] == "RayCluster":
        return api.items("v1", "Pod", labels=f"ray.io/cluster={found['metadata']['name']}")
    if found["kind"] == "Job":
        return api.items("v1", "Pod", labels=f"job-name={found['metadata']['name']}")
    chosen = found["spec"]["selector"]["matchLabels"]
    return api.items("v1", "Pod", labels=",".join(f"{name}={value}" for name, value in sorted(chosen.items())))


def _explain(api: Api, manifest: Manifest) -> DeployError:
    name = manifest["metadata"]["name"]
    found = api.read(manifest["apiVersion"], manifest["kind"], name)
    pods = [] if found is None else pods_of(api, found)
    return explain(api, pods, f"{manifest['kind'].lower()}/{name}")


def _is_observed(found: Object) -> bool:
    return bool(found.get("status", {}).get("observedGeneration", 0) >= found["metadata"].get("generation", 0))


def _stateful_set(found: Object) -> State:
    wanted, status = found["spec"].get("replicas", 1), found.get("status", {})
    ready = status.get("readyReplicas", 0)
    # One that is updated on deletion is brought up to date pod by pod, elsewhere.
    rolls = found["spec"].get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate"
    current = status.get("updatedReplicas", 0) if rolls else wanted
    done = _is_observed(found) and ready >= wanted and current >= wanted
    return State(done, f"{ready} of {wanted} ready" + ("" if current >= wanted else f", {current} updated"))


def _deployment(found: Object) -> State:
    wanted, status = found["spec"].get("replicas", 1), found.get("status", {})
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    done = _is_observed(found) and status.get("replicas", 0) == updated == available == wanted
    stuck = any(
        one["type"] == "Progressing" and one["status"] == "False" for one in status.get("conditions", ())
    ) and _is_observed(found)
    return State(done, f"{available} of {wanted} available, {updated} updated", failed=stuck and not done)


def _daemon_set(found: Object) -> State:
    status = found.get("status", {})
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    return State(_is_observed(found) and ready >= wanted, f"{ready} of {wanted} ready")


def _job(found: Object) -> State:
    conditions = {one["type"]: one for one in found.get("status", {}).get("conditions", ()) if one["status"] == "True"}
    if "Complete" in conditions:
        return State(True, "done")
    if "Failed" in conditions:
        return State(False, f"failed: {conditions['Failed'].get('message', '')}", failed=True)
    return State(False, "runs" if found.get("status", {}).get("active") else "waits for a pod")


def _ray_service(found: Object) -> State:
    status = found.get("status", {})
    active, pending = status.get("activeServiceStatus", {}), status.get("pendingServiceStatus", {})
    applications = (pending if pending.get("rayClusterName") else active).get("applicationStatuses", {})
    said = ", ".join(f"{name} {one.get('status')}" for name, one in sorted(applications.items()))
    running = bool(active.get("applicationStatuses")) and all(
        one.get("status") == "RUNNING" for one in active["applicationStatuses"].values()
    )
    done = _is_observed(found) and service_is_ready(found) and not pending.get("rayClusterName") and running
    cluster = pending.get("rayClusterName") or active.get("rayClusterName") or "its cluster"
    return State(done, f"{cluster}: {said or 'no application yet'}")


def _ray_cluster(found: Object) -> State:
    status = found.get("status", {})
    ready, wanted = status.get("readyWorkerReplicas", 0), status.get("desiredWorkerReplicas", 0)
    return State(_is_observed(found) and cluster_is_ready(found), f"{ready} of {wanted} workers ready")


STATES: dict[str, Callable[[Object], State]] = {
    "StatefulSet": _stateful_set,
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "RayCluster": _ray_cluster,
    "RayService": _ray_service,
}
"""The kinds that are waited for, and how each tells how far it is."""
