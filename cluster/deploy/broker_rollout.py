"""Kafka's brokers brought up to date one by one: the next only when every partition has caught up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Manifest, Run, label
from cluster.deploy.rollouts import pods_of
from cluster.deploy.trouble import complaints, explain, is_ready
from cluster.deploy.waiting import Report, State, wait_until

REVISION = "controller-revision-hash"
EXEC_SECONDS = 60.0
# The tool runs beside the broker, in the memory that the broker leaves.
_UNDER_REPLICATED = (
    "KAFKA_HEAP_OPTS=-Xmx96m /opt/kafka/bin/kafka-topics.sh --bootstrap-server {broker} "
    "--describe --under-replicated-partitions"
)


def replace_brokers(kubectl: Run, api: Api, manifest: Manifest, *, timeout_s: float, report: Report) -> list[str]:
    """Delete the pods of an earlier revision one by one, and return their names.

    Before each, and after the last, no partition may lack a replica: a record that was acknowledged is on two brokers,
    so one may be away and no more. Raises DeployError when a broker or a partition does not come back in `timeout_s`.
    """
    name, part = manifest["metadata"]["name"], f"{label(manifest)} update"
    found = api.read("apps/v1", "StatefulSet", name)
    if found is None:
        raise DeployError(f"{label(manifest)} is not there", next_steps=("python -m cluster.deploy infrastructure",))
    revision = found.get("status", {}).get("updateRevision")
    old = [
        pod["metadata"]["name"] for pod in _brokers(api, found) if pod["metadata"]["labels"].get(REVISION) != revision
    ]
    for number, pod in enumerate(old, start=1):
        caught_up = partial(_caught_up, kubectl, api, found)
        _wait(api, found, part, caught_up, timeout_s=timeout_s, report=report)
        report(part, "working", f"{pod} ({number} of {len(old)}) is replaced")
        api.delete("v1", "Pod", pod)
        _wait(api, found, part, partial(_is_new, api, pod, revision), timeout_s=timeout_s, report=report)
    if old:
        _wait(api, found, part, partial(_caught_up, kubectl, api, found), timeout_s=timeout_s, report=report)
        report(part, "up", f"{len(old)} replaced, no partition lacks a replica")
    return old


def _wait(api: Api, found: Object, part: str, look: Callable[[], State], *, timeout_s: float, report: Report) -> None:
    def still_working(which: str, state: str, text: str) -> None:
        report(which, "working" if state == "up" else state, text)

    def why() -> DeployError:
        return explain(api, _brokers(api, found), f"statefulset/{found['metadata']['name']}")

    wait_until(part, look, timeout_s=timeout_s, report=still_working, explain=why)


def _brokers(api: Api, found: Object) -> list[Object]:
    return sorted(pods_of(api, found), key=lambda pod: pod["metadata"]["name"])


def _is_new(api: Api, name: str, revision: str) -> State:
    pod = api.read("v1", "Pod", name)
    if pod is None or pod["metadata"].get("deletionTimestamp") or pod["metadata"]["labels"].get(REVISION) != revision:
        return State(False, f"{name} ends")
    return State(is_ready(pod), f"{name} starts" + "".join(f": {text}" for text in complaints(pod)[:1]))


def _caught_up(kubectl: Run, api: Api, found: Object) -> State:
    """Ask a broker for partitions that lack a replica; all brokers must be ready first."""
    brokers, wanted = _brokers(api, found), found["spec"].get("replicas", 1)
    ready = [pod["metadata"]["name"] for pod in brokers if is_ready(pod)]
    if len(ready) < wanted:
        return State(False, f"{len(ready)} of {wanted} brokers ready")
    service = found["spec"]["serviceName"]
    ask = _UNDER_REPLICATED.format(broker=f"{ready[0]}.{service}:9092")
    try:
        said = kubectl(
            *("-n", api.namespace, "exec", ready[0], "--", "bash", "-c", ask),
            timeout_s=EXEC_SECONDS,
        )
    except DeployError as error:
        return State(False, f"{ready[0]} does not say: {' '.join(error.evidence[-1:]) or error}")
    lacking = [line for line in said.splitlines() if "Partition:" in line]
    return State(not lacking, f"{len(lacking)} partitions lack a replica")
