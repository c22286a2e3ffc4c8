"""Fields of KubeRay's objects that the API server takes as they are and the operator refuses later, in an event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from cluster.deploy.lint.finding import Finding, error
from cluster.deploy.manifests import Manifest

_UPGRADES = ("NewCluster", "NewClusterWithIncrementalUpgrade", "None")
_CLUSTER_UPGRADES = ("Recreate", "None")
_SUBMISSIONS = ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
_AUTHENTICATIONS = ("token", "disabled")


def ray_findings(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Yield the faults of RayClusters, RayServices and RayJobs."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "RayCluster":
            yield from _one_of(manifest, spec.get("upgradeStrategy", {}), "type", _CLUSTER_UPGRADES)
            yield from _cluster(manifest, spec)
        elif manifest["kind"] == "RayService":
            yield from _one_of(manifest, spec.get("upgradeStrategy", {}), "type", _UPGRADES)
            yield from _cluster(manifest, spec.get("rayClusterConfig", {}))
            yield from _serve_configuration(manifest, spec.get("serveConfigV2", ""))
        elif manifest["kind"] == "RayJob":
            yield from _one_of(manifest, spec, "submissionMode", _SUBMISSIONS)
            yield from _cluster(manifest, spec.get("rayClusterSpec", {}))


def _cluster(manifest: Manifest, spec: Mapping[str, Any]) -> Iterator[Finding]:
    groups = spec.get("workerGroupSpecs", [])
    yield from _one_of(manifest, spec.get("autoscalerOptions", {}), "version", ("v1", "v2"))
    yield from _one_of(manifest, spec.get("authOptions", {}), "mode", _AUTHENTICATIONS)
    if spec and spec.get("authOptions", {}).get("mode") != "token":
        yield error(manifest, "whoever reaches the Jobs API runs code: set authOptions.mode: token")
    if spec.get("enableInTreeAutoscaling") and not groups:
        yield error(manifest, "enableInTreeAutoscaling needs a worker group: without one Ray's autoscaler ends at once")
    names = [group.get("groupName") for group in groups]
    for name in sorted({str(one) for one in names if names.count(one) > 1}):
        yield error(manifest, f"worker group {name} is there twice")
    for group in groups:
        least, most = group.get("minReplicas", 0), group.get("maxReplicas", 2**31 - 1)
        replicas = group.get("replicas", least)
        if least > most:
            yield error(manifest, f"group {group['groupName']}: minReplicas {least} is more than maxReplicas {most}")
        elif not least <= replicas <= most:
            yield error(
                manifest, f"group {group['groupName']}: replicas must be from {least} to {most}, was {replicas}"
            )


def _one_of(manifest: Manifest, options: Mapping[str, Any], field: str, known: tuple[str, ...]) -> Iterator[Finding]:
    value = options.get(field)
    if value is not None and value not in known:
        yield error(manifest, f"{field} must be one of {', '.join(known)}, was {value!r}")


def _serve_configuration(manifest: Manifest, text: str) -> Iterator[Finding]:
    try:
        applications = yaml.safe_load(text)["applications"]
    except (yaml.YAMLError, TypeError, KeyError) as fault:
        yield error(manifest, f"serveConfigV2 must be YAML with applications: {str(fault).splitlines()[0]}")
        return
    prefixes: dict[str, str] = {}
    for application in applications:
        name, prefix = application.get("name", "?"), application.get("route_prefix", "/")
        if prefix in prefixes:
            yield error(manifest, f"applications {prefixes[prefix]} and {name} have one route_prefix {prefix}")
        prefixes[prefix] = name
        if ":" not in application.get("import_path", ""):
            yield error(manifest, f"application {name}: import_path must be module:attribute")
