"""Submit a job to a Ray cluster's Jobs API, at most once for each period: what the schedules run.

    python -m cluster.submit score --every 5 -- python -m ray_jobs.score

The submission's id is the name and the minute in which the period began, so a schedule that fires twice, or is retried
after its answer was lost, submits one job. Address and token come from the environment (ALPHARAY_RAY_DASHBOARD_URL,
RAY_AUTH_TOKEN).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from alpharay.node_groups import on_groups
from alpharay.settings import SettingMissingError, settings

PATIENCE_S = 45.0
_JOBS = "/api/jobs/"


def submission_id(name: str, every_minutes: int, now: datetime) -> str:
    """Return the id of the job that belongs to the period of `now`: name-202611210905."""
    minutes = int(now.timestamp()) // 60
    begin = datetime.fromtimestamp((minutes - minutes % every_minutes) * 60, UTC)
    return f"{name}-{begin:%Y%m%d%H%M}"


def submit(
    client: httpx.Client, identity: str, entrypoint: Sequence[str], patience_s: float = PATIENCE_S, groups: str = ""
) -> bool:
    """Submit the job unless one of this id is known; return whether it was new.

    Its command runs on the head, or with a processor of its own on a node of `groups`, where any are named. A head that
    is being replaced is asked again for `patience_s`. Raises httpx.HTTPError when it stays away or refuses.
    """
    body: dict[str, object] = {"submission_id": identity, "entrypoint": shlex.join(entrypoint)}
    if where := on_groups(groups):
        body |= {"entrypoint_num_cpus": 1, "entrypoint_label_selector": where["label_selector"]}

    def ask() -> bool:
        # Asked first: a second submission of one id is an error 500 that says the same as any other.
        if client.get(f"{_JOBS}{identity}").status_code == httpx.codes.OK:
            return False
        client.post(_JOBS, json=body).raise_for_status()
        return True

    result: bool = Retrying(
        retry=retry_if_exception(_passes),
        stop=stop_after_delay(patience_s),
        wait=wait_exponential(multiplier=0.5, max=8.0),
        reraise=True,
    )(ask)
    return result


def _passes(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(error, httpx.TransportError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit, and say what became of it; 1 when the cluster cannot be reached or refuses."""
    parser = argparse.ArgumentParser(prog="python -m cluster.submit", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the job's name, the first part of its id")
    parser.add_argument("--every", type=int, default=1, metavar="MINUTES", help="length of the schedule's period")
    parser.add_argument(
        "--computes",
        action="store_true",
        help="the command computes by itself: not on the head, where ALPHARAY_SEARCH_GROUPS names groups of nodes",
    )
    parser.add_argument("entrypoint", nargs="+", help="after --: the command that the cluster runs")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every must be at least 1, was {options.every}")
    current = settings()
    try:
        address = current.require("ray_dashboard_url")
    except SettingMissingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    identity = submission_id(options.name, options.every, datetime.now(UTC))
    try:
        with httpx.Client(base_url=address, headers=_token(), trust_env=False, timeout=20.0) as client:
            groups = current.search_groups if options.computes else ""
            new = submit(client, identity, options.entrypoint, groups=groups)
    except httpx.HTTPError as error:
        print(f"error: {identity} was not submitted to {address}: {error}", file=sys.stderr)
        return 1
    print(f"{identity}: {'submitted' if new else 'was submitted before'}")
    return 0


def _token() -> dict[str, str]:
    """Return the header that a cluster with token authentication asks for."""
    token = os.environ.get("RAY_AUTH_TOKEN")
    return {} if not token else {"Authorization": f"Bearer {token}"}


if __name__ == "__main__":
    sys.exit(main())
