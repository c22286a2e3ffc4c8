"""The Jobs that bring schema and topics to this version, run to their end."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from cluster.deploy.api import Api
from cluster.deploy.apply import apply
from cluster.deploy.manifests import Manifest, Run, label
from cluster.deploy.rollouts import wait_for_rollouts
from cluster.deploy.waiting import Report, State, wait_until


def migrate(kubectl: Run, api: Api, jobs: Iterable[Manifest], *, timeout_s: float, report: Report) -> None:
    """Run each Job anew and wait for its end; raises DeployError with what it said when it fails.

    A Job cannot be changed, so the one of the last rollout is deleted first. What it runs is safe to end and to repeat.
    """
    for job in jobs:
        name = job["metadata"]["name"]
        if api.read("batch/v1", "Job", name) is not None:
            api.delete("batch/v1", "Job", name)
            wait_until(f"last {label(job)}", partial(_is_gone, api, name), timeout_s=timeout_s, report=report)
        apply(kubectl, [job])
        wait_for_rollouts(api, [job], timeout_s=timeout_s, report=report)


def _is_gone(api: Api, name: str) -> State:
    gone = api.read("batch/v1", "Job", name) is None
    return State(gone, "gone" if gone else "is being deleted")
