"""What tests ask of the dev overlay on the node, and how they wait for it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.node.kubectl import KubectlError, kubectl, read, says

REPOSITORY = Path(__file__).resolve().parents[2]
OVERLAY = Path(__file__).with_name("fast_exchange")
NAMESPACE = "alpharay"
READY_SECONDS = 600.0
TOKEN = "only-for-dev"
STATUS = "jsonpath={.status.serviceStatus}"
RAY_HEAD = "ray.io/node-type=head"
RAY_WORKER = "ray.io/node-type=worker"

ASK = """
import json, sys, urllib.error, urllib.request
method, url, body, headers = json.load(sys.stdin)
request = urllib.request.Request(url, data=body and json.dumps(body).encode(), headers=headers, method=method)
try:
    with urllib.request.urlopen(request, timeout=20) as answer:
        print(json.dumps([answer.status, json.load(answer)]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()[:500]]))
"""


def wait_for(what: str, holds: Callable[[], Any], seconds: float = READY_SECONDS) -> Any:
    """Return what `holds` returns once it is true; the test fails with pods and warnings when time is over.

    A question that is not answered, because the machine is busy or the one who is asked was killed, is asked again.
    """
    deadline = time.monotonic() + seconds
    while True:
        with suppress(KubectlError, subprocess.TimeoutExpired):
            if found := holds():
                return found
        if time.monotonic() > deadline:
            pods = says("-n", NAMESPACE, "get", "pods", "-o", "wide")
            warnings = says("-n", NAMESPACE, "get", "events", "--field-selector", "type=Warning")
            pytest.fail(f"waited {seconds:.0f} s in vain for {what}\n{pods}\n{warnings}")
        time.sleep(1.0)


def apply_overlay(overlay: Path = OVERLAY) -> str:
    """Apply an overlay; return what kubectl says."""
    return kubectl("apply", "--server-side", "--force-conflicts", "-k", str(overlay), seconds=120.0)


def wait_until_ready() -> None:
    """Wait until everything of the overlay runs."""
    kubectl("-n", NAMESPACE, "wait", "--for=condition=Complete", "job/prepare", "--timeout=600s", seconds=620.0)
    for workload in ("statefulset/postgres", "statefulset/ray-state", "deployment/valkey", "deployment/exchange"):
        kubectl("-n", NAMESPACE, "rollout", "status", workload, "--timeout=300s", seconds=320.0)
    # A StatefulSet that is updated on deletion has no rollout to wait for.
    wait_for("brokers", lambda: read("-n", NAMESPACE, "statefulset", "kafka")["status"].get("readyReplicas") == 3)
    wait_for("RayService", lambda: says("-n", NAMESPACE, "get", "rayservice", "serving", "-o", STATUS) == "Running")


def pods(selector: str) -> list[dict[str, Any]]:
    """Return the pods that a selector chooses and that are not being ended."""
    found = read("-n", NAMESPACE, "pods", "-l", selector)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: dict[str, Any]) -> bool:
    """Tell whether a pod, as the API server holds it, is Ready."""
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def active_cluster() -> str:
    """Return the name of the Ray cluster that serves."""
    where = "jsonpath={.status.activeServiceStatus.rayClusterName}"
    return says("-n", NAMESPACE, "get", "rayservice", "serving", "-o", where)


def head() -> str:
    """Return the name of the serving cluster's head pod; empty while there is none."""
    selector = f"{RAY_HEAD},ray.io/cluster={active_cluster()}"
    return says("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "jsonpath={.items[0].metadata.name}")


def ask(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Ask from inside the Ray head's pod, where the policies let it; (0, why) when it cannot be asked."""
    question = json.dumps([method, url, body, {"Content-Type": "application/json", **(headers or {})}])
    try:
        said = kubectl(
            *("-n", NAMESPACE, "exec", "-i", head(), "-c", "ray-head", "--", "python", "-c", ASK), text=question
        )
    except KubectlError as error:
        return 0, str(error)
    status, answer = json.loads(said.splitlines()[-1])
    return status, answer


def serve(path: str, body: object = None) -> tuple[int, Any]:
    """Ask an application: POST with a body, GET without."""
    return ask("GET" if body is None else "POST", f"http://serving-serve-svc:8000{path}", body)


def jobs(method: str = "GET", path: str = "", body: object = None, token: str = TOKEN) -> tuple[int, Any]:
    """Ask Ray's Jobs API with the dev overlay's token, or another."""
    return ask(method, f"http://serving-head-svc:8265/api/jobs/{path}", body, {"Authorization": f"Bearer {token}"})


def submit_job(name: str, entrypoint: str) -> None:
    """Submit a job over the Jobs API."""
    status, said = jobs("POST", body={"submission_id": name, "entrypoint": entrypoint})
    assert status == 200, said


def wait_for_job(name: str, seconds: float = READY_SECONDS) -> None:
    """Wait until a job has ended well."""

    def ended() -> Any:
        status, found = jobs(path=name)
        return found if status == 200 and found["status"] in {"SUCCEEDED", "FAILED"} else None

    found = wait_for(f"job {name}", ended, seconds)
    assert found["status"] == "SUCCEEDED", jobs(path=f"{name}/logs")[1]


def run_job(name: str, entrypoint: str, seconds: float = READY_SECONDS) -> None:
    """Submit a job and wait until it has ended well."""
    submit_job(name, entrypoint)
    wait_for_job(name, seconds)


def symbols() -> set[str]:
    """Return the symbols that the signal service knows."""
    status, known = serve("/status")
    return set(known["symbols"]) if status == 200 else set()


def signal(symbol: str) -> tuple[int, Any]:
    """Ask for a signal at the newest close."""
    status, known = serve("/status")
    if status != 200 or not known.get("markets"):
        return status, known
    close = next(one["candle_close"] for one in known["markets"] if one["symbol"].startswith(symbol))
    return serve("/generate_signal", {"symbol": symbol, "price": close})
