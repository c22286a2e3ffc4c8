"""What must be in a cluster before an overlay can be: kinds, storage classes, Secrets. Asked before a change."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.deploy.api import Api, NotFoundError, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Manifest, of_kind
from cluster.deploy.pod_templates import pod_templates
from cluster.deploy.secret_keys import secret_keys

_BROUGHT_BY = {
    "ray.io": "KubeRay's operator, 1.6.2 or newer: helm install kuberay-operator kuberay/kuberay-operator",
    "monitoring.coreos.com": "the Prometheus operator; or leave the component observability-rules out",
    "external-secrets.io": "the External Secrets operator; or leave the component external-secrets out",
    "gateway.networking.k8s.io": "the Gateway API's definitions and a controller; or leave the component gateway out",
    "cert-manager.io": "cert-manager; or bring the certificate as a Secret",
    "kafka.strimzi.io": "Strimzi's operator",
}
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def require(api: Api, manifests: Sequence[Manifest]) -> None:
    """Raise DeployError with everything that is missing, each with what brings it."""
    missing = [*missing_kinds(api, manifests), *missing_storage(api, manifests), *missing_secrets(api, manifests)]
    if missing:
        raise DeployError("the cluster lacks what this overlay needs; nothing was changed", evidence=tuple(missing))


def missing_kinds(api: Api, manifests: Sequence[Manifest]) -> list[str]:
    """Return the kinds that the API server does not know."""
    missing = []
    for api_version in sorted({one["apiVersion"] for one in manifests}):
        wanted = {one["kind"] for one in manifests if one["apiVersion"] == api_version}
        known = _kinds(api, api_version)
        group = api_version.partition("/")[0]
        missing += [
            f"kind {kind} ({api_version}): {_BROUGHT_BY.get(group, 'its definition is not installed')}"
            for kind in sorted(wanted - known)
        ]
    return missing


def missing_storage(api: Api, manifests: Sequence[Manifest]) -> list[str]:
    """Return the storage classes that volumes ask for and that are not there."""
    claims = [
        claim for one in of_kind(manifests, "StatefulSet") for claim in one["spec"].get("volumeClaimTemplates", ())
    ]
    claims += of_kind(manifests, "PersistentVolumeClaim")
    wanted = {claim["spec"].get("storageClassName") for claim in claims}
    if not wanted:
        return []
    classes = {one["metadata"]["name"]: one for one in api.items("storage.k8s.io/v1", "StorageClass")}
    missing = [
        f"storage class {name}: there are {', '.join(sorted(classes)) or 'none'}; name one of them in the overlay"
        for name in sorted(wanted - {None} - set(classes))
    ]
    if None in wanted and not any(_is_default(one) for one in classes.values()):
        missing.append(
            f"a default storage class: mark one with the annotation {_DEFAULT_CLASS}=true, "
            f"there are {', '.join(sorted(classes)) or 'none'}"
        )
    return missing


def missing_secrets(api: Api, manifests: Sequence[Manifest]) -> list[str]:
    """Return the Secrets and keys that pods cannot start without, and neither overlay nor namespace has."""
    brought = {
        one["metadata"]["name"]: {*one.get("data", {}), *one.get("stringData", {})}
        for one in of_kind(manifests, "Secret")
    }
    promised = {
        one["spec"].get("target", {}).get("name") or one["metadata"]["name"]
        for one in of_kind(manifests, "ExternalSecret")
    }
    missing = []
    for name, keys in sorted(secret_keys(pod_templates(list(manifests))).items()):
        if name in promised or (name in brought and keys <= brought[name]):
            continue
        there = brought.get(name)
        if there is None:
            found = api.read("v1", "Secret", name)
            there = None if found is None else set(found.get("data", {}))
        if there is None:
            literals = " ".join(f"--from-literal={key}=..." for key in sorted(keys)) or "--from-env-file=FILE"
            missing.append(f"Secret {name}: kubectl -n {api.namespace} create secret generic {name} {literals}")
        elif keys - there:
            missing.append(f"Secret {name} has no key {', '.join(sorted(keys - there))}: add it, pods need it to start")
    return missing


def _kinds(api: Api, api_version: str) -> set[str]:
    root = "api" if "/" not in api_version else "apis"
    try:
        return {one["kind"] for one in api.ask("GET", f"/{root}/{api_version}")["resources"]}
    except NotFoundError:
        return set()


def _is_default(storage_class: Object) -> bool:
    return bool(storage_class["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true")
