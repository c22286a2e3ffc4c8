"""Names that lead nowhere: ConfigMaps, Secrets, accounts, and selectors that choose no pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cluster.deploy.lint.finding import Finding, error, warning
from cluster.deploy.manifests import Manifest, of_kind
from cluster.deploy.pod_templates import pod_templates, references
from cluster.deploy.secret_keys import secret_keys

# What KubeRay makes carries the operator's labels, which no manifest shows.
_FOREIGN = ("ray.io/", "cnpg.io/", "strimzi.io/")


def reference_findings(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Yield the names that nothing in the overlay answers to."""
    names = {
        kind: {one["metadata"]["name"] for one in of_kind(manifests, kind)} for kind in ("ConfigMap", "ServiceAccount")
    }
    keys = {
        one["metadata"]["name"]: {*one.get("data", {}), *one.get("stringData", {})}
        for one in of_kind(manifests, "Secret")
    }
    promised = {
        one["spec"].get("target", {}).get("name") or one["metadata"]["name"]
        for one in of_kind(manifests, "ExternalSecret")
    }
    for manifest in manifests:
        for template in pod_templates(manifest):
            for name, is_needed in sorted(references(template, "configMap").items()):
                if is_needed and name not in names["ConfigMap"]:
                    yield error(manifest, f"ConfigMap {name} is not in the overlay: its pods would not start")
            account = template["spec"].get("serviceAccountName")
            if account is not None and account not in names["ServiceAccount"]:
                yield error(manifest, f"account {account} is not in the overlay: its pods would not be made")
            for name, wanted in sorted(secret_keys([template]).items()):
                if name in keys and wanted - keys[name]:
                    lacking = ", ".join(sorted(wanted - keys[name]))
                    yield error(manifest, f"Secret {name} has no key {lacking}: its pods would not start")
                elif name not in keys and name not in promised:
                    yield warning(manifest, f"Secret {name} is not in the overlay: it must be in the namespace before")


def selector_findings(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Yield Services and policies that choose no pod of the overlay."""
    labels = [
        dict(template.get("metadata", {}).get("labels", {})) for one in manifests for template in pod_templates(one)
    ]
    for manifest in of_kind(manifests, "Service"):
        yield from _chooses(manifest, manifest["spec"].get("selector", {}), labels)
    for manifest in of_kind(manifests, "NetworkPolicy"):
        yield from _chooses(manifest, manifest["spec"]["podSelector"].get("matchLabels", {}), labels)
    for manifest in of_kind(manifests, "PodDisruptionBudget"):
        yield from _chooses(manifest, manifest["spec"].get("selector", {}).get("matchLabels", {}), labels)


def _chooses(manifest: Manifest, wanted: Mapping[str, str], labels: list[dict[str, str]]) -> Iterator[Finding]:
    if any(name.startswith(_FOREIGN) for name in wanted):
        return
    if wanted and not any(wanted.items() <= one.items() for one in labels):
        yield warning(manifest, f"chooses no pod of the overlay: {dict(wanted)}")
