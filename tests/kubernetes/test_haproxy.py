"""Behind HAProxy: the cluster that has it takes over without a failed request, and answers faster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.dev_cluster import (
    NAMESPACE,
    RAY_WORKER,
    active_cluster,
    apply_overlay,
    head,
    pods,
    serve,
    wait_for,
    wait_until_ready,
)
from tests.kubernetes.node.kubectl import kubectl, says
from tests.kubernetes.signal_load import SignalLoad, asked_all_the_time
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(1500)]

HAPROXY = Path(__file__).with_name("haproxy")
QUESTIONS = 300
ASKED_EVERY_S = 0.5
STEADY_S = 10.0
UPGRADE_SECONDS = 900.0

# One client and one connection, as fast as it is answered.
BURST = """
import http.client, json, statistics, sys, time
body, count = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection("serving-serve-svc", 8000, timeout=30)
taken, statuses = [], []
for _ in range(count):
    started = time.perf_counter()
    connection.request("POST", "/generate_signal", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    statuses.append(answer.status)
    taken.append(time.perf_counter() - started)
print(json.dumps({"p50_ms": statistics.median(taken) * 1e3, "failed": sum(one != 200 for one in statuses)}))
"""


@pytest.fixture(scope="module")
def load(dev: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalLoad]:
    file: Path = tmp_path_factory.mktemp("asked") / "answers.jsonl"
    with asked_all_the_time(file, ASKED_EVERY_S, "SPX", close(), patience_s=30.0) as asked:
        wait_for("steady signals", lambda: asked.steady(STEADY_S), 120.0)
        yield asked
    apply_overlay()
    wait_for("Serve's own proxy again", lambda: not has_haproxy(), UPGRADE_SECONDS)
    wait_until_ready()


def test_a_cluster_behind_haproxy_takes_over_and_answers(load: SignalLoad) -> None:
    before = burst()
    old, started = active_cluster(), time.time()
    apply_overlay(HAPROXY)
    wait_for("another cluster to serve", lambda: active_cluster() not in {"", old}, UPGRADE_SECONDS)
    active_at = time.time()
    wait_for("steady signals", lambda: load.steady(STEADY_S, active_at), 120.0)
    wait_for("the old one's end", lambda: old not in clusters(), 300.0)
    assert has_haproxy()
    failed = load.failed(started)
    behind = burst()
    record(
        "behind HAProxy",
        active_seconds=active_at - started,
        failed=len(failed),
        p50_ms_before=before["p50_ms"],
        p50_ms=behind["p50_ms"],
    )
    assert failed == []
    assert (before["failed"], behind["failed"]) == (0, 0)


def close() -> float:
    """Return the newest close of a market."""
    _, known = serve("/status")
    return float(next(one["candle_close"] for one in known["markets"] if one["symbol"] == "SPX/USD"))


def burst() -> dict[str, float]:
    """Ask for signals one after the other from the head's pod."""
    body = json.dumps({"symbol": "SPX", "price": close()})
    pod = ("-n", NAMESPACE, "exec", head(), "-c", "ray-head", "--")
    said = kubectl(*pod, "python", "-c", BURST, body, str(QUESTIONS), seconds=180.0)
    answer: dict[str, float] = json.loads(said.splitlines()[-1])
    return answer


def has_haproxy() -> bool:
    """Tell whether HAProxy runs on a worker of the cluster that serves."""
    workers = pods(f"{RAY_WORKER},ray.io/cluster={active_cluster()}")
    name = next((one["metadata"]["name"] for one in workers), "")
    script = "cat /proc/[0-9]*/comm"
    return "haproxy" in says("-n", NAMESPACE, "exec", name, "-c", "ray-worker", "--", "sh", "-c", script)


def clusters() -> set[str]:
    """Return the names of the Ray clusters that are there."""
    return set(says("-n", NAMESPACE, "get", "rayclusters", "-o", "jsonpath={.items[*].metadata.name}").split())
