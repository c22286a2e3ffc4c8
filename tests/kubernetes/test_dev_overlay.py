"""`kubectl apply -k cluster/overlays/dev`, and from there to a served signal: nothing is replaced by a fake.

The tests build on each other, in their order: one cluster is brought up once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.node.kubectl import KubectlError, kubectl, read, says

OVERLAY = Path(__file__).resolve().parents[2] / "cluster/overlays/dev"
NAMESPACE = "alpharay"
READY_SECONDS = 600.0
TOKEN = "only-for-dev"
STATUS = "jsonpath={.status.serviceStatus}"

pytestmark = pytest.mark.usefixtures("kubernetes")

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
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            pods = says("-n", NAMESPACE, "get", "pods", "-o", "wide")
            warnings = says("-n", NAMESPACE, "get", "events", "--field-selector", "type=Warning")
            pytest.fail(f"waited {seconds:.0f} s in vain for {what}\n{pods}\n{warnings}")
        time.sleep(2.0)
    return found


def head() -> str:
    return says(
        "-n", NAMESPACE, "get", "pods", "-l", "ray.io/node-type=head", "-o", "jsonpath={.items[0].metadata.name}"
    )


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
    return ask("GET" if body is None else "POST", f"http://serving-serve-svc:8000{path}", body)


def jobs(method: str = "GET", path: str = "", body: object = None, token: str = TOKEN) -> tuple[int, Any]:
    return ask(method, f"http://serving-head-svc:8265/api/jobs/{path}", body, {"Authorization": f"Bearer {token}"})


def run_job(name: str, entrypoint: str, seconds: float = READY_SECONDS) -> None:
    """Submit a job over the Jobs API and wait until it has ended well."""
    status, said = jobs("POST", body={"submission_id": name, "entrypoint": entrypoint})
    assert status == 200, said
    ended = wait_for(
        f"job {name}", lambda: (found := jobs(path=name)[1])["status"] in {"SUCCEEDED", "FAILED"} and found, seconds
    )
    assert ended["status"] == "SUCCEEDED", jobs(path=f"{name}/logs")[1]


def test_the_overlay_is_taken_and_every_pod_becomes_ready() -> None:
    told = kubectl("apply", "--server-side", "-k", str(OVERLAY), seconds=120.0)
    assert "rayservice.ray.io/serving serverside-applied" in told
    kubectl("-n", NAMESPACE, "wait", "--for=condition=Complete", "job/prepare", "--timeout=600s", seconds=620.0)
    for workload in ("statefulset/postgres", "statefulset/ray-state", "deployment/valkey", "deployment/exchange"):
        kubectl("-n", NAMESPACE, "rollout", "status", workload, "--timeout=300s", seconds=320.0)
    # A StatefulSet that is updated on deletion has no rollout to wait for.
    wait_for("brokers", lambda: read("-n", NAMESPACE, "statefulset", "kafka")["status"].get("readyReplicas") == 3)
    wait_for("RayService", lambda: says("-n", NAMESPACE, "get", "rayservice", "serving", "-o", STATUS) == "Running")


def test_three_brokers_hold_each_topic() -> None:
    pod = [*("-n", NAMESPACE, "exec", "kafka-0", "--", "/opt/kafka/bin/kafka-topics.sh")]
    told = kubectl(*pod, "--bootstrap-server", "kafka-0.kafka:9092", "--describe", "--topic", "candles", seconds=60.0)
    lines = [line for line in told.splitlines() if "Isr:" in line]
    assert len(lines) == 4
    for line in lines:
        in_sync = line.split("Isr:")[1].split()[0]
        assert sorted(in_sync.split(",")) == ["0", "1", "2"]


def test_the_three_applications_answer() -> None:
    for path in ("/health", "/risk/health", "/portfolio/health"):
        status, answer = serve(path)
        assert (status, answer) == (200, {"status": "alive"}), path


def test_a_stranger_without_the_token_is_refused() -> None:
    assert jobs(token="wrong")[0] in {401, 403}
    assert jobs()[0] == 200


def test_candles_flow_from_the_exchange_to_a_served_signal() -> None:
    # The schedule has had the actors made; the candles' way is theirs.
    wait_for("both markets", lambda: symbols() >= {"SPX/USD", "IXIC/USD"})
    _, answer = wait_for("a signal", lambda: (said := signal("SPX"))[0] == 200 and said, 120.0)
    assert answer["symbol"] == "SPX/USD"
    assert answer["action"] in {"BUY", "SELL", "HOLD"}


def test_a_submitted_discovery_is_served() -> None:
    market = "--symbol SPX --timeframe 1d"
    search = "--strategies MACD_CROSSOVER --population 20 --generations 3 --seed 1 --workers 1"
    run_job("discovery-1", f"python -m ray_jobs.discover {market} {search}")
    run_job("consume-1", "python -m ray_jobs.consume")
    _, answer = wait_for(
        "a strategy's vote", lambda: (said := signal("SPX"))[0] == 200 and said[1]["strategies"] and said, 180.0
    )
    assert {one["name"] for one in answer["strategies"]} == {"MACD_CROSSOVER"}


def test_a_head_that_is_lost_is_replaced_and_knows_its_applications() -> None:
    lost = head()
    kubectl("-n", NAMESPACE, "delete", "pod", lost, "--grace-period=0", "--force")
    wait_for("another head", lambda: head() not in {"", lost})
    wait_for("its applications", lambda: serve("/health") == (200, {"status": "alive"}))
    wait_for("a signal", lambda: signal("SPX")[0] == 200, 180.0)


def symbols() -> set[str]:
    status, known = serve("/status")
    return set(known["symbols"]) if status == 200 else set()


def signal(symbol: str) -> tuple[int, Any]:
    status, known = serve("/status")
    if status != 200 or not known.get("markets"):
        return status, known
    close = next(one["candle_close"] for one in known["markets"] if one["symbol"].startswith(symbol))
    return serve("/generate_signal", {"symbol": symbol, "price": close})
