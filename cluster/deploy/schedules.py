"""How the schedules are: when each last did its work, and whether its newest run failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cluster.deploy.api import Api, Object

OK, SUSPENDED, FAILED, NEVER = "ok", "suspended", "failed", "never ran"


@dataclass(frozen=True)
class Schedule:
    """A CronJob: `state` is ok, suspended, failed (its newest run) or never ran; seconds since its last success."""

    name: str
    schedule: str
    state: str
    success_age_s: float | None
    failed_job: str = ""


def read_schedules(api: Api, now: datetime) -> tuple[Schedule, ...]:
    """Return the state of every CronJob of the namespace."""
    jobs = api.items("batch/v1", "Job")
    return tuple(_schedule(one, jobs, now) for one in api.items("batch/v1", "CronJob"))


def _schedule(found: Object, jobs: list[Object], now: datetime) -> Schedule:
    name = found["metadata"]["name"]
    last = found.get("status", {}).get("lastSuccessfulTime")
    age = None if last is None else (now - datetime.fromisoformat(last)).total_seconds()
    failure = _newest_failure(name, jobs)
    if found["spec"].get("suspend"):
        state = SUSPENDED
    elif failure is not None and (last is None or failure[0] > last):
        state = FAILED
    else:
        state = NEVER if last is None else OK
    return Schedule(
        name, found["spec"]["schedule"], state, age, failure[1] if failure is not None and state == FAILED else ""
    )


def _newest_failure(name: str, jobs: list[Object]) -> tuple[str, str] | None:
    """Return when the schedule's newest failed run failed (both times are UTC to the second), and its name."""
    failures = [
        (condition.get("lastTransitionTime", ""), job["metadata"]["name"])
        for job in jobs
        if any(owner["name"] == name for owner in job["metadata"].get("ownerReferences", ()))
        for condition in job.get("status", {}).get("conditions", ())
        if condition["type"] == "Failed" and condition["status"] == "True"
    ]
    return max(failures, default=None)
