"""Pods that a restricted namespace would refuse, or a node could not bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cluster.deploy.lint.finding import Finding, error, warning
from cluster.deploy.manifests import Manifest
from cluster.deploy.pod_templates import Template, containers, pod_templates

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTART_POLICIES = ("Always", "OnFailure", "Never")


def pod_findings(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Yield the faults of every pod template."""
    for manifest in manifests:
        for template in pod_templates(manifest):
            yield from _pod(manifest, template)
            for container in containers(template):
                yield from _container(manifest, template, container)


def _pod(manifest: Manifest, template: Template) -> Iterator[Finding]:
    pod = template["spec"]
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True:
        yield error(manifest, "its pods may run as root: set securityContext.runAsNonRoot: true and a runAsUser")
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield error(
            manifest, "its pods have no system-call filter: set securityContext.seccompProfile.type: RuntimeDefault"
        )
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield error(manifest, f"{field} is set: a restricted namespace refuses such pods")
    if any("hostPath" in volume for volume in pod.get("volumes", ())):
        yield error(manifest, "a volume is a folder of the node (hostPath): use a claim or an emptyDir")
    restart = pod.get("restartPolicy", "Always")
    if restart not in _RESTART_POLICIES:
        yield error(manifest, f"restartPolicy must be one of {', '.join(_RESTART_POLICIES)}, was {restart!r}")
    volumes = {volume["name"] for volume in pod.get("volumes", ())}
    volumes |= {claim["metadata"]["name"] for claim in manifest.get("spec", {}).get("volumeClaimTemplates", ())}
    for container in containers(template):
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                yield error(manifest, f"{container['name']} mounts volume {mount['name']!r}, which its pod has not")


def _container(manifest: Manifest, template: Template, container: Any) -> Iterator[Finding]:
    name = container["name"]
    context = {**template["spec"].get("securityContext", {}), **container.get("securityContext", {})}
    if context.get("allowPrivilegeEscalation") is not False:
        yield error(manifest, f"{name}: set securityContext.allowPrivilegeEscalation: false")
    if context.get("capabilities", {}).get("drop") != ["ALL"]:
        yield error(manifest, f"{name}: set securityContext.capabilities.drop: [ALL]")
    if context.get("readOnlyRootFilesystem") is not True:
        yield warning(manifest, f"{name}: its root folder can be written to: set readOnlyRootFilesystem: true")
    resources = container.get("resources", {})
    if "memory" not in resources.get("limits", {}):
        yield error(manifest, f"{name}: set resources.limits.memory, else one pod can take the node's")
    if not {"cpu", "memory"} <= set(resources.get("requests", {})):
        yield error(manifest, f"{name}: set resources.requests.cpu and .memory, else nothing is reserved")
    policy = container.get("imagePullPolicy", "IfNotPresent")
    if policy not in _PULL_POLICIES:
        yield error(manifest, f"{name}: imagePullPolicy must be one of {', '.join(_PULL_POLICIES)}, was {policy!r}")
