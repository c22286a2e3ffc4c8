"""A new version takes the requests of a gateway in steps, by the weights of a route, and none fails meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.dev_cluster import NAMESPACE, active_cluster, apply_overlay, serve, wait_for
from tests.kubernetes.node import gateways
from tests.kubernetes.node.kubectl import kubectl, read
from tests.kubernetes.signal_load import SignalLoad, asked_all_the_time
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(1500)]

CANARY = Path(__file__).with_name("canary")
ANNOTATIONS = "/spec/rayClusterConfig/headGroupSpec/template/metadata/annotations"
ASKED_EVERY_S = 0.25
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def load(dev: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalLoad]:
    """Signals asked for through the gateway that the operator made."""
    gateways.start()
    apply_overlay(CANARY)
    try:
        wait_for("the gateway", lambda: condition(read("-n", NAMESPACE, "gateway", "serving-gateway"), "Programmed"))
        wait_for("its route to one cluster", lambda: set(weights()) == {service(active_cluster())} and alone())
        _, known = wait_for("the markets", lambda: (said := serve("/status"))[0] == 200 and said)
        close = next(one["candle_close"] for one in known["markets"] if one["symbol"] == "SPX/USD")
        file: Path = tmp_path_factory.mktemp("asked") / "answers.jsonl"
        with asked_all_the_time(
            file, ASKED_EVERY_S, "SPX", close, patience_s=PATIENCE_S, door=gateways.ADDRESS
        ) as asked:
            wait_for("steady signals", lambda: asked.steady(10.0), 120.0)
            yield asked
    finally:
        apply_overlay()
        for kind, name in (("httproute", "serving-httproute"), ("gateway", "serving-gateway")):
            kubectl("-n", NAMESPACE, "delete", kind, name, "--ignore-not-found")
        gateways.stop()


def test_the_next_version_takes_requests_in_steps_and_none_fails(load: SignalLoad) -> None:
    old, started = active_cluster(), time.time()
    operation = {"op": "add", "path": ANNOTATIONS, "value": {"alpharay.dev/test": f"canary-{started:.0f}"}}
    kubectl("-n", NAMESPACE, "patch", "rayservice", "serving", "--type=json", "-p", json.dumps([operation]))
    steps: list[dict[str, int]] = []

    def only_the_next() -> bool:
        now = weights()
        if not steps or steps[-1] != now:
            steps.append(now)
        return len(now) == 1 and service(old) not in now

    wait_for("the next version alone", only_the_next, 900.0)
    taken_at = time.time()
    wait_for("steady signals", lambda: load.steady(10.0, taken_at), 120.0)
    failed = load.failed(started)
    new = service(active_cluster())
    shares = [step.get(new, 0) for step in steps]
    record(
        "canary",
        seconds=taken_at - started,
        shares=shares,
        requests=sum(one["at"] >= started for one in load.answers()),
        failed=len(failed),
    )
    assert failed == []
    # In steps of a quarter, never back.
    assert shares == sorted(shares)
    assert {25, 50, 75} <= set(shares)


def weights() -> dict[str, int]:
    """Return each Service of the operator's route with its share of the requests, per cent."""
    (rule,) = read("-n", NAMESPACE, "httproute", "serving-httproute")["spec"]["rules"]
    return {one["name"]: one.get("weight", 100) for one in rule["backendRefs"]}


def alone() -> bool:
    """Tell whether there is one Ray cluster, and no other that is about to serve or to go."""
    return len(read("-n", NAMESPACE, "rayclusters")["items"]) == 1


def service(cluster: str) -> str:
    """Return the name of the Service of one cluster's proxies."""
    return f"{cluster}-serve-svc"


def condition(found: dict[str, Any], kind: str) -> bool:
    """Tell whether a condition of an object holds."""
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)
