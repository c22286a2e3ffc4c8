"""KubeRay's objects from Python: create, wait, scale, read logs, delete, through the official Kubernetes client.

with connected("alpharay") as ray:
    ray.apply(manifest)
    ray.wait(RAY_JOB, "discovery", job_has_ended, timeout_s=600)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

GROUP, VERSION = "ray.io", "v1"
FIELD_MANAGER = "alpharay"
REQUEST_TIMEOUT_S = 30.0
POLL_S = 1.0

Object = Mapping[str, Any]
"""An object as the API server holds it."""


@dataclass(frozen=True)
class Kind:
    """One of KubeRay's kinds."""

    name: str
    plural: str


RAY_CLUSTER = Kind("RayCluster", "rayclusters")
RAY_JOB = Kind("RayJob", "rayjobs")
RAY_SERVICE = Kind("RayService", "rayservices")
RAY_CRON_JOB = Kind("RayCronJob", "raycronjobs")
KINDS = {kind.name: kind for kind in (RAY_CLUSTER, RAY_JOB, RAY_SERVICE, RAY_CRON_JOB)}


class ClusterError(RuntimeError):
    """Kubernetes refused, or something did not come in time; the text says what to look at next."""


def cluster_is_ready(found: Object) -> bool:
    """Tell whether a RayCluster's head and all its wanted workers are there."""
    return _condition(found, "RayClusterProvisioned") and found["status"].get("readyWorkerReplicas", 0) >= found[
        "status"
    ].get("desiredWorkerReplicas", 0)


def service_is_ready(found: Object) -> bool:
    """Tell whether a RayService answers with the newest of its configurations."""
    return _condition(found, "Ready") and not _condition(found, "UpgradeInProgress")


def job_has_ended(found: Object) -> bool:
    """Tell whether a RayJob has ended, well or not; `job_succeeded` tells which."""
    return found.get("status", {}).get("jobDeploymentStatus") in {"Complete", "Failed"}


def job_succeeded(found: Object) -> bool:
    """Tell whether a RayJob's program ended with 0."""
    return found.get("status", {}).get("jobStatus") == "SUCCEEDED"


class KubeRay:
    """KubeRay's objects in one namespace; made by `connected`."""

    def __init__(self, objects: Any, core: Any, namespace: str) -> None:
        self._objects = objects
        self._core = core
        self.namespace = namespace

    def apply(self, manifest: Object) -> Object:
        """Create the object, or change it to what the manifest says; raises ClusterError with the server's words."""
        kind = _kind(manifest)
        return self._call(
            self._objects.patch_namespaced_custom_object,
            kind,
            manifest["metadata"]["name"],
            body=dict(manifest),
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type="application/apply-patch+yaml",
        )

    def read(self, kind: Kind, name: str) -> Object:
        """Return the object; raises ClusterError when there is none."""
        return self._call(self._objects.get_namespaced_custom_object, kind, name)

    def names(self, kind: Kind) -> list[str]:
        """Return the names of all objects of a kind."""
        found = self._call(self._objects.list_namespaced_custom_object, kind)
        return [item["metadata"]["name"] for item in found["items"]]

    def delete(self, kind: Kind, name: str) -> None:
        """Delete the object and, in the background, its pods; one that is gone already is no error."""
        try:
            self._call(self._objects.delete_namespaced_custom_object, kind, name)
        except ClusterError as error:
            if _status_of(error) != 404:
                raise

    def scale(self, name: str, group: str, replicas: int) -> Object:
        """Ask for so many workers of a group of a RayCluster; raises ClusterError outside the group's bounds."""
        groups = [dict(one) for one in self.read(RAY_CLUSTER, name)["spec"].get("workerGroupSpecs", [])]
        wanted = next((one for one in groups if one["groupName"] == group), None)
        if wanted is None:
            known = ", ".join(one["groupName"] for one in groups) or "none"
            raise ClusterError(f"cluster {name} has no group {group!r}; it has {known}")
        least, most = wanted.get("minReplicas", 0), wanted.get("maxReplicas", replicas)
        if not least <= replicas <= most:
            raise ClusterError(f"replicas of {name}/{group} must be from {least} to {most}, was {replicas}")
        wanted["replicas"] = replicas
        return self._call(
            self._objects.patch_namespaced_custom_object,
            RAY_CLUSTER,
            name,
            # A list is replaced as a whole: the other groups go with it.
            body={"spec": {"workerGroupSpecs": groups}},
            field_manager=FIELD_MANAGER,
            _content_type="application/merge-patch+json",
        )

    def wait(self, kind: Kind, name: str, holds: Callable[[Object], bool], *, timeout_s: float) -> Object:
        """Return the object once `holds` is true of it; raises ClusterError with its state when time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.read(kind, name)
            if holds(found):
                return found
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{kind.name} {name} was not ready after {timeout_s:.0f} s; its status is {found.get('status')}; "
                    f"look at: kubectl -n {self.namespace} describe {kind.plural} {name}"
                )
            time.sleep(POLL_S)

    def logs(self, pod: str, container: str | None = None, lines: int = 200) -> str:
        """Return the last lines that a container of a pod has written."""
        return str(
            self._call_plain(
                self._core.read_namespaced_pod_log,
                f"pod {pod}",
                name=pod,
                namespace=self.namespace,
                container=container,
                tail_lines=lines,
            )
        )

    def _call(self, ask: Callable[..., Any], kind: Kind, name: str | None = None, **arguments: Any) -> Object:
        where = {"group": GROUP, "version": VERSION, "namespace": self.namespace, "plural": kind.plural}
        if name is not None:
            where["name"] = name
        found: Object = self._call_plain(ask, f"{kind.name} {name or ''}".rstrip(), **where, **arguments)
        return found

    def _call_plain(self, ask: Callable[..., Any], what: str, **arguments: Any) -> Any:
        from kubernetes.client import ApiException

        try:
            return ask(**arguments, _request_timeout=REQUEST_TIMEOUT_S)
        except ApiException as error:
            raise ClusterError(f"{what}: {error.status} {error.reason}: {_message(error)}") from error


@contextmanager
def connected(namespace: str, *, kubeconfig: str | None = None) -> Iterator[KubeRay]:
    """Connect as kubectl would (kubeconfig, KUBECONFIG, ~/.kube/config), or as the pod that this runs in.

    Raises ClusterError when there is neither.
    """
    from kubernetes import client, config

    try:
        if kubeconfig is None:
            config.load_config()
        else:
            config.load_kube_config(kubeconfig)
    except config.ConfigException as error:
        raise ClusterError(f"no cluster is configured: {error}; set KUBECONFIG") from error
    with client.ApiClient() as api:
        yield KubeRay(client.CustomObjectsApi(api), client.CoreV1Api(api), namespace)


def _kind(manifest: Object) -> Kind:
    if manifest.get("apiVersion") != f"{GROUP}/{VERSION}" or manifest.get("kind") not in KINDS:
        raise ClusterError(
            f"a manifest must be one of {', '.join(KINDS)} of {GROUP}/{VERSION}, "
            f"was {manifest.get('kind')!r} of {manifest.get('apiVersion')!r}"
        )
    return KINDS[manifest["kind"]]


def _condition(found: Object, name: str) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == name and one["status"] == "True" for one in conditions)


def _status_of(error: ClusterError) -> int | None:
    return getattr(error.__cause__, "status", None)


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.body)
