"""A discovery that asks for more than one worker gets another, which goes when it is idle."""

from __future__ import annotations

import time

import pytest

from tests.kubernetes.dev_cluster import (
    RAY_WORKER,
    active_cluster,
    pods,
    submit_job,
    wait_for,
    wait_for_job,
)
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(1200)]

# The one worker has four processors by its own account, the actors' shares already taken.
SEARCH = (
    "python -m ray_jobs.discover --symbol SPX --timeframe 1d --strategies all --population 400 --generations 1000 "
    "--patience 1000 --seed 1 --workers 6 --time-budget 120 --no-store"
)


def workers() -> int:
    """Return how many worker pods run; Ready are only those with a replica."""
    found = pods(f"{RAY_WORKER},ray.io/cluster={active_cluster()}")
    return sum(all(one.get("started") for one in pod["status"].get("containerStatuses", [{}])) for pod in found)


def test_a_search_for_six_workers_gets_a_second_pod_which_goes_when_it_is_idle() -> None:
    wait_for("one worker", lambda: workers() == 1, 300.0)
    started = time.monotonic()
    name = f"wide-search-{int(time.time())}"
    submit_job(name, SEARCH)
    wait_for("a second worker", lambda: workers() >= 2, 300.0)
    added = time.monotonic() - started
    wait_for_job(name)
    ended = time.monotonic()
    wait_for("one worker again", lambda: workers() == 1, 300.0)
    record("worker added for a search", seconds=added)
    record("worker removed after it", seconds=time.monotonic() - ended)
