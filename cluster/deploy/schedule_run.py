"""A schedule's Job, made now: what `kubectl create job --from=cronjob/NAME` does, and the wait for its end."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.rollouts import pods_of, wait_for_rollouts
from cluster.deploy.trouble import has_succeeded
from cluster.deploy.waiting import Report

LOG_LINES = 20


def run_now(
    api: Api, name: str, *, timeout_s: float, report: Report, environment: Mapping[str, str] | None = None
) -> list[str]:
    """Make a Job of the schedule, wait for its end, and return the last lines of its log.

    `environment` replaces variables of its containers. Raises DeployError with its log when it fails, and when there is
    no such schedule.
    """
    schedule = api.read("batch/v1", "CronJob", name)
    if schedule is None:
        raise DeployError(f"there is no CronJob {name}: the overlay lacks the component back-up")
    job = _job(schedule, environment or {})
    api.create(job)
    wait_for_rollouts(api, [job], timeout_s=timeout_s, report=report)
    found = api.read("batch/v1", "Job", job["metadata"]["name"])
    pods = [] if found is None else pods_of(api, found)
    for pod in pods:
        if has_succeeded(pod):
            return api.log(pod["metadata"]["name"], pod["spec"]["containers"][-1]["name"], lines=LOG_LINES)
    return []


def _job(schedule: Object, environment: Mapping[str, str]) -> dict[str, Any]:
    template = copy.deepcopy(schedule["spec"]["jobTemplate"])
    for container in template["spec"]["template"]["spec"]["containers"]:
        kept = [one for one in container.get("env", ()) if one["name"] not in environment]
        container["env"] = [*kept, *({"name": name, "value": value} for name, value in environment.items())]
    name = schedule["metadata"]["name"]
    metadata = template.get("metadata", {})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name}-{datetime.now(UTC):%Y%m%d%H%M%S}",
            "labels": metadata.get("labels", {}),
            "annotations": {**metadata.get("annotations", {}), "cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": name,
                    "uid": schedule["metadata"].get("uid", ""),
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }
