"""The state of a cluster as values: pods, Ray nodes, applications, lag, candles, alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cluster.deploy.alerts import Alert, active_alerts, judged
from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.facts import Lag, Market, lags_of, markets_of, samples
from cluster.deploy.head import run_in_head
from cluster.deploy.manifests import Run
from cluster.deploy.revisions import revisions
from cluster.deploy.schedules import FAILED, Schedule, read_schedules
from cluster.deploy.trouble import complaints, is_ready

READING_SECONDS = 120.0
START_SECONDS = 120.0


@dataclass(frozen=True)
class Pod:
    """One pod: `ready` of `containers`, what is wrong with it, and how old it is."""

    name: str
    part: str
    ready: int
    containers: int
    is_ready: bool
    phase: str
    complaints: tuple[str, ...]
    restarts: int
    age_s: float

    @property
    def is_well(self) -> bool:
        """Whether it is ready, or still coming up without a complaint."""
        return self.is_ready or (self.age_s < START_SECONDS and not self.complaints)


@dataclass(frozen=True)
class RayNode:
    """One node of a Ray cluster, by its pod where that is known."""

    name: str
    kind: str
    state: str
    resources: Mapping[str, float]


@dataclass(frozen=True)
class Deployment:
    """A Serve deployment: replicas by state, and the most that there may be."""

    application: str
    name: str
    status: str
    running: int
    wanted: int
    most: int | None
    message: str


@dataclass(frozen=True)
class Status:
    """What was seen; `unknown` says what could not be asked, and why."""

    namespace: str
    revision: str
    pods: tuple[Pod, ...]
    schedules: tuple[Schedule, ...] = ()
    ray_nodes: tuple[RayNode, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    lags: tuple[Lag, ...] = ()
    markets: tuple[Market, ...] = ()
    alerts: tuple[Alert, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Whether pods are ready, applications healthy, schedules succeed, nothing alerts, and everything was asked."""
        pods = all(pod.is_well for pod in self.pods)
        applications = all(one.status == "HEALTHY" for one in self.deployments)
        schedules = all(one.state != FAILED for one in self.schedules)
        return bool(self.pods and pods and applications and schedules) and not self.alerts and not self.unknown


def read_status(kubectl: Run, api: Api, now: datetime) -> Status:
    """Ask the API server for the pods and the serving head for the rest; what does not answer is `unknown`."""
    found = [pod for pod in api.items("v1", "Pod") if not _is_of_a_job(pod)]
    pods = tuple(sorted((_pod(one, now) for one in found), key=lambda one: (one.part, one.name)))
    schedules = read_schedules(api, now)
    known = revisions(api)
    revision = f"{known[0].number} of {known[0].overlay}, {known[0].state}, {known[0].time}" if known else "none noted"
    try:
        system = run_in_head(kubectl, api, "system", timeout_s=READING_SECONDS)
    except DeployError as error:
        said = " ".join((str(error), *error.evidence[-1:]))
        return Status(api.namespace, revision, pods, schedules, unknown={"Ray, Serve, lag and candles": said})
    facts = samples(system.get("facts", ""))
    from_manager = active_alerts(api)
    alerts = from_manager if from_manager is not None else judged(facts)
    addresses = {one.get("status", {}).get("podIP"): one["metadata"]["name"] for one in found}
    return Status(
        api.namespace,
        revision,
        pods,
        schedules,
        tuple(_ray_nodes(system.get("nodes", ()), addresses)),
        tuple(_deployments(system.get("serve", {}))),
        lags_of(facts),
        markets_of(facts),
        tuple(alerts),
        unknown=system["errors"],
    )


def _is_of_a_job(pod: Object) -> bool:
    """Tell whether a pod comes and goes; what its schedule makes of it is told there."""
    return "job-name" in pod["metadata"].get("labels", {})


def _pod(found: Object, now: datetime) -> Pod:
    metadata, status = found["metadata"], found.get("status", {})
    containers = status.get("containerStatuses", ())
    made = datetime.fromisoformat(metadata["creationTimestamp"])
    labels = metadata.get("labels", {})
    state = "ending" if metadata.get("deletionTimestamp") else status.get("phase", "Unknown")
    return Pod(
        metadata["name"],
        labels.get("ray.io/cluster") or labels.get("app") or labels.get("app.kubernetes.io/name") or "other",
        sum(bool(one.get("ready")) for one in containers),
        len(found["spec"]["containers"]),
        is_ready(found),
        state,
        () if is_ready(found) else tuple(complaints(found)),
        sum(one.get("restartCount", 0) for one in containers),
        (now - made).total_seconds(),
    )


def _ray_nodes(found: Iterable[Any], pods: Mapping[str | None, str]) -> Iterable[RayNode]:
    for one in found:
        if one.get("state") != "ALIVE":
            continue
        resources = {
            name: float(value)
            for name, value in (one.get("resources_total") or {}).items()
            if name in {"CPU", "GPU", "memory", "object_store_memory"}
        }
        address = one.get("node_ip")
        yield RayNode(
            pods.get(address, str(address)), "head" if one.get("is_head_node") else "worker", one["state"], resources
        )


def _deployments(serve: Mapping[str, Any]) -> Iterable[Deployment]:
    for application, details in sorted(serve.get("applications", {}).items()):
        if not details.get("deployments"):
            yield Deployment(application, "", details.get("status", "?"), 0, 0, None, details.get("message", ""))
        for name, one in sorted(details.get("deployments", {}).items()):
            replicas = one.get("replicas", ())
            scaling = (one.get("deployment_config") or {}).get("autoscaling_config") or {}
            yield Deployment(
                application,
                name,
                one.get("status", "?"),
                sum(replica.get("state") == "RUNNING" for replica in replicas),
                one.get("target_num_replicas") or len(replicas),
                scaling.get("max_replicas"),
                (one.get("message") or details.get("message") or "")[:200],
            )
