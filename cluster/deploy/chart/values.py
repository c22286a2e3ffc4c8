"""What a chart's users may set (images, replicas, resources, storage, domains), taken from the manifests."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from cluster.deploy.chart.placeholders import NAMESPACE, mark
from cluster.deploy.manifests import Manifest
from cluster.deploy.pod_templates import containers, pod_templates

Values = dict[str, Any]
_OURS = "/alpharay:"
_RANGE = ("replicas", "minReplicas", "maxReplicas")
_WAYS_IN = frozenset({"Ingress", "Gateway", "HTTPRoute", "GRPCRoute", "Certificate"})


def with_values(manifests: Iterable[Manifest]) -> tuple[list[Any], Values]:
    """Return the objects with marks in the places of values, and the values that make them what they were."""
    values: Values = {"images": {}, "replicas": {}, "resources": {}, "storage": {}, "domains": {}}
    marked = []
    for manifest in manifests:
        one = copy.deepcopy(dict(manifest))
        _mark_replicas(one, values["replicas"])
        for template in pod_templates(one):
            key = _key(one, template)
            for container in containers(template):
                _mark_image(container, values["images"])
                _mark_resources(container, key, values["resources"])
        for claim in _claims(one):
            _mark_storage(one, claim, values["storage"])
        if one["kind"] in _WAYS_IN:
            one["spec"] = _with_domains(one["spec"], values["domains"])
        one["metadata"].pop("namespace", None)
        marked.append(_with_namespace(one, manifest["metadata"].get("namespace")))
    return marked, {name: found for name, found in values.items() if found}


def image_mark(key: str) -> str:
    """Return the mark of an image's name and version."""
    return f"{mark('part', 'images', key, 'repository')}:{mark('part', 'images', key, 'tag')}"


def camel(name: str) -> str:
    """Return a name that templates can be asked for with a dot: ray-state is rayState."""
    first, *rest = name.replace(".", "-").replace("_", "-").split("-")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _key(manifest: Manifest, template: Mapping[str, Any]) -> str:
    """Return the name of a pod's values: schedules that submit share one, each Ray group has its own."""
    name = camel(manifest["metadata"]["name"])
    if manifest["kind"] in {"RayService", "RayCluster"}:
        return name + _group_of(manifest, template)
    labels = template.get("metadata", {}).get("labels", {})
    if manifest["kind"] == "CronJob" and labels.get("role") == "submitter":
        return "submitter"
    # A Job's own name may hold the version.
    return camel(labels.get("app", name)) if manifest["kind"] == "Job" else name


def _group_of(manifest: Manifest, template: Mapping[str, Any]) -> str:
    spec = manifest["spec"].get("rayClusterConfig", manifest["spec"])
    for group in spec.get("workerGroupSpecs", ()):
        if group["template"] is template:
            return _capital(camel(group["groupName"]))
    return "Head"


def _mark_image(container: Any, images: Values) -> None:
    repository, _, tag = str(container["image"]).rpartition(":")
    key, number = camel(repository.rpartition("/")[2]), 2
    while key in images and images[key] != {"repository": repository, "tag": tag}:
        key, number = f"{camel(repository.rpartition('/')[2])}{number}", number + 1
    images[key] = {"repository": repository, "tag": tag}
    container["image"] = image_mark(key)


def _mark_resources(container: Any, key: str, resources: Values) -> None:
    if "resources" not in container:
        return
    name, kept = camel(container["name"]), container["resources"]
    known = resources.setdefault(key, {}).setdefault(name, kept)
    # Another size under a shared name is a size of its own, and stays as it is.
    if known == kept:
        container["resources"] = mark("mapping", "resources", key, name)


def _mark_replicas(manifest: Any, replicas: Values) -> None:
    """Mark the numbers of what may be several; those of brokers and databases are part of how they are set up."""
    name, spec = camel(manifest["metadata"]["name"]), manifest.get("spec", {})
    if manifest["kind"] == "Deployment" and _is_ours(spec["template"]):
        replicas[name] = spec.get("replicas", 1)
        spec["replicas"] = mark("number", "replicas", name)
    if manifest["kind"] in {"RayService", "RayCluster"}:
        for group in spec.get("rayClusterConfig", spec).get("workerGroupSpecs", ()):
            key = name + _capital(camel(group["groupName"]))
            replicas[key] = {field: group[field] for field in _RANGE if field in group}
            group.update({field: mark("number", "replicas", key, field) for field in replicas[key]})


def _is_ours(template: Mapping[str, Any]) -> bool:
    return any(_OURS in container["image"] for container in template["spec"]["containers"])


def _claims(manifest: Any) -> list[Any]:
    if manifest["kind"] == "PersistentVolumeClaim":
        return [manifest]
    return list(manifest.get("spec", {}).get("volumeClaimTemplates", ())) if manifest["kind"] == "StatefulSet" else []


def _mark_storage(manifest: Any, claim: Any, storage: Values) -> None:
    key = camel(manifest["metadata"]["name"])
    spec = claim["spec"]
    storage[key] = {"size": spec["resources"]["requests"]["storage"], "class": spec.get("storageClassName", "")}
    spec["resources"]["requests"]["storage"] = mark("text", "storage", key, "size")
    spec["storageClassName"] = mark("class", "storage", key, "class")


def _with_domains(value: Any, domains: Values, field: str = "") -> Any:
    """Return the value with hosts marked, wherever a way in names them."""
    if isinstance(value, dict):
        return {name: _with_domains(inner, domains, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_domains(inner, domains, field) for inner in value]
    if field in {"host", "hosts", "hostname", "hostnames", "dnsNames"} and isinstance(value, str):
        key = camel(value.replace("*", "any").partition(".")[0])
        while domains.get(key, value) != value:
            key += "2"
        domains[key] = value
        return mark("text", "domains", key)
    return value


def _with_namespace(value: Any, namespace: str | None) -> Any:
    """Return the value with the release's namespace where the overlay's is named."""
    if isinstance(value, dict):
        return {
            name: NAMESPACE if name == "namespace" and inner == namespace else _with_namespace(inner, namespace)
            for name, inner in value.items()
        }
    return [_with_namespace(inner, namespace) for inner in value] if isinstance(value, list) else value


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
