"""Back-ups made now, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.rollouts import wait_for_rollouts
from cluster.deploy.schedule_run import run_now
from cluster.deploy.waiting import Report, State, wait_until

PREFIX = "back-up-"
RESTORE_DATABASE, RESTORE_BASE = "restore-database", "restore-base"
FETCH_BACK_UP, FETCH_ARCHIVE = "fetch-back-up", "fetch-wal-archive"
END = "end"
_DATABASE = "postgres"
_ARCHIVE = "WAL_ARCHIVE"


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


def fetch(api: Api, *, archive: bool, timeout_s: float, report: Report) -> None:
    """Copy from the bucket what the volume of back-ups lacks, and with `archive` PostgreSQL's log too.

    Raises DeployError when the overlay has no bucket, before anything is copied.
    """
    wanted = {FETCH_BACK_UP: "back-up-s3", **({FETCH_ARCHIVE: "wal-archive-s3"} if archive else {})}
    for schedule, component in wanted.items():
        if api.read("batch/v1", "CronJob", schedule) is None:
            raise DeployError(f"there is no CronJob {schedule}: the overlay lacks the component {component}")
    for schedule in wanted:
        run_now(api, schedule, timeout_s=timeout_s, report=report)


def restore_database(api: Api, name: str, *, timeout_s: float, report: Report) -> list[str]:
    """Read a dump into a new database and let it take the place of the one that is there, which is kept."""
    return run_now(api, RESTORE_DATABASE, timeout_s=timeout_s, report=report, environment={"BACK_UP": name})


def until_of(text: str, *, now: datetime) -> str:
    """Return the time until which a restore goes as its script takes it: in UTC, or `end`.

    Raises ValueError for what is no time, has no zone or has not come yet.
    """
    if text == END:
        return END
    try:
        parsed = datetime.fromisoformat(text)
        moment = None if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise ValueError(f"must be a time with its zone, like 2026-11-21T10:00:00Z, or {END}, was {text!r}")
    if moment > now:
        raise ValueError(f"must have passed, was {text!r}: say {END} for everything that was archived")
    return moment.isoformat()


def restore_base(api: Api, name: str, *, timeout_s: float, report: Report, until: str = "") -> list[str]:
    """Put PostgreSQL's files back: it is stopped, its files are exchanged, it is started again, whatever happens.

    With `until` (of `until_of`) it then replays its archived log so far; without, it is as the back-up left it.
    """
    schedule = api.read("batch/v1", "CronJob", RESTORE_BASE)
    if schedule is None:
        raise DeployError(f"there is no CronJob {RESTORE_BASE}: the overlay lacks the component back-up")
    if until and not _knows_the_archive(schedule):
        raise DeployError(
            f"a restore until {until} needs the archived log: the overlay lacks the component wal-archive"
        )
    found = api.read("apps/v1", "StatefulSet", _DATABASE)
    if found is None:
        raise DeployError(f"there is no StatefulSet {_DATABASE}: a managed database is restored by its own means")
    replicas = found["spec"].get("replicas") or 1
    api.merge("apps/v1", "StatefulSet", _DATABASE, {"spec": {"replicas": 0}})
    try:
        wait_until("PostgreSQL", partial(_is_stopped, api), timeout_s=timeout_s, report=report)
        environment = {"BACK_UP": name, "UNTIL": until}
        said = run_now(api, RESTORE_BASE, timeout_s=timeout_s, report=report, environment=environment)
    finally:
        api.merge("apps/v1", "StatefulSet", _DATABASE, {"spec": {"replicas": replicas}})
    wait_for_rollouts(api, [found], timeout_s=timeout_s, report=report)
    return said


def _knows_the_archive(schedule: Object) -> bool:
    containers = schedule["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return any(variable["name"] == _ARCHIVE for one in containers for variable in one.get("env", ()))


def _is_stopped(api: Api) -> State:
    left = api.read("v1", "Pod", f"{_DATABASE}-0")
    return State(left is None, "stopped" if left is None else "stops")
