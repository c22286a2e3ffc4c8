"""Back-ups made now, and the way back."""

from __future__ import annotations

from functools import partial

from cluster.deploy.api import Api
from cluster.deploy.errors import DeployError
from cluster.deploy.rollouts import wait_for_rollouts
from cluster.deploy.schedule_run import run_now
from cluster.deploy.waiting import Report, State, wait_until

PREFIX = "back-up-"
RESTORE_DATABASE, RESTORE_BASE = "restore-database", "restore-base"
_DATABASE = "postgres"


def back_up(api: Api, only: str | None, *, timeout_s: float, report: Report) -> list[str]:
    """Run each back-up's schedule now, or one of them (`database`, `base`, ...); return what each said last.

    Raises DeployError when one failed, after all were tried.
    """
    schedules = sorted(
        one["metadata"]["name"]
        for one in api.items("batch/v1", "CronJob")
        if one["metadata"]["name"].startswith(PREFIX) and not one["spec"].get("suspend")
    )
    known = [name.removeprefix(PREFIX) for name in schedules]
    if only is not None and only not in known:
        raise DeployError(
            f"there is no back-up {only!r}; there are {', '.join(known) or 'none: use the component back-up'}"
        )
    if not known:
        raise DeployError("no back-up is scheduled: the overlay lacks the component back-up")
    wanted = known if only is None else [only]
    said, failures = [], []
    for name in wanted:
        try:
            lines = run_now(api, f"{PREFIX}{name}", timeout_s=timeout_s, report=report)
        except DeployError as error:
            # The others are made all the same.
            failures.append(error)
        else:
            said.append(lines[-1] if lines else f"{name}: done")
    if failures:
        raise DeployError(
            "; ".join([*map(str, failures), *said]),
            evidence=tuple(line for one in failures for line in one.evidence),
            next_steps=tuple(step for one in failures for step in one.next_steps),
        )
    return said


def restore_database(api: Api, name: str, *, timeout_s: float, report: Report) -> list[str]:
    """Read a dump into a new database and let it take the place of the one that is there, which is kept."""
    return run_now(api, RESTORE_DATABASE, timeout_s=timeout_s, report=report, environment={"BACK_UP": name})


def restore_base(api: Api, name: str, *, timeout_s: float, report: Report) -> list[str]:
    """Put PostgreSQL's files back: it is stopped, its files are exchanged, it is started again, whatever happens."""
    if api.read("batch/v1", "CronJob", RESTORE_BASE) is None:
        raise DeployError(f"there is no CronJob {RESTORE_BASE}: the overlay lacks the component back-up")
    found = api.read("apps/v1", "StatefulSet", _DATABASE)
    if found is None:
        raise DeployError(f"there is no StatefulSet {_DATABASE}: a managed database is restored by its own means")
    replicas = found["spec"].get("replicas") or 1
    api.merge("apps/v1", "StatefulSet", _DATABASE, {"spec": {"replicas": 0}})
    try:
        wait_until("PostgreSQL", partial(_is_stopped, api), timeout_s=timeout_s, report=report)
        said = run_now(api, RESTORE_BASE, timeout_s=timeout_s, report=report, environment={"BACK_UP": name})
    finally:
        api.merge("apps/v1", "StatefulSet", _DATABASE, {"spec": {"replicas": replicas}})
    wait_for_rollouts(api, [found], timeout_s=timeout_s, report=report)
    return said


def _is_stopped(api: Api) -> State:
    left = api.read("v1", "Pod", f"{_DATABASE}-0")
    return State(left is None, "stopped" if left is None else "stops")
