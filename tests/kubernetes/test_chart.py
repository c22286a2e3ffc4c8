"""The Helm chart that is made from the dev overlay: linted, installed, upgraded, rolled back, tested, uninstalled.

On two processors there is no place for it beside the overlay's own namespace, which it removes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.dev_cluster import NAMESPACE, REPOSITORY, TOKEN, wait_for
from tests.kubernetes.node import programs
from tests.kubernetes.node.folders import KUBECONFIG
from tests.kubernetes.node.kubectl import KubectlError, kubectl, read, says
from tests.kubernetes.node.network import inside
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("kubernetes"), pytest.mark.timeout(2400)]

SPACE, RELEASE = "chart", "alpharay"


def helm(*words: str, seconds: float = 300.0) -> str:
    """Run helm against the node and return what it prints."""
    command = inside([programs.tool("helm"), f"--kubeconfig={KUBECONFIG}", "--namespace", SPACE, *words])
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    assert said.returncode == 0, f"helm {' '.join(words)}\n{said.stdout}\n{said.stderr}"
    return said.stdout


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chart")
    words = [sys.executable, "-m", "cluster.deploy", "chart", "--overlay", "cluster/overlays/dev", "--output", folder]
    subprocess.run([str(one) for one in words], cwd=REPOSITORY, check=True, timeout=120)
    return folder / "dev" / "alpharay"


@pytest.fixture(scope="module")
def space(kubernetes: None) -> Iterator[None]:
    for name in (NAMESPACE, SPACE):
        delete_ray(name)
        kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=300s", seconds=320.0)
    kubectl("create", "namespace", SPACE)
    kubectl("label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=restricted")
    passwords = REPOSITORY / "cluster/overlays/dev/passwords.env"
    kubectl("-n", SPACE, "create", "secret", "generic", "alpharay", f"--from-env-file={passwords}")
    kubectl("-n", SPACE, "create", "secret", "generic", "ray-token", f"--from-literal=auth_token={TOKEN}")
    yield
    delete_ray(SPACE)
    kubectl("delete", "namespace", SPACE, "--wait=false")


def delete_ray(namespace: str) -> None:
    """End what clears its state in Valkey, as long as that is there."""
    kubectl("-n", namespace, "delete", "rayservices,rayclusters", "--all", "--timeout=300s", seconds=320.0)


def rendered(*words: str, chart: Path) -> list[dict[str, Any]]:
    """Return the objects that helm makes of the chart, as the API server would take them, which keeps none."""
    text = helm("template", RELEASE, str(chart), *words)
    listed = kubectl("-n", SPACE, "create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", text=text)
    found, place = [], 0
    while place < len(listed.rstrip()):
        one, place = json.JSONDecoder().raw_decode(listed, place)
        found += one["items"] if one["kind"] == "List" else [one]
        while place < len(listed) and listed[place].isspace():
            place += 1
    return found


def test_helm_finds_nothing_wrong_with_it(chart: Path) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(chart))


def test_values_reach_the_objects(chart: Path, space: None) -> None:
    objects = rendered("--set", "images.alpharay.tag=v-of-the-test", chart=chart)
    kinds = [one["kind"] for one in objects]
    assert kinds.count("RayService") == 1
    assert kinds.count("StatefulSet") >= 3
    (service,) = [one for one in objects if one["kind"] == "RayService"]
    image = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    assert image.endswith(":v-of-the-test")


def test_it_is_installed_upgraded_rolled_back_tested_and_uninstalled(chart: Path, space: None) -> None:
    started = time.monotonic()
    # Its hook, the migration, ends before helm does.
    helm("install", RELEASE, str(chart), "--timeout", "15m", seconds=960.0)
    wait_for("RayService", lambda: service_status() == "Running", 900.0)
    record("chart installed", seconds=time.monotonic() - started)
    # Again, where the node's policies were later than the pod had patience.
    wait_for("helm's own test", own_test_passes, 420.0)

    started = time.monotonic()
    # KubeRay's operator writes into the RayService too: Helm is told that the chart's word counts.
    more = ("--set", "replicas.exchange=2", "--force-conflicts", "--timeout", "10m")
    helm("upgrade", RELEASE, str(chart), *more, seconds=660.0)
    wait_for("two exchanges", lambda: ready("deployment", "exchange") == 2, 120.0)
    record("chart upgraded", seconds=time.monotonic() - started)

    helm("rollback", RELEASE, "1", "--force-conflicts", "--timeout", "10m", seconds=660.0)
    wait_for("one again", lambda: ready("deployment", "exchange") == 1, 120.0)
    history = json.loads(helm("history", RELEASE, "-o", "json"))
    assert [one["revision"] for one in history] == [1, 2, 3]
    assert history[-1]["status"] == "deployed"
    assert service_status() == "Running"

    # As the chart's README says it.
    delete_ray(SPACE)
    helm("uninstall", RELEASE, "--timeout", "5m")
    with pytest.raises(KubectlError, match="NotFound"):
        kubectl("-n", SPACE, "get", "statefulset", "postgres")
    # What holds data stays: whoever means it deletes the claims.
    assert read("-n", SPACE, "persistentvolumeclaims")["items"]


def own_test_passes() -> bool:
    """Run the chart's own test; print what its pod said when it failed."""
    try:
        helm("test", RELEASE, "--timeout", "3m")
    except AssertionError:
        print(says("-n", SPACE, "logs", "health", "--tail=5"), says("-n", SPACE, "get", "endpoints"))
        return False
    return True


def service_status() -> str:
    """Return what KubeRay says of the applications."""
    return says("-n", SPACE, "get", "rayservice", "serving", "-o", "jsonpath={.status.serviceStatus}")


def ready(kind: str, name: str) -> int:
    """Return how many pods of a workload are ready."""
    return int(says("-n", SPACE, "get", kind, name, "-o", "jsonpath={.status.readyReplicas}") or 0)
