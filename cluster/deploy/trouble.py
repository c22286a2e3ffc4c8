"""What is wrong with pods: states of containers, warnings, last log lines, and where to look next."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError

WARNINGS, LOG_LINES, PODS = 5, 8, 3


def explain(api: Api, pods: Sequence[Object], what: str) -> DeployError:
    """Return an error's evidence: of each pod that is not ready its state, its warnings and its last lines."""
    evidence: list[str] = []
    next_steps = [f"kubectl -n {api.namespace} describe {what}"]
    unwell = [pod for pod in pods if not is_ready(pod) and not has_succeeded(pod)]
    if not pods:
        evidence.append(f"no pod of {what} is there; what makes it says:")
        evidence += _warnings(api, what.partition("/")[2])
    for pod in unwell[:PODS]:
        name = pod["metadata"]["name"]
        evidence += [f"pod {name}: {'; '.join(complaints(pod)) or 'not ready'}", *_warnings(api, name)]
        container = _first_unwell(pod)
        if container is not None:
            lines = api.log(name, container, lines=LOG_LINES) or api.log(
                name, container, lines=LOG_LINES, previous=True
            )
            evidence += [f"  {container} | {line}" for line in lines]
            next_steps.append(f"kubectl -n {api.namespace} logs {name} -c {container} --tail=100")
    if len(unwell) > PODS:
        evidence.append(f"and {len(unwell) - PODS} pods more")
    return DeployError("", evidence=tuple(evidence), next_steps=tuple(next_steps))


def complaints(pod: Object) -> list[str]:
    """Return why a pod is not ready: what its containers wait for or ended with, or why no node takes it."""
    status = pod.get("status", {})
    found = [
        f"{condition.get('reason', 'not scheduled')}: {condition.get('message', '')}"
        for condition in status.get("conditions", ())
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    for container in _container_states(pod):
        state, last = container.get("state", {}), container.get("lastState", {})
        waiting, ended = state.get("waiting"), state.get("terminated") or last.get("terminated")
        if waiting is not None and waiting.get("reason") not in {"PodInitializing", "ContainerCreating"}:
            found.append(f"{container['name']}: {waiting.get('reason')} {waiting.get('message', '')}".strip())
        if ended is not None and ended.get("exitCode") != 0:
            found.append(f"{container['name']} ended with {ended['exitCode']} ({ended.get('reason', '')})")
    return found


def is_ready(pod: Object) -> bool:
    """Tell whether a pod is ready."""
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", ())
    )


def has_succeeded(pod: Object) -> bool:
    """Tell whether a pod has ended well."""
    return bool(pod.get("status", {}).get("phase") == "Succeeded")


def _container_states(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _first_unwell(pod: Object) -> str | None:
    for container in _container_states(pod):
        ended_well = container.get("state", {}).get("terminated", {}).get("exitCode") == 0
        if not container.get("ready") and not ended_well:
            return str(container["name"])
    return None


def _warnings(api: Api, name: str) -> list[str]:
    found = api.items("v1", "Event", fields=f"involvedObject.name={name},type=Warning")
    found.sort(key=lambda event: event.get("lastTimestamp") or event["metadata"].get("creationTimestamp") or "")
    return [f"  {event.get('reason')}: {event.get('message', '').strip()}" for event in found[-WARNINGS:]]
