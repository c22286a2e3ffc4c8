"""Another cluster takes over, and a bad one does not, while signals are asked for at a constant rate: none fails."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.dev_cluster import NAMESPACE, active_cluster, serve, wait_for
from tests.kubernetes.node.kubectl import kubectl, read, says
from tests.kubernetes.signal_load import SignalLoad, asked_all_the_time
from tests.kubernetes.stored import exchange_now_ms, newest_closed, stored
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(1500)]

ASKED_EVERY_S = 0.5
PATIENCE_S = 30.0
STEADY_S = 10.0
UPGRADE_SECONDS = 900.0
ANNOTATIONS = "/spec/rayClusterConfig/headGroupSpec/template/metadata/annotations"
WORKER_IMAGE = "/spec/rayClusterConfig/workerGroupSpecs/0/template/spec/containers/0/image"


@pytest.fixture(scope="module")
def load(dev: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalLoad]:
    _, known = serve("/status")
    close = next(one["candle_close"] for one in known["markets"] if one["symbol"] == "SPX/USD")
    file: Path = tmp_path_factory.mktemp("asked") / "answers.jsonl"
    with asked_all_the_time(file, ASKED_EVERY_S, "SPX", close, patience_s=PATIENCE_S) as asked:
        wait_for("steady signals", lambda: asked.steady(STEADY_S), 120.0)
        yield asked


@pytest.mark.parametrize("way", ["upgrade", "way back"])
def test_another_cluster_takes_over_and_no_request_fails(way: str, load: SignalLoad) -> None:
    old, started = active_cluster(), time.time()
    if way == "upgrade":
        change({"op": "add", "path": ANNOTATIONS, "value": {"alpharay.dev/test": "upgrade"}})
    else:
        change({"op": "remove", "path": ANNOTATIONS})
    wait_for("another cluster to serve", lambda: active_cluster() not in {"", old}, UPGRADE_SECONDS)
    active_at = time.time()
    wait_for("the old one's end", lambda: old not in clusters(), 300.0)
    wait_for("steady signals", lambda: load.steady(STEADY_S, active_at), 120.0)
    gone_at = time.time()
    asked_until = exchange_now_ms()
    found = wait_for("newer candles", lambda: (now := stored()) and now.last >= newest_closed(asked_until) and now)
    failed = load.failed(started)
    record(
        way,
        active_seconds=active_at - started,
        old_gone_seconds=gone_at - started,
        requests=sum(one["at"] >= started for one in load.answers()),
        failed=len(failed),
    )
    assert failed == []
    assert found.wrong() == {}


def test_a_bad_version_never_serves_and_is_taken_back(load: SignalLoad) -> None:
    old, started = active_cluster(), time.time()
    good = read("-n", NAMESPACE, "rayservice", "serving")["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    image = good["template"]["spec"]["containers"][0]["image"]
    change({"op": "replace", "path": WORKER_IMAGE, "value": "ghcr.io/alpharay/alpharay:no-such-version"})
    try:
        wait_for("a second cluster", lambda: clusters() - {old}, 120.0)
        wait_for("its worker without an image", lambda: "no-such-version" in waiting_for(), 180.0)
    finally:
        change({"op": "replace", "path": WORKER_IMAGE, "value": image})
    # KubeRay does not go back to the old one: it makes another as it was, which takes over.
    bad = clusters() - {old}
    wait_for("its end", lambda: len(clusters()) == 1 and not clusters() & bad, 400.0)
    failed = load.failed(started)
    record("a bad version taken back", seconds=time.time() - started, failed=len(failed))
    assert active_cluster() in clusters()
    assert failed == []


def change(operation: dict[str, object]) -> None:
    kubectl("-n", NAMESPACE, "patch", "rayservice", "serving", "--type=json", "-p", json.dumps([operation]))


def clusters() -> set[str]:
    return {one["metadata"]["name"] for one in read("-n", NAMESPACE, "rayclusters")["items"]}


def waiting_for() -> str:
    """Return why containers of workers wait; the operator's own first one is of the worker's image too."""
    kinds = ("initContainerStatuses", "containerStatuses")
    reasons = " ".join(f"{{.items[*].status.{kind}[*].state.waiting.message}}" for kind in kinds)
    return says("-n", NAMESPACE, "get", "pods", "-l", "ray.io/node-type=worker", "-o", f"jsonpath={reasons}")
