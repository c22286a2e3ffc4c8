"""A real Serve deployment under an HPA block: it grows under load, shrinks after it, and every decision is replayed."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings
from alpharay.autoscaling.replay import differences
from alpharay.autoscaling.trace import parse_trace
from cluster.local.port import free_port
from serve_apps.autoscaling_journal import journal_trace, read_journal

WAIT_S = 120.0
SYNC_PERIOD_S = 1.0
SPEC = {
    "minReplicas": 1,
    "maxReplicas": 4,
    "metrics": [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "in_flight_requests"},
                "target": {"type": "AverageValue", "averageValue": "2"},
            },
        },
        {
            "type": "Resource",
            "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}},
        },
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "8"}}},
    ],
    "behavior": {
        "scaleUp": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 2}]},
        "scaleDown": {"stabilizationWindowSeconds": 3},
    },
}
HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "sleeper", "namespace": "test"},
}


def wait_for(condition: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_at:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")


class Load:
    """Keeps `clients` requests in flight until it is stopped; what was not answered by 200 is kept."""

    def __init__(self, url: str, clients: int) -> None:
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(url, clients)), daemon=True)
        self._thread.start()

    async def _run(self, url: str, clients: int) -> None:
        async def ask(client: httpx.AsyncClient) -> None:
            while not self._stop.is_set():
                try:
                    answer = await client.get(url)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if answer.status_code != 200:
                    self.failures.append(f"{answer.status_code} {answer.text[:200]}")

        async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
            await asyncio.gather(*(ask(client) for _ in range(clients)))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60.0)


@dataclass(frozen=True)
class Sleepers:
    """The deployed application; `deploy` deploys it again with another `maxReplicas`."""

    url: str
    journal: Path
    deploy: Callable[[int], None]


@pytest.fixture
def serving(ray_cluster: str, tmp_path: Path) -> Iterator[Sleepers]:
    from ray import serve

    from serve_apps.autoscaling_policy import hpa_scaling
    from serve_apps.replica_usage import MeasuredReplica

    class Sleeper(MeasuredReplica):
        async def __call__(self, _request: object) -> str:
            self.in_flight.count += 1
            try:
                await asyncio.sleep(0.2)
                return "slept"
            finally:
                self.in_flight.count -= 1

    def deploy(max_replicas: int) -> None:
        scaling = hpa_scaling(
            {**HPA, "spec": {**SPEC, "maxReplicas": max_replicas}},
            report_interval_s=0.5,
            memory_request="4Gi",
            sync_period_s=SYNC_PERIOD_S,
            journal_folder=str(tmp_path),
        )
        sleeper = serve.deployment(
            Sleeper,
            autoscaling_config=scaling,
            max_ongoing_requests=20,
            ray_actor_options={"num_cpus": 0.1},
            graceful_shutdown_wait_loop_s=0.2,
            graceful_shutdown_timeout_s=5,
        )
        serve.run(sleeper.bind(), name="sleeper", route_prefix="/")

    port = free_port()
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        deploy(4)
        yield Sleepers(f"http://127.0.0.1:{port}/", tmp_path / "sleeper-Sleeper.jsonl", deploy)
    finally:
        serve.shutdown()


def targets(journal: Path) -> list[Any]:
    return [sync["spec_replicas"] for sync in read_journal(journal)] if journal.exists() else []


def reporting(journal: Path) -> int:
    pods: Any = read_journal(journal)[-1]["pods"]
    return sum(pod.get("cpu_usage_m") is not None for pod in pods)


@pytest.mark.slow
def test_a_deployment_scales_as_its_hpa_says_and_the_recording_is_decided_alike(serving: Sleepers) -> None:
    journal = serving.journal
    wait_for(lambda: len(targets(journal)) >= 2, "the first syncs")
    load = Load(serving.url, clients=12)
    try:
        wait_for(lambda: targets(journal)[-1] == 4, "four replicas under load")
        wait_for(lambda: reporting(journal) >= 2, "reports of two replicas")
    finally:
        load.stop()
    wait_for(lambda: targets(journal)[-1] == 1, "one replica after the load")
    serving.deploy(3)
    before = len(targets(journal))
    wait_for(lambda: len(targets(journal)) >= before + 3, "syncs after the redeploy")

    syncs = read_journal(journal)
    assert load.failures == []
    # Doubled at most every two seconds: never from one to four at once.
    assert set(targets(journal)) >= {1, 2, 4}
    for before, after in pairwise(syncs):
        assert after["spec_replicas"] == before["desired_replicas"]
        assert after["t_s"] - before["t_s"] >= SYNC_PERIOD_S - 0.001  # type: ignore[operator]
    trace = journal_trace(journal, sync_period_s=SYNC_PERIOD_S, settings=ControllerSettings())
    assert list(differences(parse_trace(json.loads(json.dumps(trace))))) == []
    # Serve made a new policy with an empty state; the history was kept all the same.
    assert [sync["hpa"]["spec"]["maxReplicas"] for sync in syncs if "hpa" in sync] == [4, 3]  # type: ignore[index]
    assert [index for index, sync in enumerate(syncs) if sync.get("controller_restarted")] == [0]
    pods = [pod for sync in syncs for pod in sync["pods"]]  # type: ignore[attr-defined]
    assert any(pod.get("cpu_usage_m") is not None for pod in pods)
    assert all(pod["memory_usage_mib"] > 10 for pod in pods if pod.get("memory_usage_mib") is not None)
