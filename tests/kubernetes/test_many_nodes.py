"""The prod overlay's work cluster with hundreds and thousands of workers on fake nodes: what the operator makes of it.

Nothing runs in these pods. What is real: the API server and its etcd, the scheduler, KubeRay's operator, our manifest.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import psutil
import pytest
import yaml

from cluster.deploy.manifests import as_list
from tests.kubernetes.dev_cluster import REPOSITORY, wait_for
from tests.kubernetes.node import fake_nodes
from tests.kubernetes.node.kubectl import kubectl, read, says
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("kubernetes"), pytest.mark.timeout(2400)]

SPACE = "many"
NODES = 300
SIZES = (100, 1000, 2000)


@pytest.fixture(scope="module")
def work(kubernetes: None) -> Iterator[dict[str, Any]]:
    """The work cluster of prod, its pods sent to fake nodes."""
    text = kubectl("kustomize", str(REPOSITORY / "cluster/overlays/prod"), seconds=60.0)
    objects = list(yaml.safe_load_all(text))
    (found,) = [one for one in objects if one["kind"] == "RayCluster"]
    priorities = as_list(one for one in objects if one["kind"] == "PriorityClass")
    cluster = copy.deepcopy(found)
    cluster["metadata"] = {"name": "work", "namespace": SPACE}
    spec = cluster["spec"]
    # There is no Redis that keeps the state of a head which does not run.
    spec.pop("gcsFaultToleranceOptions", None)
    # Its sidecar would run as little as the head; the test says how many workers there shall be.
    spec["enableInTreeAutoscaling"] = False
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        fake_nodes.place_on_them(group["template"]["spec"])
    accounts = {group["template"]["spec"].get("serviceAccountName") for group in spec["workerGroupSpecs"]} - {None}
    # What a run before left may still be going.
    kubectl("delete", "namespace", SPACE, "--ignore-not-found", "--timeout=600s", seconds=620.0)
    kubectl("create", "namespace", SPACE)
    try:
        kubectl("apply", "--server-side", "-f", "-", text=priorities)
        for account in accounts:
            kubectl("-n", SPACE, "create", "serviceaccount", account)
        kubectl("-n", SPACE, "create", "secret", "generic", "ray-token", "--from-literal=auth_token=only-for-this-test")
        fake_nodes.start(NODES)
        yield cluster
    finally:
        fake_nodes.stop()
        kubectl("delete", "namespace", SPACE, "--wait=false")
        kubectl("delete", "--ignore-not-found", "-f", "-", text=priorities)


def test_thousands_of_workers_come_and_go(work: dict[str, Any]) -> None:
    group = next(one for one in work["spec"]["workerGroupSpecs"] if one["groupName"] == "cpu-optimised")
    others = sum(one.get("replicas", 0) for one in work["spec"]["workerGroupSpecs"] if one is not group)
    for size in SIZES:
        group["minReplicas"] = group["replicas"] = size
        group["maxReplicas"] = size
        operator = used("manager")
        started = time.monotonic()
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(work))
        wanted = size + others
        wait_for(f"{wanted} workers", partial(are_ready, wanted), 900.0)
        seconds = time.monotonic() - started
        after, server = used("manager"), used("kube-apiserver")
        record(
            f"{size} workers on fake nodes",
            seconds=seconds,
            workers=wanted,
            operator_cpu_seconds=after[0] - operator[0],
            operator_mib=after[1] / 2**20,
            api_server_mib=server[1] / 2**20,
        )
    nodes = {pod["spec"]["nodeName"] for pod in read("-n", SPACE, "pods")["items"]}
    assert all(name.startswith("fake-") for name in nodes)
    # Pods reserve what they need: no node has more of them than it has room for.
    processors = int(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    assert len(nodes) >= max(SIZES) * processors // 64

    one = next(pod for pod in read("-n", SPACE, "pods", "-l", "ray.io/node-type=worker")["items"])["metadata"]["name"]
    started = time.monotonic()
    kubectl("-n", SPACE, "delete", "pod", one, "--wait=false")
    wait_for("another one in its place", lambda: is_gone(one) and ready_workers() == max(SIZES) + others, 300.0)
    record(f"one of {max(SIZES)} workers replaced", seconds=time.monotonic() - started)

    started = time.monotonic()
    kubectl("-n", SPACE, "delete", "raycluster", "work", "--wait=false")
    wait_for("no pod", lambda: pod_count() == 0, 900.0)
    record(f"{max(SIZES)} workers gone", seconds=time.monotonic() - started)


def ready_workers() -> int:
    """Return how many workers the operator counts as ready."""
    return int(says("-n", SPACE, "get", "raycluster", "work", "-o", "jsonpath={.status.readyWorkerReplicas}") or 0)


def are_ready(workers: int) -> bool:
    """Tell whether so many workers are ready."""
    return ready_workers() == workers


def pod_count() -> int:
    """Return how many pods there are."""
    return len(kubectl("-n", SPACE, "get", "pods", "-o", "name", seconds=60.0).splitlines())


def is_gone(pod: str) -> bool:
    """Tell whether a pod is not there any more."""
    return pod not in kubectl("-n", SPACE, "get", "pods", "-o", "name", seconds=60.0)


def used(program: str) -> tuple[float, float]:
    """Return a program's processor seconds since it began, and its memory in bytes."""
    for process in psutil.process_iter(["name", "exe"]):
        if process.info["name"] in {program, program[:15]} or str(process.info["exe"]).endswith(f"/{program}"):
            times = process.cpu_times()
            return times.user + times.system, float(process.memory_info().rss)
    raise LookupError(f"no process {program} runs")
