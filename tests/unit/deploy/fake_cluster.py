"""A cluster in memory: an API server that keeps objects, controllers that are done at once, and kubectl in front."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from cluster.deploy.api import Api, NotFoundError, path_of
from cluster.deploy.errors import DeployError

NAMESPACE = "alpharay"
READY = [{"type": "Ready", "status": "True"}]
KNOWN = {
    "v1": ("Namespace", "ConfigMap", "Secret", "Service", "ServiceAccount", "Pod", "PersistentVolumeClaim", "Event"),
    "apps/v1": ("StatefulSet", "Deployment"),
    "batch/v1": ("Job", "CronJob"),
    "policy/v1": ("PodDisruptionBudget",),
    "networking.k8s.io/v1": ("NetworkPolicy", "Ingress"),
    "ray.io/v1": ("RayCluster", "RayService", "RayJob"),
}


class FakeApi(Api):
    """Objects by path; what was asked is remembered."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        super().__init__(None, namespace)
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.logs: dict[str, str] = {}
        self.proxied: dict[str, Any] = {}
        self.known = {name: set(kinds) for name, kinds in KNOWN.items()}
        self.on_delete: Callable[[dict[str, Any]], None] = lambda _: None
        self.put("storage.k8s.io/v1", "StorageClass", "standard")
        self.read("storage.k8s.io/v1", "StorageClass", "standard")["metadata"]["annotations"] = {  # type: ignore[index]
            "storageclass.kubernetes.io/is-default-class": "true"
        }

    def put(self, api_version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        found = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}
        self.objects[path_of(api_version, kind, self.namespace, name)] = found
        return found

    def pod(self, name: str, labels: dict[str, str], **status: Any) -> dict[str, Any]:
        metadata = {"name": name, "labels": labels, "creationTimestamp": "2026-11-21T12:00:00Z"}
        spec = {"containers": [{"name": "main"}]}
        state = {"phase": "Running", "conditions": READY, "containerStatuses": [{"name": "main", "ready": True}]}
        return self.put("v1", "Pod", name, metadata=metadata, spec=spec, status={**state, **status})

    def ask(self, method: str, path: str, *, query: Sequence[tuple[str, str]] = (), body: Any = None, **_: Any) -> Any:
        self.asked.append((method, path))
        if path in self.proxied:
            return self.proxied[path]
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version in self.known:
            return {"resources": [{"kind": kind} for kind in self.known[version]]}
        if path.endswith("/log"):
            return self.logs[path.split("/")[-2]]
        if method == "POST":
            self.objects[f"{path}/{body['metadata']['name']}"] = copy.deepcopy(dict(body))
            return body
        if method == "PATCH":
            merge(self.objects[path], body)
            return self.objects[path]
        if path in self.objects:
            found = self.objects[path]
            if method == "DELETE":
                del self.objects[path]
                self.on_delete(found)
            return found
        items = [one for key, one in self.objects.items() if key.rpartition("/")[0] == path]
        if not items and path.rpartition("/")[2] not in _COLLECTIONS:
            # No object of that name, or no kind.
            raise NotFoundError(f"{path} is not there")
        return {"items": [one for one in items if _chosen(one, dict(query))]}


class FakeKubectl:
    """Keeps what is applied in a FakeApi, and makes of it what controllers would."""

    def __init__(self, api: FakeApi, rendered: str = "") -> None:
        self.api = api
        self.rendered = rendered
        self.calls: list[tuple[str, ...]] = []
        self.applied: list[str] = []
        self.deleted: list[str] = []
        self.refuses: str | None = None
        self.answer: Callable[[tuple[str, ...], str | None], str] = lambda *_: ""
        self.settle: Callable[[dict[str, Any]], None] = settle

    def __call__(self, *words: str, text: str | None = None, **_: Any) -> str:
        self.calls.append(words)
        if self.refuses is not None and words[0] == self.refuses:
            raise DeployError(f"kubectl {words[0]} failed", evidence=("the server said no",))
        if words[0] == "kustomize":
            return self.rendered
        if words[0] == "apply" and "--dry-run=server" not in words:
            return "".join(self._apply(one) for one in json.loads(text or "{}")["items"])
        if words[0] == "delete":
            for one in json.loads(text or "{}")["items"]:
                self.deleted.append(f"{one['kind']}/{one['metadata']['name']}")
                self.api.delete(one["apiVersion"], one["kind"], one["metadata"]["name"])
            return ""
        return self.answer(words, text)

    def _apply(self, manifest: dict[str, Any]) -> str:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        self.applied.append(name)
        path = path_of(manifest["apiVersion"], manifest["kind"], self.api.namespace, manifest["metadata"]["name"])
        before = self.api.objects.get(path, {})
        wanted = copy.deepcopy(manifest)
        changed = before.get("spec") != wanted.get("spec")
        wanted["metadata"]["generation"] = before.get("metadata", {}).get("generation", 0) + changed
        wanted["status"] = before.get("status", {})
        self.api.objects[path] = wanted
        self.settle(wanted)
        return f"{name} serverside-applied\n"


def settle(found: dict[str, Any]) -> None:
    """Do at once what a controller does in time."""
    replicas = found.get("spec", {}).get("replicas", 1) if isinstance(found.get("spec"), dict) else 1
    status: dict[str, Any] = {"observedGeneration": found["metadata"].get("generation", 0)}
    if found["kind"] == "StatefulSet":
        status |= {"readyReplicas": replicas, "updatedReplicas": replicas, "updateRevision": "one"}
    elif found["kind"] == "Deployment":
        status |= {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    elif found["kind"] == "Job":
        status = {"conditions": [{"type": "Complete", "status": "True"}]}
    elif found["kind"] == "RayService":
        applications = {"signal": {"status": "RUNNING"}}
        status |= {
            "conditions": READY,
            "activeServiceStatus": {"rayClusterName": "serving-a", "applicationStatuses": applications},
        }
    elif found["kind"] == "RayCluster":
        status |= {"conditions": [{"type": "RayClusterProvisioned", "status": "True"}]}
    found["status"] = status


def merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """Merge as the API server does: None removes."""
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict):
            merge(into.setdefault(name, {}), value)
        else:
            into[name] = value


_COLLECTIONS = {
    path_of(version, kind, NAMESPACE).rpartition("/")[2] for version, kinds in KNOWN.items() for kind in kinds
} | {"storageclasses"}


def _chosen(found: dict[str, Any], query: dict[str, str]) -> bool:
    labels = found["metadata"].get("labels", {})
    for wanted in filter(None, query.get("labelSelector", "").split(",")):
        name, equals, value = wanted.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    for wanted in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = wanted.partition("=")
        at: Any = found
        for part in path.split("."):
            at = at.get(part, {})
        if at != value:
            return False
    return True
